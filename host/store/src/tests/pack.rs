use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::process::Command;

use proptest::prelude::*;

use super::*;
use crate::pack::pack_with;
use crate::{BadPath, LinkProblem, PackError, Packed, pack};

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn unpacked(packed: &Packed) -> BTreeMap<String, String> {
    let (_folder, store) = store();
    store.put_zip(&packed.digest, Cursor::new(&packed.zip)).unwrap();
    listing(&store.folder(&packed.digest))
}

#[test]
fn a_packed_folder_unpacks_to_the_same() {
    let source = folder(&[("app.py", "print()"), ("lib/x.py", ""), ("bin/run", "#!/bin/sh")]);
    fs::create_dir(source.path().join("empty")).unwrap();
    symlink("../app.py", source.path().join("lib/app.py")).unwrap();
    for (path, mode) in [("app.py", 0o644), ("lib/x.py", 0o644), ("bin/run", 0o755)] {
        set_mode(&source.path().join(path), mode);
    }
    for path in ["lib", "bin", "empty"] {
        set_mode(&source.path().join(path), 0o755);
    }
    let packed = pack(source.path()).unwrap();
    assert_eq!(packed.digest, digest_of(&packed.zip));
    assert_eq!(unpacked(&packed), listing(source.path()));
}

#[test]
fn the_same_content_gives_the_same_bytes_whatever_its_age_order_and_modes() {
    let one = folder(&[("a", "1"), ("b/c", "2"), ("b.txt", "3")]);
    let other = folder(&[("b.txt", "3"), ("b/c", "2"), ("a", "1")]);
    set_mode(&other.path().join("a"), 0o600);
    set_mode(&other.path().join("b"), 0o700);
    let old = std::time::SystemTime::UNIX_EPOCH;
    fs::File::open(other.path().join("a")).unwrap().set_modified(old).unwrap();
    assert_eq!(pack(one.path()).unwrap(), pack(other.path()).unwrap());
    set_mode(&other.path().join("a"), 0o700);
    assert_ne!(pack(one.path()).unwrap(), pack(other.path()).unwrap());
}

#[test]
fn python_reads_what_is_packed() {
    let source = folder(&[("a/b", &"text ".repeat(1000)), ("gr\u{fc}n", "1"), ("empty", "")]);
    let packed = pack(source.path()).unwrap();
    let target = tempfile::tempdir().unwrap();
    let path = target.path().join("code.zip");
    fs::write(&path, packed.zip).unwrap();
    let run = |argument: &str| {
        let mut python = Command::new("python3");
        python.args(["-m", "zipfile", argument]).arg(&path);
        python
    };
    let test = run("-t").output().unwrap();
    assert!(test.status.success() && String::from_utf8_lossy(&test.stdout).contains("Done"));
    let out = target.path().join("out");
    assert!(run("-e").arg(&out).status().unwrap().success());
    let texts = |folder: &Path| {
        listing(folder).into_iter().map(|(path, shown)| (path, shown[3..].to_owned())).collect()
    };
    let (found, expected): (BTreeMap<_, _>, BTreeMap<_, _>) = (texts(&out), texts(source.path()));
    assert_eq!(found, expected);
}

#[test]
fn a_zip_is_taken_as_it_is_and_checked() {
    let source = folder(&[("a", "1")]);
    let packed = pack(source.path()).unwrap();
    let path = source.path().join("code.zip");
    fs::write(&path, &packed.zip).unwrap();
    assert_eq!(pack(&path).unwrap(), packed);
    fs::write(&path, b"not a zip").unwrap();
    let error = pack(&path).unwrap_err();
    assert!(matches!(&error, PackError::Zip { path: named, .. } if *named == path), "{error}");
}

#[test]
fn links_out_of_the_folder_are_refused_by_path() {
    for (target, expected) in [
        ("/etc/passwd", LinkProblem::Absolute),
        ("../../x", LinkProblem::Escapes),
        ("link", LinkProblem::TooManySteps),
    ] {
        let source = folder(&[("a/b", "1")]);
        let link = source.path().join("a/link");
        symlink(target, &link).unwrap();
        let error = pack(source.path()).unwrap_err();
        let PackError::Link { ref path, problem, .. } = error else { panic!("{error}") };
        assert_eq!((path, problem), (&link, expected));
        assert!(error.to_string().contains(link.to_str().unwrap()), "{error}");
    }
}

