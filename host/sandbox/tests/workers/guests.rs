//! The runtime clients, each outside of a sandbox and inside of one.

use std::ffi::OsString;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tomte_sandbox::runtime::{FunctionFacts, Interpreter, Wanted, command, environment, find};
use tomte_sandbox::{Started, WorkerSpec};

use crate::mock_hub::{ARN, Call, MockHub, Post, REQUEST_ID, call};
use crate::support::{Bench, bench, collect};

const PYTHON: Wanted = Wanted::Python { minor: 8 };
const NODE: Wanted = Wanted::Node { major: 18 };

/// A runtime client at work on a folder of code.
struct Guest {
    hub: MockHub,
    stdout: Option<std::thread::JoinHandle<String>>,
    process: Process,
}

enum Process {
    Outside(Child, #[expect(dead_code, reason = "keeps the folder")] tempfile::TempDir),
    Inside(Box<Bench>, u64),
}

/// Where a client runs in a test.
#[derive(Clone, Copy, Debug)]
enum Place {
    Outside,
    Inside,
}

impl Guest {
    fn start(
        place: Place,
        wanted: Wanted,
        handler: &str,
        files: &[(&str, &str)],
        calls: Vec<Call>,
    ) -> Option<Guest> {
        let interpreter = match find(&wanted) {
            Ok(interpreter) => interpreter,
            Err(missing) => {
                eprintln!("skipped: {missing}");
                return None;
            }
        };
        match place {
            Place::Outside => Some(Self::start_outside(&interpreter, handler, files, calls)),
            Place::Inside => Self::start_inside(&interpreter, handler, files, calls),
        }
    }

    fn start_outside(
        interpreter: &Interpreter,
        handler: &str,
        files: &[(&str, &str)],
        calls: Vec<Call>,
    ) -> Guest {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (argv, env) = command(interpreter, handler);
        let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guests");
        let argv = argv.iter().map(|argument| match argument.to_str() {
            Some("/var/runtime/bootstrap.py") => client.join("python/bootstrap.py").into(),
            Some("/var/runtime/bootstrap.cjs") => client.join("node/bootstrap.cjs").into(),
            _ => argument.clone(),
        });
        let argv: Vec<OsString> = argv.collect();
        let mut child = Command::new(&argv[0])
            .args(&argv[1..])
            .env_clear()
            .envs(environment(&facts(interpreter.wanted, handler)))
            .envs(env)
            .env("LAMBDA_TASK_ROOT", folder.path())
            .env("AWS_LAMBDA_RUNTIME_API", listener.local_addr().unwrap().to_string())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().map(|end| collect(end.into()));
        let hub = MockHub::start(listener, calls);
        Guest { hub, stdout, process: Process::Outside(child, folder) }
    }

    fn start_inside(
        interpreter: &Interpreter,
        handler: &str,
        files: &[(&str, &str)],
        calls: Vec<Call>,
    ) -> Option<Guest> {
        let bench = bench()?;
        let (argv, env) = command(interpreter, handler);
        let spec = WorkerSpec {
            argv,
            env: environment(&facts(interpreter.wanted, handler)).into_iter().chain(env).collect(),
            code: bench.code("code", files),
            runtime_files: interpreter.wanted.client_files(),
            extra_read_only: interpreter.read_only.clone(),
            ..bench.spec(&[])
        };
        let Started { listener, stdout, stderr, .. } = bench.launcher.spawn(&spec).unwrap();
        let complaints = collect(stderr);
        std::thread::spawn(move || eprintln!("{}", complaints.join().unwrap()));
        let hub = MockHub::start(listener.into(), calls);
        let process = Process::Inside(Box::new(bench), spec.id);
        Some(Guest { hub, stdout: Some(collect(stdout)), process })
    }

    /// Waits for the answer to one call, which must be a result.
    fn result(&self) -> Value {
        let post = self.hub.post();
        assert_eq!(post.path, response_path("response"), "{post:?}");
        post.json()
    }

    /// Waits for the answer to one call, which must be an error.
    fn error(&self) -> Value {
        let post = self.hub.post();
        assert_eq!(post.path, response_path("error"), "{post:?}");
        let error = post.json();
        assert_eq!(post.header("Lambda-Runtime-Function-Error-Type"), error["errorType"].as_str());
        error
    }

