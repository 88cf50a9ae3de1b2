//! Our client for Node.js.

use serde_json::{Value, json};

use super::{Guest, NODE, Place, in_both_places, init_error};
use crate::mock_hub::{ARN, REQUEST_ID, call};

#[test]
fn node_sees_event_and_context_and_answers() {
    let code = "
exports.run = async (event, context) => ({
  event,
  id: context.awsRequestId,
  arn: context.invokedFunctionArn,
  function: [context.functionName, context.functionVersion, context.memoryLimitInMB],
  log: [context.logGroupName, context.logStreamName],
  time: context.getRemainingTimeInMillis() > 0 && context.getRemainingTimeInMillis() <= 3000,
  subject: context.clientContext.custom.subject,
  trace: process.env._X_AMZN_TRACE_ID,
  waits: context.callbackWaitsForEmptyEventLoop,
});
";
    in_both_places(|place| {
        let mut first = call("{\"temperature\": 21.5, \"room\": \"Gewächshaus\"}");
        let context = r#"{"custom":{"subject":"a/b"}}"#.to_owned();
        first.headers.push(("Lambda-Runtime-Client-Context", context));
        first.headers.push(("Lambda-Runtime-Trace-Id", "Root=1".to_owned()));
        let files = [("sub/app.js", code)];
        let Some(guest) = Guest::start(place, NODE, "sub/app.run", &files, vec![first]) else {
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
            "trace": "Root=1",
            "waits": true,
        });
        assert_eq!(guest.result(), expected);
    });
}

