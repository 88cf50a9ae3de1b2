//! The one address that a worker can reach.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::support::bench;

const ASK: &str = "
import socket
with socket.create_connection(('127.0.0.1', 9001)) as hub:
    hub.sendall(b'who am I?')
    print(hub.recv(100).decode())
";

/// Answers one connection with a name.
fn answer(listener: std::os::fd::OwnedFd, name: &'static str) -> std::thread::JoinHandle<()> {
    let listener = TcpListener::from(listener);
    listener.set_nonblocking(false).unwrap();
    std::thread::spawn(move || {
        let (mut worker, _) = listener.accept().unwrap();
        let mut question = [0; 9];
        worker.read_exact(&mut question).unwrap();
        assert_eq!(&question, b"who am I?");
        worker.write_all(name.as_bytes()).unwrap();
    })
}

#[test]
fn the_same_address_leads_each_worker_to_its_own_listener() {
    let Some(bench) = bench() else { return };
    let (one, other) = (bench.python(ASK), bench.python(ASK));
    let mut first = bench.launcher.spawn(&one).unwrap();
    let mut second = bench.launcher.spawn(&other).unwrap();
    let null = || std::fs::File::open("/dev/null").unwrap().into();
    let threads = [
        answer(std::mem::replace(&mut second.listener, null()), "the second"),
        answer(std::mem::replace(&mut first.listener, null()), "the first"),
    ];
    let outputs = [first.stdout, second.stdout].map(crate::support::collect);
    assert_eq!(outputs.map(|output| output.join().unwrap()), ["the first\n", "the second\n"]);
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn the_listener_answers_to_its_worker_only() {
    let Some(bench) = bench() else { return };
    let spec = bench.shell("sleep 600");
    let started = bench.launcher.spawn(&spec).unwrap();
    let listener = TcpListener::from(started.listener);
    assert_eq!(listener.local_addr().unwrap().to_string(), tomte_sandbox::WORKER_API_ADDRESS);
    // Another worker has a listener of its own; with it closed, nobody answers there.
    let other = bench.spec(&["/usr/bin/python3", "-I", "-c", ASK]);
    let outcome = bench.run(&other);
    assert!(outcome.stderr.contains("Connection"), "{outcome:?}");
    let error = listener.accept().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
}
