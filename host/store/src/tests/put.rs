use std::collections::BTreeSet;
use std::process::Command;

use super::crafted::{Crafted, zip};
use super::*;

#[test]
fn a_zip_is_unpacked_with_plain_modes() {
    let (_folder, store) = store();
    let mut dos = Crafted::file("dos.txt", "from MS-DOS");
    dos.system = 0;
    let zip = zip(&[
        Crafted::file("app.py", "print()"),
        Crafted::new("bin/tool", 0o104_755, 8, b"setuid"),
        Crafted::new("bin/only-others", 0o100_001, 0, b"x"),
        Crafted::new("empty/", 0o040_700, 0, b""),
        Crafted::link("latest", "bin/../bin/tool"),
        Crafted::file("private", "").with_mode(0o100_600),
        Crafted::file("gr\u{fc}n", "utf-8"),
        dos,
    ]);
    assert_eq!(put(&store, &zip).unwrap(), PutOutcome::Stored);
    assert!(store.has(&digest_of(&zip)));
    let found = listing(&store.folder(&digest_of(&zip)));
    let expected = expect(&[
        ("app.py", "644 print()"),
        ("bin", "755 folder"),
        ("bin/tool", "755 setuid"),
        ("bin/only-others", "755 x"),
        ("empty", "755 folder"),
        ("latest", "link to bin/../bin/tool"),
        ("private", "644 "),
        ("gr\u{fc}n", "644 utf-8"),
        ("dos.txt", "644 from MS-DOS"),
    ]);
    assert_eq!(found, expected);
}

#[test]
fn the_folder_is_readable_by_all() {
    let (folder, store) = store();
    let zip = zip(&[Crafted::file("a", "")]);
    put(&store, &zip).unwrap();
    assert_eq!(listing(folder.path())[&digest_of(&zip)], "755 folder");
}

#[test]
fn code_that_is_there_is_not_read_again() {
    let (_folder, store) = store();
    let zip = zip(&[Crafted::file("a", "x")]);
    put(&store, &zip).unwrap();
    let again = store.put_zip(&digest_of(&zip), Cursor::new(b"")).unwrap();
    assert_eq!(again, PutOutcome::AlreadyThere);
}

#[test]
fn an_empty_archive_is_an_empty_folder() {
    let (_folder, store) = store();
    put(&store, &zip(&[])).unwrap();
    assert_eq!(listing(&store.folder(&digest_of(&zip(&[])))), expect(&[]));
}

#[test]
fn code_that_nothing_names_is_removed() {
    let (folder, store) = store();
    let (kept, unused) = (zip(&[Crafted::file("a", "kept")]), zip(&[Crafted::file("a", "unused")]));
    put(&store, &kept).unwrap();
    put(&store, &unused).unwrap();
    let keep = BTreeSet::from([digest_of(&kept)]);
    assert_eq!(store.remove_unused(&keep).unwrap(), BTreeSet::from([digest_of(&unused)]));
    assert!(store.has(&digest_of(&kept)) && !store.has(&digest_of(&unused)));
    assert_eq!(listing(folder.path()).len(), 2);
}

#[test]
fn a_disk_that_cannot_be_written_leaves_nothing() {
    let (folder, store) = store();
    let zip = zip(&[Crafted::file("a", "x")]);
    fs::remove_dir(folder.path()).unwrap();
    let error = put(&store, &zip).unwrap_err();
    assert!(matches!(error, PutCodeError::Write { .. }) && !error.is_full(), "{error}");
}

/// Makes a zip of `folder` with Python, as many users do.
fn python_zip(folder: &Path) -> Vec<u8> {
    let zip = folder.with_extension("zip");
    let names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let status = Command::new("python3")
        .args(["-m", "zipfile", "-c"])
        .arg(&zip)
        .args(names)
        .current_dir(folder)
        .status()
        .unwrap();
    assert!(status.success());
    fs::read(zip).unwrap()
}

#[test]
fn a_zip_that_python_made_is_unpacked() {
    let outside = tempfile::tempdir().unwrap();
    let folder = outside.path().join("source");
    fs::create_dir_all(folder.join("pack\u{e4}ge")).unwrap();
    fs::write(folder.join("app.py"), "import os\n".repeat(1000)).unwrap();
    fs::write(folder.join("pack\u{e4}ge/__init__.py"), "").unwrap();
    let (_folder, store) = store();
    let zip = python_zip(&folder);
    put(&store, &zip).unwrap();
    assert_eq!(listing(&store.folder(&digest_of(&zip))), listing(&folder));
}

#[test]
fn a_zip_that_python_wrote_to_a_pipe_with_64_bit_sizes_is_unpacked() {
    // A pipe cannot seek: sizes and checksums come behind the data, as in a stream.
    let script = "
import sys, zipfile
class Pipe:
    def write(self, data): return sys.stdout.buffer.write(data)
    def flush(self): pass
with zipfile.ZipFile(Pipe(), 'w', zipfile.ZIP_DEFLATED) as z:
    with z.open('large.txt', 'w', force_zip64=True) as f: f.write(b'x' * 100000)
    z.writestr('small.txt', 'y')
    z.comment = b'a comment with PK' + bytes([5, 6])
";
    let output = Command::new("python3").args(["-c", script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (_folder, store) = store();
    put(&store, &output.stdout).unwrap();
    let found = listing(&store.folder(&digest_of(&output.stdout)));
    assert_eq!(found["large.txt"], format!("644 {}", "x".repeat(100_000)));
    assert_eq!(found["small.txt"], "644 y");
}

#[test]
fn an_archive_with_more_entries_than_16_bits_count_is_read_in_its_64_bit_form() {
    let script = "
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w') as z:
    for n in range(70000): z.writestr(f'{n // 1000}/{n}', '')
";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("many.zip");
    let status = Command::new("python3").args(["-c", script]).arg(&path).status().unwrap();
    assert!(status.success());
    let mut zip = fs::File::open(path).unwrap();
    let plan = crate::zip_plan::plan(&mut zip, &CodeLimits::default()).unwrap();
    assert_eq!(plan.files.len(), 70_000);
    let limits = CodeLimits { entries: 69_999, ..CodeLimits::default() };
    let error = crate::zip_plan::plan(&mut zip, &limits).unwrap_err();
    assert!(matches!(error, crate::ZipRefused::TooManyEntries { limit: 69_999 }), "{error}");
}

impl Crafted {
    fn with_mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }
}
