use super::crafted::{Crafted, end, zip};
use super::*;
use crate::{BadPath, LinkProblem, ZipRefused};

fn refusal_of(entries: &[Crafted]) -> ZipRefused {
    refusal(&zip(entries))
}

#[test]
fn entries_that_lead_out_of_the_folder_are_refused_by_name() {
    let names = [
        ("../evil", BadPath::ParentFolder),
        ("a/../../evil", BadPath::ParentFolder),
        ("/etc/evil", BadPath::Absolute),
        ("..\\evil", BadPath::Backslash),
        ("C:\\evil", BadPath::Backslash),
        ("c:/evil", BadPath::DriveLetter),
        ("a\0b", BadPath::ControlCharacter),
    ];
    for (name, expected) in names {
        let error = refusal_of(&[Crafted::file("good", ""), Crafted::file(name, "x")]);
        let ZipRefused::BadPath { ref entry, problem } = error else { panic!("{error}") };
        assert_eq!((entry.as_str(), problem), (name, expected));
        assert!(error.to_string().contains(&format!("{name:?}")), "{error}");
    }
}

#[test]
fn a_name_that_is_not_utf8_is_refused() {
    let entry = Crafted { name: b"gr\xfcn".to_vec(), ..Crafted::file("", "") };
    let error = refusal_of(&[entry]);
    assert!(
        matches!(&error, ZipRefused::NameNotUtf8 { entry } if entry == "gr\u{fffd}n"),
        "{error}"
    );
}

#[test]
fn a_path_that_is_there_twice_is_refused_however_it_is_written() {
    for second in ["a/b", "a//b", "./a/b"] {
        let error = refusal_of(&[Crafted::file("a/b", "1"), Crafted::file(second, "2")]);
        assert!(matches!(&error, ZipRefused::Duplicate { entry } if entry == "a/b"), "{error}");
    }
    let error = refusal_of(&[Crafted::file("a", ""), Crafted::new("a/", 0o040_755, 0, b"")]);
    assert!(matches!(error, ZipRefused::Duplicate { .. }), "{error}");
}

#[test]
fn an_entry_below_a_file_or_a_link_is_refused() {
    for above in [Crafted::file("a", "x"), Crafted::link("a", "b")] {
        let error = refusal_of(&[Crafted::file("a/b/c", "x"), above]);
        let ZipRefused::BelowNoFolder { ref entry, ref above } = error else { panic!("{error}") };
        assert_eq!((entry.as_str(), above.as_str()), ("a/b/c", "a"));
    }
}

#[test]
fn links_out_of_the_folder_are_refused_by_name_and_target() {
    let links = [
        ("/etc/passwd", LinkProblem::Absolute),
        ("../../x", LinkProblem::Escapes),
        ("b/../../..", LinkProblem::Escapes),
        ("", LinkProblem::BadTarget),
        ("l", LinkProblem::TooManySteps),
    ];
    for (to, expected) in links {
        let error = refusal_of(&[Crafted::file("a/file", ""), Crafted::link("a/l", to)]);
        let ZipRefused::Link { ref entry, ref target, problem } = error else { panic!("{error}") };
        assert_eq!((entry.as_str(), target.as_str(), problem), ("a/l", to, expected));
    }
}

#[test]
fn a_link_target_longer_than_a_path_is_refused() {
    let error = refusal_of(&[Crafted::link("l", &"a/".repeat(2000))]);
    assert!(matches!(&error, ZipRefused::TooLarge { entry, .. } if entry == "l"), "{error}");
}

#[test]
fn special_files_are_refused() {
    for mode in [0o010_644, 0o020_644, 0o060_644, 0o140_644] {
        let error = refusal_of(&[Crafted::new("dev", mode, 0, b"")]);
        let ZipRefused::SpecialFile { ref entry, mode: found } = error else { panic!("{error}") };
        assert_eq!((entry.as_str(), found), ("dev", mode));
    }
}

#[test]
fn encrypted_entries_and_unknown_methods_are_refused() {
    for flag in [1, 1 << 6, 1 << 13] {
        let error = refusal_of(&[Crafted { flags: flag, ..Crafted::file("secret", "x") }]);
        assert!(matches!(&error, ZipRefused::Encrypted { entry } if entry == "secret"), "{error}");
    }
    let error = refusal_of(&[Crafted { method: 12, ..Crafted::file("a", "x") }]);
    assert!(matches!(error, ZipRefused::Method { method: 12, .. }), "{error}");
}

