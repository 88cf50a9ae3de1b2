//! Our client for Python.

use serde_json::{Value, json};
use tomte_sandbox::runtime::{Wanted, find};

use super::{Guest, PYTHON, Place, in_both_places, init_error};
use crate::mock_hub::{ARN, REQUEST_ID, call};

#[test]
fn python_sees_event_and_context_and_answers() {
    let code = "
import os
def run(event, context):
    return {
        'event': event,
        'id': context.aws_request_id,
        'arn': context.invoked_function_arn,
        'function': [context.function_name, context.function_version, context.memory_limit_in_mb],
        'log': [context.log_group_name, context.log_stream_name],
        'time': 0 < context.get_remaining_time_in_millis() <= 3000,
        'subject': context.client_context.custom['subject'],
        'client': [context.client_context.env, context.client_context.client.app_title],
        'identity': context.identity.cognito_identity_id,
        'trace': os.environ.get('_X_AMZN_TRACE_ID'),
        'greeting': os.environ['GREETING'],
    }
";
    in_both_places(|place| {
        let mut first = call("{\"temperature\": 21.5, \"room\": \"Gewächshaus\"}");
        first.headers.extend([
            (
                "Lambda-Runtime-Client-Context",
                r#"{"custom":{"subject":"a/b"},"env":{},"client":{"app_title":"x"}}"#.to_owned(),
            ),
            ("Lambda-Runtime-Cognito-Identity", r#"{"cognitoIdentityId":"me"}"#.to_owned()),
            ("Lambda-Runtime-Trace-Id", "Root=1".to_owned()),
        ]);
        let files = [("pkg/app.py", code)];
        let Some(guest) = Guest::start(place, PYTHON, "pkg/app.run", &files, vec![first]) else {
            return;
        };
        let expected = json!({
            "event": {"temperature": 21.5, "room": "Gewächshaus"},
            "id": REQUEST_ID,
            "arn": ARN,
            "function": ["regulate", "$LATEST", "256"],
            "log": ["/aws/lambda/regulate", "stream"],
            "time": true,
            "subject": "a/b",
            "client": [{}, "x"],
            "identity": "me",
            "trace": "Root=1",
            "greeting": "hello",
        });
        assert_eq!(guest.result(), expected);
    });
}

#[test]
fn python_writes_results_as_the_official_client_does() {
    let code = "
import decimal
VALUES = [
    {'a': 1, 'b': [None, True, 1.5], 'c': (1, 2)},
    decimal.Decimal('12345678901234567890.123'),
    [decimal.Decimal('1.10'), 'Größe \\U0001F600'],
    None,
    float('inf'),
    b'raw bytes',
]
def run(event, context):
    return VALUES[event]
";
    let answers = [
        "{\"a\": 1, \"b\": [null, true, 1.5], \"c\": [1, 2]}",
        "12345678901234567890.123",
        "[1.10, \"Größe 😀\"]",
        "null",
        "Infinity",
        "raw bytes",
    ];
    let calls = (0..answers.len()).map(|index| call(&index.to_string())).collect();
    let files = [("app.py", code)];
    let Some(guest) = Guest::start(Place::Outside, PYTHON, "app.run", &files, calls) else {
        return;
    };
    for answer in answers {
        assert_eq!(guest.hub.post().body, answer);
    }
}

#[test]
fn python_tells_errors_as_the_official_client_does() {
    let code = "
class Odd(Exception):
    pass
def fails():
    raise Odd('too warm')
def run(event, context):
    if event == 'marshal':
        return object()
    fails()
";
    in_both_places(|place| {
        let calls = vec![call("1"), call("\"marshal\""), call("{broken"), call("1 2")];
        let files = [("app.py", code)];
        let Some(guest) = Guest::start(place, PYTHON, "app.run", &files, calls) else { return };
        let error = guest.error();
        assert_eq!(error["errorMessage"], "too warm");
        assert_eq!(error["errorType"], "Odd");
        assert_eq!(error["requestId"], REQUEST_ID);
        let trace = error["stackTrace"].as_array().unwrap();
        assert_eq!(trace.len(), 2, "{trace:?}");
        assert!(trace[0].as_str().unwrap().ends_with("line 9, in run\n    fails()\n"));
        assert!(
            trace[1].as_str().unwrap().ends_with("line 5, in fails\n    raise Odd('too warm')\n")
        );
        let error = guest.error();
        assert_eq!(error["errorType"], "Runtime.MarshalError");
        assert_eq!(
            error["errorMessage"],
            "Unable to marshal response: Object of type object is not JSON serializable"
        );
        let error = guest.error();
        assert_eq!(error["errorType"], "Runtime.UnmarshalError");
        assert_eq!(
            error["errorMessage"],
            "Unable to unmarshal input: Expecting property name enclosed in double quotes: line 1 \
             column 2 (char 1)"
        );
        assert_eq!(
            guest.error()["errorMessage"],
            "Unable to unmarshal input: Extra data: line 1 column 3 (char 2)"
        );
        let log = guest.output();
        assert!(log.starts_with(
            "[ERROR] Odd: too warm\rTraceback (most recent call last):\r\u{a0}\u{a0}File"
        ));
        assert_eq!(log.lines().count(), 4, "{log:?}");
    });
}

#[test]
fn python_names_what_is_wrong_before_the_first_call() {
    let files = [
        ("app.py", "import no_such_module\n"),
        ("syntax.py", "def run(:\n"),
        ("fine.py", "x = 1\n"),
        ("raises.py", "1 / 0\n"),
    ];
    let check = |place, handler, kind: &str, message: &str| {
        let Some((error, code, log)) = init_error(place, PYTHON, handler, &files) else { return };
        assert_eq!((error["errorType"].as_str(), code), (Some(kind), Some(1)), "{error}");
        let found = error["errorMessage"].as_str().unwrap();
        assert!(found.starts_with(message), "{found}");
        assert!(log.contains(kind), "{log}");
    };
    let nothing = "Unable to import module 'app': No module named 'no_such_module'";
    in_both_places(|place| check(place, "app.run", "Runtime.ImportModuleError", nothing));
    let place = Place::Outside;
    let missing = "Handler 'run' missing on module 'fine'";
    check(place, "fine.run", "Runtime.HandlerNotFound", missing);
    let malformed = "Bad handler 'fine': not enough values to unpack";
    check(place, "fine", "Runtime.MalformedHandlerName", malformed);
    let syntax = "Syntax error in module 'syntax': ";
    check(place, "syntax.run", "Runtime.UserCodeSyntaxError", syntax);
    check(place, "raises.run", "ZeroDivisionError", "division by zero");
    let built_in = "Cannot use built-in module sys as a handler module";
    check(place, "sys.exit", "Runtime.BuiltInModuleConflict", built_in);
}

#[test]
fn python_logs_with_time_and_request_id() {
    let code = "
import logging
logging.getLogger().setLevel(logging.INFO)
def run(event, context):
    print('printed')
    logging.getLogger('mine').info('logged %d', 7)
    logging.warning('two\\nlines')
";
    in_both_places(|place| {
        let files = [("app.py", code)];
        let Some(guest) = Guest::start(place, PYTHON, "app.run", &files, vec![call("{}")]) else {
            return;
        };
        assert_eq!(guest.result(), Value::Null);
        let log = guest.output();
        let lines: Vec<&str> = log.lines().collect();
        assert_eq!(lines[0], "printed");
        let parts: Vec<&str> = lines[1].split('\t').collect();
        assert_eq!((parts[0], parts[2], parts[3]), ("[INFO]", REQUEST_ID, "logged 7"));
        let time = parts[1].as_bytes();
        assert!(time.len() == 24 && time[10] == b'T' && time[23] == b'Z', "{}", parts[1]);
        assert!(lines[2].ends_with("\ttwo") && lines[3] == "lines");
    });
}

#[test]
fn python_finds_packages_of_the_function_and_keeps_large_payloads_whole() {
    let code = "import dependency\ndef run(event, context):\n    return dependency.double(event)\n";
    let dependency = "def double(text):\n    return text + text\n";
    in_both_places(|place| {
        let files = [("app.py", code), ("dependency.py", dependency)];
        let text = "ü".repeat(1_000_000);
        let calls = vec![call(&format!("\"{text}\"")), call("\"x\"")];
        let Some(guest) = Guest::start(place, PYTHON, "app.run", &files, calls) else { return };
        assert!(guest.result() == json!(text.repeat(2)));
        assert_eq!(guest.result(), "xx");
    });
}

#[test]
fn python_runs_on_every_version_that_is_found() {
    let code = "
import logging, sys
def run(event, context):
    logging.error('logged')
    return [list(sys.version_info[:2]), event]
";
    for minor in 8..=14 {
        let wanted = Wanted::Python { minor };
        if !find(&wanted).is_ok_and(|found| found.exact) {
            eprintln!("skipped: {wanted} is not installed");
            continue;
        }
        let calls = vec![call("{\"a\": [1.5, null]}"), call("{")];
        let files = [("app.py", code)];
        let Some(guest) = Guest::start(Place::Inside, wanted, "app.run", &files, calls) else {
            return;
        };
        assert_eq!(guest.result(), json!([[3, minor], {"a": [1.5, null]}]));
        assert_eq!(guest.error()["errorType"], "Runtime.UnmarshalError");
        assert!(guest.output().contains(&format!("\t{REQUEST_ID}\tlogged\n")));
    }
}
