//! A file that other processes look at while this one works. It is replaced in one step and never synced: after a crash it
//! may be missing, old or torn, and nothing relies on it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Gid, Mode, OFlags, RawMode, Uid, fchmod, fchown, open, openat, renameat, statat, unlinkat};
use rustix::io::Errno;

/// The permissions of a file that nothing else gives an example for.
const PRIVATE: RawMode = 0o600;
/// Permission bits of files.
const BITS: RawMode = 0o666;

/// Such a file. Its directory is opened once, so that it is never written somewhere else.
#[derive(Debug)]
pub struct VolatileFile {
    directory: OwnedFd,
    name: OsString,
    temporary: OsString,
    /// The file in the same directory whose owner and permissions it gets.
    like: OsString,
}

impl VolatileFile {
    /// Opens the directory, which is not a link. Writes nothing.
    pub fn new(directory: &Path, name: &str, like: &str) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = open(directory, flags, Mode::empty())?;
        let temporary = format!(".{name}.tmp").into();
        Ok(Self { directory, name: name.into(), temporary, like: like.into() })
    }

    /// Replaces it.
    pub fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let written = self
            .write(bytes)
            .and_then(|()| Ok(renameat(&self.directory, &self.temporary, &self.directory, &self.name)?));
        if written.is_err() {
            // The first error is the one to report.
            let _ = self.unlink(&self.temporary);
        }
        written
    }

    /// Removes it, and what a kill has left of it. Neither need exist.
    pub fn remove(&self) -> io::Result<()> {
        self.unlink(&self.temporary)?;
        self.unlink(&self.name)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        // Another process may have left it, with other permissions or as a link.
        self.unlink(&self.temporary)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&self.directory, &self.temporary, flags, Mode::from_raw_mode(PRIVATE))?;
        if let Ok(like) = statat(&self.directory, &self.like, AtFlags::SYMLINK_NOFOLLOW) {
            let owner = (Uid::from_raw(like.st_uid), Gid::from_raw(like.st_gid));
            // Without the right to it the file is this process's own, as others in the directory are.
            let _ = fchown(&file, Some(owner.0), Some(owner.1));
            fchmod(&file, Mode::from_raw_mode(like.st_mode & BITS))?;
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            match rustix::io::write(file.as_fd(), rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => rest = &rest[written..],
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn unlink(&self, name: &OsStr) -> io::Result<()> {
        match unlinkat(&self.directory, name, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            result => Ok(result?),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests lay out files")]

    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn it_is_replaced_and_removed_and_as_readable_as_another() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("lock"), "x").unwrap();
        fs::set_permissions(path("lock"), fs::Permissions::from_mode(0o640)).unwrap();
        // What others have put there is not followed.
        fs::write(path("other"), "kept").unwrap();
        symlink(path("other"), path(".live.json.tmp")).unwrap();
        symlink(path("other"), path("live.json")).unwrap();
        let file = VolatileFile::new(directory.path(), "live.json", "lock").unwrap();
        file.replace(b"one").unwrap();
        file.replace(b"two").unwrap();
        assert_eq!(fs::read(path("live.json")).unwrap(), b"two");
        assert_eq!(fs::symlink_metadata(path("live.json")).unwrap().permissions().mode() & 0o7777, 0o640);
        assert_eq!(fs::read(path("other")).unwrap(), b"kept");
        file.remove().unwrap();
        file.remove().unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_directory_that_is_a_link_or_not_there_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        symlink(directory.path(), directory.path().join("link")).unwrap();
        for name in ["link", "absent"] {
            assert!(VolatileFile::new(&directory.path().join(name), "live.json", "lock").is_err(), "{name}");
        }
    }

    #[test]
    fn a_full_disk_leaves_nothing_behind() {
        // Nothing can be written to a directory that was removed, as nothing can to a full disk.
        let directory = tempfile::tempdir().unwrap();
        let file = VolatileFile::new(directory.path(), "live.json", "lock").unwrap();
        let path = directory.path().to_path_buf();
        drop(directory);
        assert!(file.replace(b"x").is_err());
        assert!(!path.exists());
    }
}
