/// How large the code of a function may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeLimits {
    /// Bytes of all files together, unpacked. The limit of AWS Lambda.
    pub unpacked_bytes: u64,
    /// Files, folders and links together.
    pub entries: u64,
    /// Bytes of the path of one of them, and of the target of a link.
    pub path_bytes: usize,
    /// Folders above a file, and parts of the target of a link.
    pub depth: usize,
}

impl Default for CodeLimits {
    fn default() -> Self {
        Self { unpacked_bytes: 250 << 20, entries: 100_000, path_bytes: 1024, depth: 64 }
    }
}
