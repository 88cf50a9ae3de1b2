use super::crafted::{Crafted, zip};
use super::*;
use crate::{BadPath, ZipRefused};

fn small() -> CodeLimits {
    CodeLimits { unpacked_bytes: 100, entries: 4, path_bytes: 20, depth: 3 }
}

fn accepted(entries: &[Crafted]) {
    put(&store_with(small()).1, &zip(entries)).unwrap();
}

#[test]
fn the_size_limit_counts_all_files_and_holds_at_the_bound() {
    let half = Crafted::file("a", &"x".repeat(50));
    accepted(&[half.clone(), Crafted::file("b", &"x".repeat(50))]);
    let error = refusal_by(small(), &zip(&[half, Crafted::file("b", &"x".repeat(51))]));
    let ZipRefused::TooLarge { limit: 100, ref entry } = error else { panic!("{error}") };
    assert_eq!(entry, "b");
}

#[test]
fn the_entry_limit_counts_folders_that_no_entry_names() {
    let file = |name| Crafted::file(name, "");
    accepted(&[file("a"), file("b"), file("c"), file("d")]);
    accepted(&[file("a/b/c"), file("d")]);
    for entries in [&["a", "b", "c", "d", "e"][..], &["a/b/c", "d", "e"]] {
        let entries: Vec<_> = entries.iter().map(|name| file(name)).collect();
        let error = refusal_by(small(), &zip(&entries));
        assert!(matches!(error, ZipRefused::TooManyEntries { limit: 4 }), "{error}");
    }
}

#[test]
fn the_path_limits_hold_at_the_bound() {
    accepted(&[Crafted::file(&"a".repeat(20), "")]);
    accepted(&[Crafted::file("a/b/c", "")]);
    for (name, expected) in [
        ("a".repeat(21), BadPath::TooLong { length: 21, limit: 20 }),
        ("a/b/c/d".to_owned(), BadPath::TooDeep { depth: 4, limit: 3 }),
    ] {
        let error = refusal_by(small(), &zip(&[Crafted::file(&name, "")]));
        let ZipRefused::BadPath { problem, .. } = error else { panic!("{error}") };
        assert_eq!(problem, expected);
    }
}

/// Returns the most memory that the process has used so far, in KiB.
fn peak_memory_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Ten gibibytes of zeros in a zip of ten mebibytes.
#[test]
fn a_zip_of_ten_gigabytes_of_zeros_is_refused_in_bounded_memory() {
    let bomb = zip(&[Crafted::zeros("zeros", 10 << 10)]);
    let before = peak_memory_kib();
    let error = refusal(&bomb);
    let grown = peak_memory_kib() - before;
    let ZipRefused::TooLarge { limit, ref entry } = error else { panic!("{error}") };
    assert_eq!((limit, entry.as_str()), (250 << 20, "zeros"));
    // Other tests run meanwhile in the same process.
    assert!(grown < 150 << 10, "{grown} KiB more");
}

#[test]
fn many_entries_that_share_the_same_data_count_each() {
    let entry = Crafted::zeros("a", 60);
    let entries: Vec<_> = (0..5)
        .map(|n| Crafted {
            name: format!("zeros{n}").into_bytes(),
            crc: zeros_crc(60),
            ..entry.clone()
        })
        .collect();
    let error = refusal(&zip(&entries));
    assert!(matches!(&error, ZipRefused::TooLarge { entry, .. } if entry == "zeros4"), "{error}");
}

fn zeros_crc(megabytes: usize) -> u32 {
    let mut crc = flate2::Crc::new();
    for _ in 0..megabytes {
        crc.update(&vec![0; 1 << 20]);
    }
    crc.sum()
}
