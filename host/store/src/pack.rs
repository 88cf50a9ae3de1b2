use std::fs::{self, File};
use std::io::{self, Cursor, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use flate2::write::DeflateEncoder;
use flate2::{Compression, Crc};

use crate::CodeLimits;
use crate::code_store::digest_of;
use crate::entry_path::{self, BadPath};
use crate::links::{self, LinkProblem, Node, Tree};
use crate::zip_format::{
    CENTRAL_SIGNATURE, DEFLATED, END_SIGNATURE, FLAG_UTF8, LOCAL_SIGNATURE, MODE_EXECUTE,
    MODE_FILE, MODE_FOLDER, MODE_LINK, STORED, UNIX_SYSTEMS,
};
use crate::zip_plan::{self, ZipRefused};

const BUFFER_BYTES: usize = 64 << 10;
/// Version 2.0 of the format: deflate and folders.
const VERSION: u16 = 20;
/// 1 January 1980 as MS-DOS writes it, the first moment that a zip can name.
const FIXED_DATE: u16 = 1 << 5 | 1;
/// Most entries of the form that is written here; larger archives need the 64-bit form.
const MAX_ENTRIES: u64 = 0xfffe;

/// Code of a function, ready to be stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Packed {
    /// The SHA-256 of the zip, in lower-case hexadecimal digits.
    pub digest: String,
    /// The bytes of the zip.
    pub zip: Vec<u8>,
}

impl std::fmt::Debug for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Packed({}, {} bytes)", self.digest, self.zip.len())
    }
}

/// Why code could not be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// A file or folder could not be read.
    #[error("read {path}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The zip would be refused by the hub.
    #[error("{path} cannot be used as code")]
    Zip {
        /// The zip.
        path: PathBuf,
        /// Why.
        source: ZipRefused,
    },
    /// The path is neither a folder nor a zip.
    #[error("{path} is neither a folder nor a file whose name ends with .zip")]
    NoCode {
        /// The path.
        path: PathBuf,
    },
    /// The folder holds something that is neither file, folder nor link.
    #[error("{path} is a {kind}; code consists of files, folders and links, so move it elsewhere")]
    SpecialFile {
        /// The path.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// A link does not stay inside the folder.
    #[error("the link {path} to {target:?} cannot be packed: {problem}; copy what it points to")]
    Link {
        /// The link.
        path: PathBuf,
        /// Where it points to.
        target: String,
        /// Why it is refused.
        problem: LinkProblem,
    },
    /// A file or folder has a name that cannot be in a zip.
    #[error("{path} cannot be packed: its name is not UTF-8; rename it")]
    NameNotUtf8 {
        /// The file or folder.
        path: PathBuf,
    },
    /// A file or folder has a path that would be refused by the hub.
    #[error("{path} cannot be packed: {problem}")]
    BadPath {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        problem: BadPath,
    },
    /// There are more files, folders and links than the limit.
    #[error("{path} has more than {limit} files, folders and links")]
    TooManyEntries {
        /// The folder that is packed.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// The files are larger than the limit.
    #[error("the files have more than {limit} bytes together; {path} goes beyond")]
    TooLarge {
        /// The file that went beyond it, or the zip.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
}

/// Packs the code at `path`: a folder, or a zip that was made elsewhere, which stays as it is. The
/// same folder gives the same bytes: sorted, without times and owners; of modes only whether the
/// owner may execute a file.
///
/// # Errors
/// Fails with [`PackError`] when something cannot be read or would be refused by the hub. Content of
/// a zip made elsewhere is not unpacked here, only its directory is checked.
pub fn pack(path: &Path) -> Result<Packed, PackError> {
    pack_with(path, &CodeLimits::default())
}

pub(crate) fn pack_with(path: &Path, limits: &CodeLimits) -> Result<Packed, PackError> {
    let metadata = at(path, fs::metadata(path))?;
    let zip = if metadata.is_dir() {
        pack_folder(path, limits)?
    } else if metadata.is_file() && path.extension().is_some_and(|extension| extension == "zip") {
        read_zip(path, limits)?
    } else {
        return Err(PackError::NoCode { path: path.to_owned() });
    };
    Ok(Packed { digest: digest_of(&zip), zip })
}

fn at<T>(path: &Path, result: io::Result<T>) -> Result<T, PackError> {
    result.map_err(|source| PackError::Read { path: path.to_owned(), source })
}

fn read_zip(path: &Path, limits: &CodeLimits) -> Result<Vec<u8>, PackError> {
    let limit = limits.unpacked_bytes;
    let mut zip = Vec::new();
    at(path, File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut zip)))?;
    if zip.len() as u64 > limit {
        return Err(PackError::TooLarge { path: path.to_owned(), limit });
    }
    zip_plan::plan(&mut Cursor::new(&zip), limits)
        .map_err(|source| PackError::Zip { path: path.to_owned(), source })?;
    Ok(zip)
}

