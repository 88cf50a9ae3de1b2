//! Every input that is kept in `corpus` holds. Nothing random, so that CI finds an old bug at once.

use std::fs;
use std::path::Path;

use tomte_fuzz::{TARGETS, Target};

/// Runs all inputs of one target; a failure names the file that repeats it.
fn check(name: &str, target: Target) {
    // Both targets of the codec have the same inputs.
    let inputs = if name == "differential" { "codec" } else { name };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(inputs);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} holds no input", folder.display());
    for file in files {
        let bytes = fs::read(&file).expect("an input");
        let outcome = std::panic::catch_unwind(|| target(&bytes));
        assert!(outcome.is_ok(), "cargo xtask fuzz {name} {}", file.display());
    }
}

#[test]
fn every_kept_input_of_every_target_holds() {
    for (name, target) in TARGETS {
        check(name, target);
    }
}
