//! What stands below a directory: names, permission bits and bytes, without what a copy does not keep.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    Directory { mode: u32 },
    File { mode: u32, bytes: Vec<u8> },
    Link { to: PathBuf },
    Other,
}

/// Everything below a directory: names, permission bits, bytes. Nothing if it is not there.
pub fn tree(directory: &Path) -> BTreeMap<PathBuf, Node> {
    let mut nodes = BTreeMap::new();
    let mut pending = vec![directory.to_path_buf()];
    while let Some(next) = pending.pop() {
        let Ok(entries) = fs::read_dir(&next) else { continue };
        for entry in entries {
            let path = entry.expect("an entry").path();
            let metadata = fs::symlink_metadata(&path).expect("what stands there");
            let mode = metadata.permissions().mode() & 0o7777;
            let node = if metadata.is_dir() {
                pending.push(path.clone());
                Node::Directory { mode }
            } else if metadata.is_file() {
                Node::File { mode, bytes: fs::read(&path).unwrap_or_default() }
            } else if metadata.is_symlink() {
                Node::Link { to: fs::read_link(&path).expect("a link") }
            } else {
                Node::Other
            };
            nodes.insert(path.strip_prefix(directory).expect("below it").to_path_buf(), node);
        }
    }
    nodes
}