fn pack_folder(root: &Path, limits: &CodeLimits) -> Result<Vec<u8>, PackError> {
    let mut walk = Walk { root, limits, tree: Tree::new() };
    walk.folder(root, "")?;
    links::check_links(&walk.tree).map_err(|(path, target, problem)| {
        let path = root.join(path);
        PackError::Link { path, target, problem }
    })?;
    let mut writer = ZipWriter::default();
    let mut left = limits.unpacked_bytes;
    for (path, node) in &walk.tree {
        match node {
            Node::Folder => writer.add(&format!("{path}/"), MODE_FOLDER | 0o755, b""),
            Node::Link { target } => writer.add(path, MODE_LINK | 0o777, target.as_bytes()),
            Node::File => add_file(&mut writer, &root.join(path), path, &mut left, limits)?,
        }
    }
    Ok(writer.finish())
}

fn add_file(
    writer: &mut ZipWriter,
    source: &Path,
    path: &str,
    left: &mut u64,
    limits: &CodeLimits,
) -> Result<(), PackError> {
    let mut file = at(source, File::open(source))?;
    let executable = at(source, file.metadata())?.permissions().mode() & MODE_EXECUTE & 0o700 != 0;
    let mut entry = writer.begin(path, MODE_FILE | if executable { 0o755 } else { 0o644 });
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                *left = left.checked_sub(read as u64).ok_or_else(|| PackError::TooLarge {
                    path: source.to_owned(),
                    limit: limits.unpacked_bytes,
                })?;
                entry.write(&buffer[..read]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return at(source, Err(error)),
        }
    }
    entry.finish();
    Ok(())
}

/// Collects what is in a folder.
struct Walk<'a> {
    root: &'a Path,
    limits: &'a CodeLimits,
    tree: Tree,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, above: &str) -> Result<(), PackError> {
        for entry in at(folder, fs::read_dir(folder))? {
            let entry = at(folder, entry)?;
            let source = entry.path();
            let Ok(name) = entry.file_name().into_string() else {
                return Err(PackError::NameNotUtf8 { path: source });
            };
            let path = if above.is_empty() { name } else { format!("{above}/{name}") };
            entry_path::inside_folder(&path, self.limits)
                .map_err(|problem| PackError::BadPath { path: source.clone(), problem })?;
            let kind = at(&source, entry.file_type())?;
            let node = node(&source, kind, self.limits)?;
            self.add(&path, node)?;
            if kind.is_dir() {
                self.folder(&source, &path)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &str, node: Node) -> Result<(), PackError> {
        self.tree.insert(path.to_owned(), node);
        let limit = self.limits.entries.min(MAX_ENTRIES);
        if self.tree.len() as u64 > limit {
            return Err(PackError::TooManyEntries { path: self.root.to_owned(), limit });
        }
        Ok(())
    }
}

fn node(path: &Path, kind: fs::FileType, limits: &CodeLimits) -> Result<Node, PackError> {
    if kind.is_dir() {
        return Ok(Node::Folder);
    }
    if kind.is_file() {
        return Ok(Node::File);
    }
    if kind.is_symlink() {
        let target = at(path, fs::read_link(path))?.to_string_lossy().into_owned();
        return match links::check_target(&target, limits) {
            Ok(()) => Ok(Node::Link { target }),
            Err(problem) => Err(PackError::Link { path: path.to_owned(), target, problem }),
        };
    }
    let kind = match (kind.is_socket(), kind.is_fifo()) {
        (true, _) => "socket",
        (_, true) => "pipe",
        _ => "device",
    };
    Err(PackError::SpecialFile { path: path.to_owned(), kind })
}

/// Writes an archive into memory.
#[derive(Default)]
struct ZipWriter {
    out: Vec<u8>,
    directory: Vec<u8>,
    entries: u16,
}

/// An entry whose content is being written.
struct EntryWriter<'a> {
    zip: &'a mut ZipWriter,
    path: &'a str,
    mode: u32,
    start: usize,
    checksum: Crc,
    data: DeflateEncoder<Vec<u8>>,
}

