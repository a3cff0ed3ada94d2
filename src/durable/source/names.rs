//! Iterates over the names in a source directory, however many there are.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

use super::faults::{SourceOperation, check};
use super::file::SourceIdentity;
use crate::durable::{DiskError, source, stop};

/// The kind of a name in a source directory, without following links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceNameKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A device, a socket or a pipe.
    Other,
}

impl From<fs::FileType> for SourceNameKind {
    fn from(file_type: fs::FileType) -> Self {
        if file_type.is_file() {
            Self::File
        } else if file_type.is_dir() {
            Self::Directory
        } else if file_type.is_symlink() {
            Self::Link
        } else {
            Self::Other
        }
    }
}

/// A name in a source directory.
#[derive(Debug)]
pub struct SourceName(fs::DirEntry);

impl SourceName {
    /// The name without its directory.
    pub fn name(&self) -> OsString {
        self.0.file_name()
    }

    /// Returns the kind of the entry.
    pub fn kind(&self) -> Result<SourceNameKind, DiskError> {
        match self.0.file_type() {
            Ok(file_type) => Ok(file_type.into()),
            Err(e) => Err(DiskError::new("look up source", &self.0.path(), e)),
        }
    }

    /// Returns the identity of its present state; `None` if it no longer exists.
    pub fn identity(&self) -> Result<Option<SourceIdentity>, DiskError> {
        let path = self.0.path();
        present(check(SourceOperation::Stat, &path).and_then(|()| self.0.metadata()), &path)
    }
}

/// Iterates over the names of a directory in the order of the system. The names are streamed, so ten million of them
/// need no more memory than ten.
pub fn source_names(directory: &Path) -> Result<impl Iterator<Item = Result<SourceName, DiskError>>, DiskError> {
    let wrap = {
        let directory = directory.to_path_buf();
        move |e| DiskError::new("list source directory", &directory, e)
    };
    let names = check(SourceOperation::List, directory).and_then(|()| fs::read_dir(directory)).map_err(&wrap)?;
    let directory = directory.to_path_buf();
    let next = move |name: io::Result<fs::DirEntry>| {
        stop::opened();
        check(SourceOperation::List, &directory).and(name).map(SourceName).map_err(&wrap)
    };
    Ok(names.map(next))
}

/// Returns the identity of the present state of a source path, without following links; `None` if nothing is there.
pub fn source_identity(path: &Path) -> Result<Option<SourceIdentity>, DiskError> {
    present(check(SourceOperation::Stat, path).and_then(|()| fs::symlink_metadata(path)), path)
}

/// Returns true if there is a directory at a source path, following links. Where that cannot be found out, it is an error.
pub fn is_source_directory(path: &Path) -> Result<bool, DiskError> {
    match check(SourceOperation::Stat, path).and_then(|()| fs::metadata(path)) {
        Ok(metadata) => Ok(metadata.is_dir()),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
        Err(e) => Err(DiskError::new("look up source", path, e)),
    }
}

fn present(metadata: io::Result<fs::Metadata>, path: &Path) -> Result<Option<SourceIdentity>, DiskError> {
    match metadata {
        Ok(metadata) => Ok(Some(source::SourceIdentity::of(&metadata))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(DiskError::new("look up source", path, e)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests lay out a source")]

    use std::collections::BTreeMap;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn every_name_is_given_with_its_kind() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &[u8]| directory.path().join(OsStr::from_bytes(name));
        fs::write(at(b"file"), b"123").unwrap();
        fs::create_dir(at(b"directory")).unwrap();
        std::os::unix::fs::symlink("file", at(b"link")).unwrap();
        fs::write(at(b"not\xffutf8"), b"").unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, at(b"pipe"), rustix::fs::Mode::RUSR).unwrap();
        let found: BTreeMap<_, _> = source_names(directory.path())
            .unwrap()
            .map(|name| {
                let name = name.unwrap();
                let len_bytes = name.identity().unwrap().unwrap().len_bytes;
                (name.name(), (name.kind().unwrap(), len_bytes))
            })
            .collect();
        let kind = |name: &[u8]| found[OsStr::from_bytes(name)].0;
        assert_eq!(found.len(), 5);
        assert_eq!(found[OsStr::new("file")], (SourceNameKind::File, 3));
        assert_eq!(kind(b"directory"), SourceNameKind::Directory);
        assert_eq!(kind(b"link"), SourceNameKind::Link);
        assert_eq!(kind(b"pipe"), SourceNameKind::Other);
        assert_eq!(kind(b"not\xffutf8"), SourceNameKind::File);
    }

    #[test]
    fn a_missing_path_has_no_identity_and_no_names() {
        let directory = tempfile::tempdir().unwrap();
        let nowhere = directory.path().join("nowhere");
        assert_eq!(source_identity(&nowhere).unwrap(), None);
        assert_eq!(source_names(&nowhere).err().unwrap().kind(), io::ErrorKind::NotFound);
    }
}
