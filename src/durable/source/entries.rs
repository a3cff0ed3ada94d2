//! Lists a directory of sources.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

use super::faults::{SourceOperation, check};
use crate::durable::DiskError;

/// The kind of a source entry, following links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceEntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link to nothing, or a circle of links.
    BrokenLink,
    /// A device, a socket or a pipe.
    Other,
}

/// One entry of a source directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceEntry {
    /// The name without its directory.
    pub name: OsString,
    /// The kind of the entry, or of the target of its link.
    pub kind: SourceEntryKind,
    /// True if the name itself is a symbolic link.
    pub is_link: bool,
    /// The length of a regular file in bytes; 0 for everything else.
    pub len_bytes: u64,
}

/// Returns the entries of a source directory, sorted by the bytes of their names.
pub fn source_entries(directory: &Path) -> Result<Vec<SourceEntry>, DiskError> {
    let wrap = |e| DiskError::new("list source directory", directory, e);
    let mut entries = Vec::new();
    check(SourceOperation::List, directory).map_err(wrap)?;
    for entry in fs::read_dir(directory).map_err(wrap)? {
        entries.push(look_at(&entry.map_err(wrap)?)?);
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

fn look_at(entry: &fs::DirEntry) -> Result<SourceEntry, DiskError> {
    let path = entry.path();
    let wrap = |e| DiskError::new("look up source", &path, e);
    let is_link = entry.file_type().map_err(wrap)?.is_symlink();
    let (kind, len_bytes) = match check(SourceOperation::Stat, &path).and_then(|()| fs::metadata(&path)) {
        Ok(metadata) if metadata.is_file() => (SourceEntryKind::File, metadata.len()),
        Ok(metadata) if metadata.is_dir() => (SourceEntryKind::Directory, 0),
        Ok(_) => (SourceEntryKind::Other, 0),
        Err(e) if is_link && leads_nowhere(&e) => (SourceEntryKind::BrokenLink, 0),
        Err(e) => return Err(wrap(e)),
    };
    Ok(SourceEntry { name: entry.file_name(), kind, is_link, len_bytes })
}

fn leads_nowhere(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ELOOP)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "builds what is to be listed")]
    fn entries_are_sorted_and_links_are_followed() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::write(path("b"), b"four").unwrap();
        fs::create_dir(path("a")).unwrap();
        symlink("b", path("c-file")).unwrap();
        symlink("a", path("c-directory")).unwrap();
        symlink("nowhere", path("z-broken")).unwrap();
        symlink("z-loop", path("z-loop")).unwrap();
        symlink("/dev/null", path("z-null")).unwrap();
        fs::write(root.path().join(std::ffi::OsStr::from_bytes(b"\xff")), b"").unwrap();

        let entries = source_entries(root.path()).unwrap();
        let seen: Vec<_> = entries.iter().map(|e| (e.name.as_bytes(), e.kind, e.is_link, e.len_bytes)).collect();
        let expected: &[(&[u8], _, _, _)] = &[
            (b"a", SourceEntryKind::Directory, false, 0),
            (b"b", SourceEntryKind::File, false, 4),
            (b"c-directory", SourceEntryKind::Directory, true, 0),
            (b"c-file", SourceEntryKind::File, true, 4),
            (b"z-broken", SourceEntryKind::BrokenLink, true, 0),
            (b"z-loop", SourceEntryKind::BrokenLink, true, 0),
            (b"z-null", SourceEntryKind::Other, true, 0),
            (b"\xff", SourceEntryKind::File, false, 0),
        ];
        assert_eq!(seen, expected);
        assert_eq!(source_entries(&path("absent")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