#[test]
fn a_wrong_checksum_is_refused() {
    for method in [0, 8] {
        let mut entry = Crafted::new("a", 0o100_644, method, b"content");
        entry.crc ^= 1;
        let error = refusal_of(&[Crafted::file("b", "x"), entry]);
        assert!(matches!(&error, ZipRefused::Checksum { entry } if entry == "a"), "{error}");
    }
}

#[test]
fn sizes_that_lie_are_refused() {
    for (method, lie) in [(0, 3), (0, 30), (8, 3), (8, 30), (8, 0)] {
        let mut entry = Crafted::new("a", 0o100_644, method, b"content");
        entry.unpacked_bytes = lie;
        let error = refusal_of(&[entry]);
        assert!(matches!(&error, ZipRefused::Damaged { entry, .. } if entry == "a"), "{error}");
    }
    let mut entry = Crafted::new("a", 0o100_644, 0, b"content");
    entry.compressed_bytes = 5000;
    let error = refusal_of(&[entry]);
    assert!(matches!(error, ZipRefused::Damaged { .. }), "{error}");
}

#[test]
fn broken_compressed_data_is_refused() {
    let whole = Crafted::file("a", &"many words ".repeat(100));
    for broken in [vec![0xff; whole.data.len()], whole.data[..whole.data.len() / 2].to_vec()] {
        let compressed_bytes = broken.len().try_into().unwrap();
        let entry = Crafted { data: broken, compressed_bytes, ..whole.clone() };
        let error = refusal_of(&[entry]);
        assert!(matches!(&error, ZipRefused::Damaged { entry, .. } if entry == "a"), "{error}");
    }
}

#[test]
fn a_header_that_disagrees_with_the_directory_is_refused() {
    let entry = Crafted { local_name: Some(b"bad".to_vec()), ..Crafted::file("good", "x") };
    let error = refusal_of(&[entry]);
    assert!(matches!(&error, ZipRefused::Damaged { entry, .. } if entry == "good"), "{error}");
}

#[test]
fn an_archive_cut_off_anywhere_is_refused() {
    let whole = zip(&[Crafted::file("a/b", "content"), Crafted::link("l", "a")]);
    for length in 0..whole.len() {
        let error = refusal(&whole[..length]);
        assert!(matches!(error, ZipRefused::NotAZip { .. }), "{length}: {error}");
    }
}

#[test]
fn what_is_no_zip_is_refused() {
    let good = zip(&[Crafted::file("a", "x")]);
    let prefixed = [b"#!/bin/sh\n".to_vec(), good.clone()].concat();
    let followed = [good.clone(), b"more".to_vec()].concat();
    let twice = [good.clone(), good].concat();
    let many = end(1000, 0, 0);
    for bytes in [b"PK".to_vec(), vec![0; 5000], prefixed, followed, twice, many] {
        let error = refusal(&bytes);
        assert!(matches!(error, ZipRefused::NotAZip { .. }), "{error}");
    }
}

#[test]
fn other_bytes_than_announced_are_refused() {
    let (_folder, store) = store();
    let good = zip(&[Crafted::file("a", "x")]);
    let announced = "0".repeat(64);
    let error = store.put_zip(&announced, Cursor::new(&good)).unwrap_err();
    let PutCodeError::OtherDigest { found, .. } = error else { panic!("{error}") };
    assert_eq!(found, digest_of(&good));
    assert!(!store.has(&announced) && !store.has(&found));
}

#[test]
fn what_is_no_digest_is_refused() {
    let (_folder, store) = store();
    let upper = "A".repeat(64);
    for digest in ["", "../../etc", "abc", upper.as_str()] {
        let error = store.put_zip(digest, Cursor::new(b"")).unwrap_err();
        assert!(matches!(error, PutCodeError::BadDigest { .. }), "{error}");
        assert!(!store.has(digest));
    }
}

mod any_bytes {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A changed archive is unpacked or refused; nothing appears outside, nothing is left.
        #[test]
        fn a_changed_archive_is_unpacked_or_refused(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        ) {
            let entries = [
                Crafted::file("a/b", "content"),
                Crafted::link("a/l", "b"),
                Crafted::new("c", 0o100_755, 0, b"stored"),
            ];
            let mut bytes = zip(&entries);
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let outside = tempfile::tempdir().unwrap();
            let store = CodeStore::open(&outside.path().join("code")).unwrap();
            let put = put(&store, &bytes);
            let left = listing(outside.path());
            prop_assert!(left.keys().all(|path| path.starts_with("code")));
            prop_assert_eq!(put.is_err(), left.len() == 1, "{:?} {:?}", put, left);
        }
    }
}