    /// Ends the client and returns what it wrote.
    fn output(mut self) -> String {
        self.stop();
        self.stdout.take().unwrap().join().unwrap()
    }

    /// Waits for the client to end by itself and returns its code and what it wrote.
    fn end(mut self) -> (Option<i32>, String) {
        let code = match &mut self.process {
            Process::Outside(child, _) => child.wait().unwrap().code(),
            Process::Inside(bench, id) => match bench.exit_of(*id).status {
                tomte_sandbox::ExitStatus::Code(code) => Some(code),
                tomte_sandbox::ExitStatus::Signal(_) => None,
            },
        };
        (code, self.stdout.take().unwrap().join().unwrap())
    }

    fn stop(&mut self) {
        match &mut self.process {
            Process::Outside(child, _) => {
                let _ = child.kill();
                let _ = child.wait();
            }
            Process::Inside(bench, id) => bench.launcher.kill(*id),
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.stop();
    }
}

fn response_path(kind: &str) -> String {
    format!("/2018-06-01/runtime/invocation/{REQUEST_ID}/{kind}")
}

fn facts(wanted: Wanted, handler: &str) -> FunctionFacts {
    FunctionFacts {
        name: "regulate".into(),
        version: "$LATEST".into(),
        handler: handler.into(),
        runtime: Some(wanted),
        memory: 256 << 20,
        region: "local".into(),
        log_group: "/aws/lambda/regulate".into(),
        log_stream: "stream".into(),
        variables: vec![("GREETING".into(), "hello".into())],
    }
}

/// Runs a check in both places.
fn in_both_places(check: impl Fn(Place)) {
    for place in [Place::Outside, Place::Inside] {
        eprintln!("{place:?}");
        check(place);
    }
}

/// Starts a client that must fail before its first call; returns what it posted, its code, its log.
fn init_error(
    place: Place,
    wanted: Wanted,
    handler: &str,
    files: &[(&str, &str)],
) -> Option<(Value, Option<i32>, String)> {
    let guest = Guest::start(place, wanted, handler, files, vec![])?;
    let post: Post = guest.hub.post();
    assert_eq!(post.path, "/2018-06-01/runtime/init/error");
    let (code, log) = guest.end();
    Some((post.json(), code, log))
}

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

/// Proves: WRK-17.
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

/// Installs the official Python client once, or says why it cannot.
fn official_client() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../test-tools/awslambdaric");
    if !folder.join("awslambdaric/bootstrap.py").is_file() {
        let python = find(&PYTHON).ok()?.program;
        let output = Command::new(python)
            .args(["-m", "pip", "install", "--quiet", "--target"])
            .arg(&folder)
            .arg("awslambdaric==4.2.2")
            .output()
            .unwrap();
        if !output.status.success() {
            eprintln!("skipped: {}", String::from_utf8_lossy(&output.stderr));
            return None;
        }
    }
    Some(folder)
}

#[test]
fn the_official_python_client_runs_unchanged() {
    let Some(client) = official_client() else { return };
    let Some(bench) = bench() else { return };
    let python = find(&PYTHON).unwrap();
    let program = python.program.display();
    let bootstrap = format!("#!/bin/sh\nexec {program} -m awslambdaric \"$_HANDLER\"\n");
    let code = "def run(event, context):\n    return [event, context.aws_request_id]\n";
    let mut facts = FunctionFacts { runtime: None, ..facts(PYTHON, "app.run") };
    let client = client.canonicalize().unwrap();
    facts.variables.push(("PYTHONPATH".into(), client.display().to_string()));
    let spec = WorkerSpec {
        env: environment(&facts),
        code: bench.code("official", &[("bootstrap", &bootstrap), ("app.py", code)]),
        extra_read_only: python.read_only.iter().cloned().chain([client]).collect(),
        ..bench.spec(&["/var/task/bootstrap"])
    };
    let started = bench.launcher.spawn(&spec).unwrap();
    let hub = MockHub::start(started.listener.into(), vec![call("[1]"), call("\"ä\"")]);
    for event in [json!([1]), json!("ä")] {
        let post = hub.post();
        assert_eq!(post.path, response_path("response"), "{post:?}");
        assert_eq!(post.json(), json!([event, REQUEST_ID]));
    }
    bench.launcher.kill(spec.id);
}
