//! How long a start takes. Prints; run it on an idle machine with
//! `cargo test -p tomte-sandbox --test workers -- --ignored --nocapture`.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use tomte_sandbox::WorkerSpec;
use tomte_sandbox::runtime::{FunctionFacts, Wanted, command, environment, find};

use crate::support::{Bench, bench};

const ROUNDS: usize = 200;

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64() * 1000.0;
    let (min, p50, p90, p99) = (at(0), at(50), at(90), at(99));
    eprintln!("{what}: min {min:.2}, p50 {p50:.2}, p90 {p90:.2}, p99 {p99:.2} ms");
}

/// Starts the worker again and again; `until` waits for what is measured.
fn measure(
    bench: &Bench,
    what: &str,
    spec: &WorkerSpec,
    rounds: usize,
    until: impl Fn(TcpListener),
) {
    let (mut spawned, mut ready) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let start = Instant::now();
        let started = bench.launcher.spawn(spec).unwrap();
        spawned.push(start.elapsed());
        until(started.listener.into());
        if spec.argv[0] != "/bin/true" {
            ready.push(start.elapsed());
            bench.launcher.kill(spec.id);
        }
        bench.exit_of(spec.id);
        if spec.argv[0] == "/bin/true" {
            ready.push(start.elapsed());
        }
        // The launcher prepares the next network while nobody asks.
        std::thread::sleep(Duration::from_millis(5));
    }
    print(&format!("{what}, asked to executed"), spawned);
    print(&format!("{what}, asked to ready or ended"), ready);
}

#[test]
#[ignore = "measures; says nothing on a busy machine"]
fn starting_takes_a_few_milliseconds() {
    let Some(bench) = bench() else { return };
    measure(&bench, "true", &bench.spec(&["/bin/true"]), ROUNDS, drop);
    let clients = [
        (Wanted::Python { minor: 8 }, ("app.py", "def run(event, context):\n    return event\n")),
        (Wanted::Node { major: 18 }, ("app.js", "exports.run = async (event) => event;\n")),
    ];
    for (wanted, file) in clients {
        let Ok(interpreter) = find(&wanted) else { continue };
        let (argv, env) = command(&interpreter, "app.run");
        let facts = FunctionFacts {
            name: "regulate".into(),
            version: "$LATEST".into(),
            handler: "app.run".into(),
            runtime: Some(wanted),
            memory: 256 << 20,
            region: "local".into(),
            log_group: "g".into(),
            log_stream: "s".into(),
            variables: Vec::new(),
        };
        let spec = WorkerSpec {
            argv,
            env: environment(&facts).into_iter().chain(env).collect(),
            code: bench.code(wanted.language(), &[file]),
            runtime_files: wanted.client_files(),
            extra_read_only: interpreter.read_only,
            ..bench.spec(&[])
        };
        let what = format!("{wanted} ({})", interpreter.program.display());
        measure(&bench, &what, &spec, ROUNDS / 4, |listener| {
            listener.set_nonblocking(false).unwrap();
            drop(listener.accept().unwrap());
        });
    }
}