#[test]
fn node_takes_every_form_of_module_and_handler() {
    let check = |handler: &str, file: (&str, &str), expected: Value| {
        let files = [file, ("package.json", r#"{"type": "commonjs"}"#)];
        let calls = vec![call("2"), call("3")];
        let Some(guest) = Guest::start(Place::Outside, NODE, handler, &files, calls) else {
            return;
        };
        for _ in 0..2 {
            assert_eq!(guest.result(), expected, "{file:?}");
        }
    };
    check("a.run", ("a.mjs", "export const run = async () => await 'esm';"), json!("esm"));
    check("a.run", ("a.cjs", "exports.run = async () => 'cjs';"), json!("cjs"));
    check(
        "a.b.run",
        ("a.js", "exports.b = { x: 7, run() { return Promise.resolve(this.x); } };"),
        json!(7),
    );
    check(
        "a.run",
        ("a.js", "exports.run = (e, c, done) => setTimeout(done, 5, null, 'late');"),
        json!("late"),
    );
    check("a.run", ("a.js", "exports.run = (e, c) => c.succeed('legacy');"), json!("legacy"));
    check("a.run", ("a.js", "exports.run = (e, c) => { c.done(null, 'done'); };"), json!("done"));
    check("a.run", ("a.js", "exports.run = async () => {};"), Value::Null);
    check("a.run", ("a.js", "exports.run = () => {};"), Value::Null);
    check("a.run", ("a/index.js", "exports.run = async () => 'folder';"), json!("folder"));
}

#[test]
fn node_waits_for_the_event_loop_only_when_told_to() {
    let waits = "
let left = 0;
exports.run = (event, context, callback) => {
  context.callbackWaitsForEmptyEventLoop = event;
  setTimeout(() => { left += 1; }, 50);
  callback(null, null);
  if (!event) return;
  const result = {};
  callback(null, result);
  setTimeout(() => { result.left = left; }, 100);
};
";
    let files = [("a.js", waits)];
    let calls = vec![call("true"), call("false")];
    let Some(guest) = Guest::start(Place::Outside, NODE, "a.run", &files, calls) else { return };
    assert_eq!(guest.result(), json!({"left": 1}));
    assert_eq!(guest.result(), Value::Null);
}

#[test]
fn node_tells_errors_as_the_official_client_does() {
    let code = "
class Odd extends Error { constructor(m) { super(m); this.name = 'Odd'; this.room = 3; } }
exports.run = (event, context, callback) => {
  if (event === 1) throw new Odd('too warm');
  if (event === 2) callback('a text');
  if (event === 3) return Promise.reject(new TypeError('rejected'));
  if (event === 4) callback(null, { big: 10n });
};
";
    in_both_places(|place| {
        let files = [("app.js", code)];
        let calls = (1..=4).map(|number| call(&number.to_string())).collect();
        let Some(guest) = Guest::start(place, NODE, "app.run", &files, calls) else { return };
        let error = guest.error();
        assert_eq!(
            (error["errorType"].as_str(), error["errorMessage"].as_str()),
            (Some("Odd"), Some("too warm"))
        );
        assert_eq!(error["trace"][0], "Odd: too warm");
        let error = guest.error();
        assert_eq!(error, json!({"errorType": "string", "errorMessage": "a text", "trace": []}));
        assert_eq!(guest.error()["errorType"], "TypeError");
        assert_eq!(guest.error()["errorMessage"], "Unable to stringify response body");
        let log = guest.output();
        let parts: Vec<&str> = log.lines().next().unwrap().split('\t').collect();
        assert_eq!((parts[1], parts[2], parts[3]), (REQUEST_ID, "ERROR", "Invoke Error "));
        let logged: Value = serde_json::from_str(parts[4]).unwrap();
        assert_eq!((&logged["room"], &logged["stack"][0]), (&json!(3), &json!("Odd: too warm")));
    });
}

#[test]
fn node_ends_after_errors_that_nobody_caught() {
    let check = |code: &str, kind: &str, message: &str, expected_code| {
        let files = [("a.js", code)];
        let start = Guest::start(Place::Outside, NODE, "a.run", &files, vec![call("1")]);
        let Some(guest) = start else { return };
        let error = guest.error();
        assert_eq!(
            (error["errorType"].as_str(), error["errorMessage"].as_str()),
            (Some(kind), Some(message))
        );
        assert_eq!(guest.end().0, Some(expected_code));
    };
    check(
        "exports.run = () => { Promise.reject(new Error('lost')); setTimeout(() => {}, 1000); };",
        "Runtime.UnhandledPromiseRejection",
        "Error: lost",
        128,
    );
    check(
        "exports.run = () => { setTimeout(() => { throw new RangeError('late'); }, 5); };",
        "RangeError",
        "late",
        129,
    );
}

#[test]
fn node_names_what_is_wrong_before_the_first_call() {
    let files = [
        ("app.js", "require('no-such-module');\n"),
        ("syntax.js", "exports.run = (;\n"),
        ("fine.js", "exports.x = 1;\n"),
        ("raises.mjs", "throw new RangeError('at start');\n"),
    ];
    let check = |place, handler, kind: &str, message: &str| {
        let Some((error, code, _)) = init_error(place, NODE, handler, &files) else { return };
        assert_eq!((error["errorType"].as_str(), code), (Some(kind), Some(1)), "{error}");
        let found = error["errorMessage"].as_str().unwrap();
        assert!(found.starts_with(message), "{found}");
    };
    let nothing = "Error: Cannot find module 'no-such-module'\nRequire stack:\n- ";
    in_both_places(|place| check(place, "app.run", "Runtime.ImportModuleError", nothing));
    let place = Place::Outside;
    check(place, "none.run", "Runtime.ImportModuleError", "Error: Cannot find module 'none'");
    check(place, "fine.run", "Runtime.HandlerNotFound", "fine.run is undefined or not exported");
    check(place, "fine.x", "Runtime.HandlerNotFound", "fine.x is not a function");
    check(place, "fine", "Runtime.MalformedHandlerName", "Bad handler");
    check(place, "../fine.run", "Runtime.MalformedHandlerName", "'../fine.run' is not a valid");
    check(place, "syntax.run", "Runtime.UserCodeSyntaxError", "SyntaxError: ");
    check(place, "raises.run", "RangeError", "at start");
}

#[test]
fn node_logs_with_time_and_request_id() {
    let code = "
exports.run = async () => { console.log('one', { a: 1 }); console.warn('two\\nlines'); };
";
    in_both_places(|place| {
        let files = [("app.js", code)];
        let Some(guest) = Guest::start(place, NODE, "app.run", &files, vec![call("{}")]) else {
            return;
        };
        assert_eq!(guest.result(), Value::Null);
        let log = guest.output();
        let lines: Vec<Vec<&str>> = log.lines().map(|line| line.split('\t').collect()).collect();
        assert_eq!(lines[0][1..], [REQUEST_ID, "INFO", "one { a: 1 }"]);
        assert_eq!(lines[1][1..], [REQUEST_ID, "WARN", "two\rlines"]);
    });
}
