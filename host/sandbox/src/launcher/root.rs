//! The root of all workers: one small tmpfs that is built once and shared.
//!
//! The launcher sees it writable, each worker gets a read-only view. Programs and libraries are the
//! host's own, bound read-only, so that they exist once on disk and once in the page cache. `/etc` is
//! made here: nothing of the host's configuration is in it but the loader's cache, the certificate
//! authorities and the `alternatives` links.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind_recursive, mount_change};

use super::sys;

/// Folders that every root has; the last four are mount points of each worker.
const FOLDERS: [&str; 10] =
    ["etc", "opt", "run", "usr", "var", "dev", "dev/shm", "proc", "var/task", "var/runtime"];
/// Folders of the host that hold programs; on most systems links into `/usr`.
const PROGRAMS: [&str; 6] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"];
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];
const DEVICE_LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];
/// Files of the host that are copied when they exist.
const COPIES: [&str; 3] = ["ld.so.cache", "ld.so.conf", "ssl/openssl.cnf"];
/// Folders of the host's `/etc` that are bound when they exist.
const BOUND_ETC: [&str; 5] =
    ["ld.so.conf.d", "alternatives", "ssl/certs", "pki/tls/certs", "pki/ca-trust"];

/// Number of the worker's user as it sees itself.
pub(crate) const WORKER_USER: u32 = 1000;

const ETC: [(&str, &str); 7] = [
    ("passwd", "root:x:0:0:root:/:/bin/false\nworker:x:1000:1000:worker:/tmp:/bin/sh\n"),
    ("group", "root:x:0:\nworker:x:1000:\n"),
    ("hosts", "127.0.0.1 localhost sandbox.localdomain sandbox\n::1 localhost\n"),
    ("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n"),
    ("resolv.conf", ""),
    ("host.conf", "multi on\n"),
    ("hostname", "worker\n"),
];

/// Builds the root below the state folder, in the current mount namespace, and returns its path.
pub(crate) fn build(state_folder: &Path) -> Result<PathBuf, String> {
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .map_err(|error| format!("making the mounts private: {error}"))?;
    let root = state_folder.join("root");
    type Step = fn(&Path) -> io::Result<()>;
    let steps: [(&str, Step); 5] = [
        ("mounting the root", mount_root),
        ("making folders", make_folders),
        ("binding programs", bind_programs),
        ("making /dev", make_devices),
        ("making /etc", make_etc),
    ];
    for (what, step) in steps {
        step(&root).map_err(|error| format!("{what} in {}: {error}", root.display()))?;
    }
    Ok(root)
}

fn mount_root(root: &Path) -> io::Result<()> {
    fs::create_dir_all(root)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    Ok(mount("tomte", root, "tmpfs", flags, c"mode=755,size=32m,nr_inodes=8k")?)
}

fn make_folders(root: &Path) -> io::Result<()> {
    FOLDERS.iter().try_for_each(|folder| make_folder(&root.join(folder)))?;
    make_folder(&root.join("tmp"))?;
    symlink("../tmp", root.join("var/tmp"))
}

/// Makes a folder that everybody can read, whatever the mask of the process says.
fn make_folder(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

fn bind_programs(root: &Path) -> io::Result<()> {
    bind_read_only(Path::new("/usr"), &root.join("usr"))?;
    for name in PROGRAMS {
        let (here, there) = (Path::new("/").join(name), root.join(name));
        match fs::symlink_metadata(&here) {
            Ok(found) if found.is_symlink() => symlink(fs::read_link(&here)?, there)?,
            Ok(found) if found.is_dir() => {
                make_folder(&there)?;
                bind_read_only(&here, &there)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn bind_read_only(here: &Path, there: &Path) -> io::Result<()> {
    mount_bind_recursive(here, there)?;
    sys::make_read_only(there)
}

fn make_devices(root: &Path) -> io::Result<()> {
    let devices = root.join("dev");
    for name in DEVICES {
        let there = devices.join(name);
        fs::write(&there, "")?;
        mount_bind_recursive(Path::new("/dev").join(name), &there)?;
    }
    DEVICE_LINKS.iter().try_for_each(|(name, target)| symlink(target, devices.join(name)))
}

fn make_etc(root: &Path) -> io::Result<()> {
    let (here, there) = (Path::new("/etc"), root.join("etc"));
    for (name, content) in ETC {
        write_readable(&there.join(name), content.as_bytes())?;
    }
    for name in COPIES {
        if let Ok(content) = fs::read(here.join(name)) {
            write_readable(&there.join(name), &content)?;
        }
    }
    for name in BOUND_ETC.iter().filter(|name| here.join(name).is_dir()) {
        make_folder(&there.join(name))?;
        bind_read_only(&here.join(name), &there.join(name))?;
    }
    symlink("/usr/share/zoneinfo/UTC", there.join("localtime"))?;
    symlink("../usr/lib/os-release", there.join("os-release"))?;
    symlink("/proc/self/mounts", there.join("mtab"))
}

fn write_readable(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    fs::write(path, content)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644))
}
