//! The runtime clients, each outside of a sandbox and inside of one.

mod node;
mod official;
mod python;

use std::ffi::OsString;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tomte_sandbox::runtime::{FunctionFacts, Interpreter, Wanted, command, environment, find};
use tomte_sandbox::{Started, WorkerSpec};

use crate::mock_hub::{Call, MockHub, Post, REQUEST_ID};
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
    Outside(Child, tempfile::TempDir),
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
        let (argv, env) = command(interpreter, handler);
        let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guests");
        let argv = argv.iter().map(|argument| match argument.to_str() {
            Some("/var/runtime/bootstrap.py") => client.join("python/bootstrap.py").into(),
            Some("/var/runtime/bootstrap.cjs") => client.join("node/bootstrap.cjs").into(),
            _ => argument.clone(),
        });
        let argv: Vec<OsString> = argv.collect();
        let env = environment(&facts(interpreter.wanted, handler)).into_iter().chain(env).collect();
        Self::start_command(&argv, env, files, calls)
    }

    /// Starts any client, outside of a sandbox.
    fn start_command(
        argv: &[OsString],
        env: Vec<(OsString, OsString)>,
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
        let mut child = Command::new(&argv[0])
            .args(&argv[1..])
            .env_clear()
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

    /// Removes from a text what differs from run to run: the folder of the code.
    fn without_folder(&self, text: &str) -> String {
        match &self.process {
            Process::Outside(_, folder) => {
                text.replace(folder.path().to_str().unwrap(), "/var/task")
            }
            Process::Inside(..) => text.to_owned(),
        }
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

    /// Ends the client and returns what it wrote, with paths that do not depend on the run.
    fn output(mut self) -> String {
        self.stop();
        let text = self.stdout.take().unwrap().join().unwrap();
        self.without_folder(&text)
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
