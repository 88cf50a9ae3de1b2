use std::collections::btree_map;
use std::io::{self, Read, Seek};

use crate::CodeLimits;
use crate::entry_path::{self, BadPath};
use crate::links::{self, LinkProblem, Node, Tree};
use crate::unpack::read_link_target;
use crate::zip_directory::{self, Directory, Entry};
use crate::zip_format::{
    DEFLATED, FLAGS_ENCRYPTED, MODE_EXECUTE, MODE_FILE, MODE_FOLDER, MODE_KIND, MODE_LINK, STORED,
};

/// Why an archive is not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ZipRefused {
    /// It is no zip archive, or not a whole one.
    #[error("it is not a whole zip archive: {what}")]
    NotAZip {
        /// What was found.
        what: &'static str,
    },
    /// It could not be read.
    #[error("read the archive")]
    Read {
        /// What the system said.
        source: io::Error,
    },
    /// It has more files, folders and links than the limit.
    #[error("it has more than {limit} entries")]
    TooManyEntries {
        /// The limit.
        limit: u64,
    },
    /// Its files are larger than the limit.
    #[error("its files have more than {limit} bytes together; {entry:?} goes beyond")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
        /// The file that went beyond it.
        entry: String,
    },
    /// The name of an entry is not UTF-8.
    #[error("the name of the entry {entry:?} is not UTF-8")]
    NameNotUtf8 {
        /// The name, with signs in the place of what could not be read.
        entry: String,
    },
    /// The name of an entry is not a path inside a folder.
    #[error("the entry {entry:?} cannot be unpacked: {problem}")]
    BadPath {
        /// The name.
        entry: String,
        /// Why it is none.
        problem: BadPath,
    },
    /// Two entries have the same path.
    #[error("the entry {entry:?} is there twice")]
    Duplicate {
        /// The path.
        entry: String,
    },
    /// An entry lies below one that is no folder.
    #[error("the entry {entry:?} lies below {above:?}, which is not a folder")]
    BelowNoFolder {
        /// The path.
        entry: String,
        /// The path above.
        above: String,
    },
    /// An entry is encrypted.
    #[error("the entry {entry:?} is encrypted; pack it without a password")]
    Encrypted {
        /// The path.
        entry: String,
    },
    /// An entry is compressed in a way that is not read here.
    #[error("the entry {entry:?} is compressed by method {method}; pack it with deflate or stored")]
    Method {
        /// The path.
        entry: String,
        /// The number of the method.
        method: u16,
    },
    /// An entry is a device, a pipe or a socket.
    #[error("the entry {entry:?} is neither file, folder nor link (mode {mode:o})")]
    SpecialFile {
        /// The path.
        entry: String,
        /// Its Unix mode.
        mode: u32,
    },
    /// A link does not stay inside.
    #[error("the link {entry:?} to {target:?} cannot be unpacked: {problem}")]
    Link {
        /// The path.
        entry: String,
        /// Where it points to.
        target: String,
        /// Why it is refused.
        problem: LinkProblem,
    },
    /// The content of an entry does not fit its checksum.
    #[error("the checksum of the entry {entry:?} does not fit")]
    Checksum {
        /// The path.
        entry: String,
    },
    /// An entry contradicts itself.
    #[error("the entry {entry:?} is damaged: {what}")]
    Damaged {
        /// The path.
        entry: String,
        /// What was found.
        what: &'static str,
    },
}

/// A file to unpack.
#[derive(Debug)]
pub(crate) struct PlannedFile {
    pub(crate) path: String,
    pub(crate) executable: bool,
    pub(crate) entry: Entry,
}

/// What unpacking will do, with every name and link checked.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) directory: Directory,
    pub(crate) files: Vec<PlannedFile>,
    /// All that will be there; what lies above comes first.
    pub(crate) tree: Tree,
}

/// What an entry wants to be.
enum Kind {
    Folder,
    File { executable: bool },
    Link,
}