#[test]
fn sockets_and_pipes_are_refused_by_path() {
    let source = folder(&[("a/b", "1")]);
    let path = source.path().join("a/socket");
    let _socket = UnixListener::bind(&path).unwrap();
    let error = pack(source.path()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{} is a socket; code consists of files, folders and links, so move it elsewhere",
            path.display()
        )
    );
    fs::remove_file(&path).unwrap();
    let pipe = source.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let error = pack(source.path()).unwrap_err();
    assert!(matches!(error, PackError::SpecialFile { kind: "pipe", .. }), "{error}");
}

#[test]
fn what_cannot_be_read_is_named() {
    let missing = Path::new("/nowhere/at/all");
    let error = pack(missing).unwrap_err();
    assert!(matches!(&error, PackError::Read { path, .. } if path == missing), "{error}");
    let source = folder(&[("code.tar", "")]);
    let path = source.path().join("code.tar");
    assert!(matches!(pack(&path), Err(PackError::NoCode { .. })));
    // Root reads everything, so that there is nothing to see for it.
    let secret = source.path().join("secret");
    fs::write(&secret, "").unwrap();
    set_mode(&secret, 0);
    if fs::File::open(&secret).is_err() {
        let error = pack(source.path()).unwrap_err();
        assert!(matches!(&error, PackError::Read { path, .. } if *path == secret), "{error}");
    }
}

#[test]
fn names_that_a_zip_cannot_have_are_refused_by_path() {
    let source = folder(&[]);
    let name = std::ffi::OsStr::from_bytes(b"gr\xfcn");
    fs::write(source.path().join(name), "").unwrap();
    let error = pack(source.path()).unwrap_err();
    assert!(matches!(error, PackError::NameNotUtf8 { .. }), "{error}");
    let source = folder(&[("a\\b", "")]);
    let error = pack(source.path()).unwrap_err();
    assert!(matches!(error, PackError::BadPath { problem: BadPath::Backslash, .. }), "{error}");
}

#[test]
fn limits_hold_at_the_bound() {
    let limits = CodeLimits { unpacked_bytes: 6, entries: 3, path_bytes: 5, depth: 2 };
    let refused = |files: &[(&str, &str)]| pack_with(folder(files).path(), &limits).unwrap_err();
    pack_with(folder(&[("a/b", "123"), ("c", "456")]).path(), &limits).unwrap();
    assert!(matches!(refused(&[("a", "123"), ("b", "4567")]), PackError::TooLarge { .. }));
    assert!(matches!(
        refused(&[("a/b", ""), ("c", ""), ("d", "")]),
        PackError::TooManyEntries { .. }
    ));
    assert!(matches!(refused(&[("123456", "")]), PackError::BadPath { .. }));
    assert!(matches!(refused(&[("a/b/c", "")]), PackError::BadPath { .. }));
    let large = folder(&[("a.zip", "1234567")]);
    let error = pack_with(&large.path().join("a.zip"), &limits).unwrap_err();
    assert!(matches!(error, PackError::TooLarge { .. }), "{error}");
}

proptest! {
    #[test]
    fn any_folder_comes_back(
        files in proptest::collection::btree_map("[a-c]{1,2}(/[a-c]{1,2}){0,2}", ".{0,40}", 0..8),
    ) {
        let source = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = source.path().join(path);
            // A file may already stand where a folder should be, or the other way round.
            if fs::create_dir_all(path.parent().unwrap()).is_ok() && !path.exists() {
                fs::write(&path, content).unwrap();
                set_mode(&path, 0o644);
            }
        }
        let plain = |listing: BTreeMap<String, String>| -> Vec<_> {
            listing.into_iter().map(|(path, shown)| (path, shown[3..].to_owned())).collect()
        };
        let packed = pack(source.path()).unwrap();
        prop_assert_eq!(plain(unpacked(&packed)), plain(listing(source.path())));
    }
}
