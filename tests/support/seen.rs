//! The visible state of files, to check that they were left unchanged.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The mode, the times, the inode and the content of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub mode: u32,
    pub modified: (i64, i64),
    pub inode: u64,
    /// Digest of a file's bytes, the text of a link.
    pub content: Vec<u8>,
}

/// Every entry below a directory, and the directory itself. Links are not followed. Empty if the directory is missing.
pub fn seen(root: &Path) -> BTreeMap<PathBuf, Seen> {
    let mut found = BTreeMap::new();
    let mut pending: Vec<_> = root.symlink_metadata().is_ok().then(|| root.to_path_buf()).into_iter().collect();
    while let Some(path) = pending.pop() {
        let metadata = fs::symlink_metadata(&path).expect("an entry");
        let content = if metadata.is_dir() {
            pending.extend(fs::read_dir(&path).expect("a directory").map(|entry| entry.expect("an entry").path()));
            Vec::new()
        } else if metadata.is_symlink() {
            fs::read_link(&path).expect("a link").as_os_str().as_bytes().to_vec()
        } else if metadata.is_file() {
            blake3::hash(&fs::read(&path).expect("a file")).as_bytes().to_vec()
        } else {
            Vec::new()
        };
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        let seen = Seen { mode: metadata.mode(), modified, inode: metadata.ino(), content };
        found.insert(path.strip_prefix(root).expect("below it").to_path_buf(), seen);
    }
    found
}
