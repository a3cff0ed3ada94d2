//! A file system of this computer, synced as a whole.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use super::{GroupSync, kinds, mounts};
use crate::durable::sync_time::timed;
use crate::durable::{DiskError, DiskFileSystem};

/// The first version of Linux whose `syncfs(2)` reports bytes that were lost during writeback.
const REPORTS_SINCE: (u32, u32) = (5, 8);

/// Returns true if `syncfs(2)` reports a failed writeback of any file. An older kernel reports success.
///
/// Parses `release` of uname: `major.minor`, then anything. An unknown format counts as an old kernel.
fn reports_errors(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|digits| digits.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) >= REPORTS_SINCE,
        _ => false,
    }
}

pub(in crate::durable) struct RealFileSystem {
    /// Opened before anything is written, because the system reports to each open file once what was lost since it was
    /// opened.
    directory: File,
    path: PathBuf,
    /// Locked during a sync, so that the one error reaches every caller that waits.
    has_failed: Mutex<bool>,
}

impl RealFileSystem {
    /// Takes a directory that is open for reading.
    pub(in crate::durable) fn of(directory: File, path: &Path) -> Self {
        Self { directory, path: path.to_path_buf(), has_failed: Mutex::new(false) }
    }

    fn sync_once(&self, has_failed: &mut bool) -> io::Result<()> {
        if *has_failed {
            return Err(io::Error::other("an earlier sync of this file system failed, bytes on it may be lost"));
        }
        let result = timed(|| rustix::fs::syncfs(&self.directory));
        *has_failed = result.is_err();
        Ok(result?)
    }
}

impl DiskFileSystem for RealFileSystem {
    fn sync(&self) -> Result<(), DiskError> {
        self.sync_once(&mut self.has_failed.lock())
            .map_err(|e| DiskError::new("sync the file system of", &self.path, e))
    }

    fn group_sync(&self) -> GroupSync {
        if !kinds::is_synced_as_a_whole(&self.directory) {
            GroupSync::StaysHere(mounts::kind_name(&self.directory))
        } else if !reports_errors(&rustix::system::uname().release().to_string_lossy()) {
            GroupSync::HidesLosses
        } else {
            GroupSync::Reaches
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &Path) -> RealFileSystem {
        RealFileSystem::of(File::open(path).unwrap(), path)
    }

    #[test]
    fn old_kernels_keep_errors_to_themselves() {
        for (release, reports) in [
            ("5.8.0", true),
            ("5.8", true),
            ("5.10-rc1", true),
            ("6.1.0-21-amd64", true),
            ("10.0", true),
            ("5.7.19", false),
            ("4.19.0", false),
            ("3.10.0-1160.el7.x86_64", false),
            ("5", false),
            ("5.x", false),
            ("", false),
            ("linux", false),
            ("99999999999.8", false),
        ] {
            assert_eq!(reports_errors(release), reports, "{release}");
        }
    }

    #[test]
    fn a_failed_sync_is_final() {
        let directory = tempfile::tempdir().unwrap();
        let file_system = of(directory.path());
        file_system.sync().unwrap();
        *file_system.has_failed.lock() = true;
        let error = file_system.sync().unwrap_err();
        assert_eq!((error.kind(), error.path.as_path()), (io::ErrorKind::Other, directory.path()));
    }

    #[test]
    fn only_known_kinds_of_file_systems_are_synced_as_a_whole() {
        let of_processes = of(Path::new("/proc"));
        assert_eq!(of_processes.group_sync(), GroupSync::StaysHere(Some("proc".into())));
        let why = of_processes.group_sync().to_string();
        assert!(why.starts_with("a sync of the whole file system need not reach the medium on proc"), "{why}");
    }
}