impl ZipWriter {
    fn add(&mut self, path: &str, mode: u32, content: &[u8]) {
        let mut entry = self.begin(path, mode);
        entry.write(content);
        entry.finish();
    }

    fn begin<'a>(&'a mut self, path: &'a str, mode: u32) -> EntryWriter<'a> {
        let start = self.out.len();
        let data = DeflateEncoder::new(Vec::new(), Compression::default());
        EntryWriter { zip: self, path, mode, start, checksum: Crc::new(), data }
    }

    fn finish(mut self) -> Vec<u8> {
        let offset = size(self.out.len());
        self.out.extend_from_slice(&self.directory);
        put_u32(&mut self.out, END_SIGNATURE);
        put_u32(&mut self.out, 0);
        put_u16(&mut self.out, self.entries);
        put_u16(&mut self.out, self.entries);
        put_u32(&mut self.out, size(self.directory.len()));
        put_u32(&mut self.out, offset);
        put_u16(&mut self.out, 0);
        self.out
    }
}

impl EntryWriter<'_> {
    fn write(&mut self, bytes: &[u8]) {
        self.checksum.update(bytes);
        self.data.write_all(bytes).expect("writing to memory does not fail");
    }

    fn finish(self) {
        let data = self.data.finish().expect("writing to memory does not fail");
        // An empty content has no use for a method.
        let (method, data) =
            if self.checksum.amount() == 0 { (STORED, Vec::new()) } else { (DEFLATED, data) };
        let mut common = Vec::new();
        put_u16(&mut common, VERSION);
        put_u16(&mut common, if self.path.is_ascii() { 0 } else { FLAG_UTF8 });
        put_u16(&mut common, method);
        put_u16(&mut common, 0);
        put_u16(&mut common, FIXED_DATE);
        put_u32(&mut common, self.checksum.sum());
        put_u32(&mut common, size(data.len()));
        put_u32(&mut common, self.checksum.amount());
        put_u16(&mut common, u16::try_from(self.path.len()).expect("paths have a limit"));
        put_u16(&mut common, 0);

        let directory = &mut self.zip.directory;
        put_u32(directory, CENTRAL_SIGNATURE);
        put_u16(directory, u16::from(UNIX_SYSTEMS[0]) << 8 | VERSION);
        directory.extend_from_slice(&common);
        // Comment length, disk number and internal attributes are zero.
        directory.extend_from_slice(&[0; 6]);
        put_u32(directory, self.mode << 16);
        put_u32(directory, size(self.start));
        directory.extend_from_slice(self.path.as_bytes());

        let out = &mut self.zip.out;
        put_u32(out, LOCAL_SIGNATURE);
        out.extend_from_slice(&common);
        out.extend_from_slice(self.path.as_bytes());
        out.extend_from_slice(&data);
        self.zip.entries += 1;
    }
}

fn size(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("the limits keep archives below 4 GiB")
}

fn put_u16(out: &mut Vec<u8>, number: u16) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_u32(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(&number.to_le_bytes());
}
