//! mosquitto's own broker tests, against the hub.
//!
//! They come with Debian's source package and compare the bytes that a broker sends with the bytes that
//! they expect. `suite/expected.toml` says of each what is to happen: `pass`, or the reason why it does
//! not. A test that should pass and does not is an error, and so is one that passes although the list
//! has a reason: the list stays true. `TOMTE_SUITE=update` writes the list anew, and the table of
//! `docs/reference/mqtt-conformance.md` that is made from it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

mod catalogue;
mod certificates;
mod expected;
mod page;
mod runner;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};

use expected::Expected;

/// Returns the path of a file of the repository.
fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// Says whether this run writes the list and the page anew.
fn is_update() -> bool {
    std::env::var_os("TOMTE_SUITE").is_some_and(|wish| wish == "update")
}

fn update(list: &Path, expected: &Expected) {
    fs::write(list, expected.to_string()).unwrap();
    let page = in_repository(page::PATH);
    let text = fs::read_to_string(&page).unwrap();
    fs::write(&page, page::with_table(&text, expected).unwrap()).unwrap();
}

#[test]
fn mosquittos_broker_suite_passes_as_the_list_says() {
    let list = in_repository("testing/system/suite/expected.toml");
    let expected = Expected::parse(&fs::read_to_string(&list).unwrap()).unwrap();
    let results = runner::run(&tree::Tree::prepare().unwrap(), |name| expected.should_pass(name));
    if is_update() {
        return update(&list, &expected.updated(&results));
    }
    let surprises = expected.surprises(&results);
    assert!(
        surprises.is_empty(),
        "{} of {} tests went another way than suite/expected.toml says (TOMTE_SUITE=update writes it \
         anew):\n{}",
        surprises.len(),
        results.len(),
        surprises.join("\n")
    );
}

#[test]
fn the_page_has_the_table_of_the_suites_list() {
    if is_update() {
        return;
    }
    let list = in_repository("testing/system/suite/expected.toml");
    let expected = Expected::parse(&fs::read_to_string(list).unwrap()).unwrap();
    let text = fs::read_to_string(in_repository(page::PATH)).unwrap();
    assert!(text == page::with_table(&text, &expected).unwrap(), "run with TOMTE_SUITE=update");
}