/// Reads the directory of `zip` and checks every entry, without unpacking any file.
pub(crate) fn plan<R: Read + Seek>(zip: &mut R, limits: &CodeLimits) -> Result<Plan, ZipRefused> {
    let mut directory = zip_directory::read(zip, limits)?;
    let entries = std::mem::take(&mut directory.entries);
    let mut plan = Plan { directory, files: Vec::new(), tree: Tree::new() };
    for entry in entries {
        let path = checked_path(&entry, limits)?;
        check_readable(&entry, &path)?;
        match kind(&entry, &path)? {
            Kind::Folder => add(&mut plan.tree, &path, Node::Folder)?,
            Kind::File { executable } => {
                add(&mut plan.tree, &path, Node::File)?;
                plan.files.push(PlannedFile { path, executable, entry });
            }
            Kind::Link => {
                let target = link_target(zip, &plan.directory, &entry, &path, limits)?;
                add(&mut plan.tree, &path, Node::Link { target })?;
            }
        }
    }
    add_folders_above(&mut plan.tree, limits)?;
    links::check_links(&plan.tree).map_err(|(entry, target, problem)| ZipRefused::Link {
        entry,
        target,
        problem,
    })?;
    Ok(plan)
}

fn checked_path(entry: &Entry, limits: &CodeLimits) -> Result<String, ZipRefused> {
    let Ok(name) = std::str::from_utf8(&entry.name) else {
        return Err(ZipRefused::NameNotUtf8 { entry: entry.shown_name() });
    };
    entry_path::inside_folder(name, limits)
        .map_err(|problem| ZipRefused::BadPath { entry: name.to_owned(), problem })
}

fn check_readable(entry: &Entry, path: &str) -> Result<(), ZipRefused> {
    if entry.flags & FLAGS_ENCRYPTED != 0 {
        return Err(ZipRefused::Encrypted { entry: path.to_owned() });
    }
    if !matches!(entry.method, STORED | DEFLATED) {
        return Err(ZipRefused::Method { entry: path.to_owned(), method: entry.method });
    }
    Ok(())
}

fn kind(entry: &Entry, path: &str) -> Result<Kind, ZipRefused> {
    let mode = entry.mode.unwrap_or(0);
    match mode & MODE_KIND {
        MODE_FOLDER => Ok(Kind::Folder),
        0 | MODE_FILE if entry.name.ends_with(b"/") => Ok(Kind::Folder),
        0 | MODE_FILE => Ok(Kind::File { executable: mode & MODE_EXECUTE != 0 }),
        MODE_LINK => Ok(Kind::Link),
        _ => Err(ZipRefused::SpecialFile { entry: path.to_owned(), mode }),
    }
}

fn link_target<R: Read + Seek>(
    zip: &mut R,
    directory: &Directory,
    entry: &Entry,
    path: &str,
    limits: &CodeLimits,
) -> Result<String, ZipRefused> {
    let bytes = read_link_target(zip, directory, entry, path, limits)?;
    let refused = |target: &str, problem| {
        let (entry, target) = (path.to_owned(), target.to_owned());
        ZipRefused::Link { entry, target, problem }
    };
    let target = String::from_utf8(bytes).map_err(|error| {
        refused(&String::from_utf8_lossy(error.as_bytes()), LinkProblem::BadTarget)
    })?;
    links::check_target(&target, limits).map_err(|problem| refused(&target, problem))?;
    Ok(target)
}

fn add(tree: &mut Tree, path: &str, node: Node) -> Result<(), ZipRefused> {
    match tree.entry(path.to_owned()) {
        btree_map::Entry::Vacant(place) => {
            place.insert(node);
            Ok(())
        }
        btree_map::Entry::Occupied(_) => Err(ZipRefused::Duplicate { entry: path.to_owned() }),
    }
}

/// Adds the folders that paths lead through and no entry names.
fn add_folders_above(tree: &mut Tree, limits: &CodeLimits) -> Result<(), ZipRefused> {
    let paths: Vec<String> = tree.keys().cloned().collect();
    for path in paths {
        for (slash, _) in path.rmatch_indices('/') {
            let above = &path[..slash];
            match tree.get(above) {
                // The folders above this one are there as well, or will be.
                Some(Node::Folder) => {}
                Some(_) => {
                    let above = above.to_owned();
                    return Err(ZipRefused::BelowNoFolder { entry: path, above });
                }
                None => {
                    tree.insert(above.to_owned(), Node::Folder);
                }
            }
        }
    }
    if tree.len() as u64 > limits.entries {
        return Err(ZipRefused::TooManyEntries { limit: limits.entries });
    }
    Ok(())
}
