//! Predicts whether a file may get a second name.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, StatxAttributes, StatxFlags, accessat, statx};
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::durable::{DiskError, mount_of};

/// Where Linux says whether a user may link the files of others.
const PROTECTED_HARDLINKS: &str = "/proc/sys/fs/protected_hardlinks";

/// Returns the error that a hard link of the file to a name in `directory` would meet, as far as that shows
/// without trying. What only the attempt shows is missing here: too many names, and file systems without links.
pub fn link_obstacle(file: &Path, directory: &Path) -> Result<Option<DiskError>, DiskError> {
    let refused = |error: Errno| Ok(Some(DiskError::new("create hard link", file, error.into())));
    let found = statx(CWD, file, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS);
    let found = found.map_err(|e| DiskError::new("look up", file, e.into()))?;
    if mount_of(file)? != mount_of(directory)? {
        return refused(Errno::XDEV);
    }
    let fixed = StatxAttributes::IMMUTABLE | StatxAttributes::APPEND;
    let is_fixed = found.stx_attributes.intersects(fixed);
    let user = geteuid();
    let is_own = user.is_root() || user.as_raw() == found.stx_uid;
    if is_fixed || !is_own && is_protected() && !may_change(file).map_err(|e| DiskError::new("look up", file, e))? {
        return refused(Errno::PERM);
    }
    Ok(None)
}

fn is_protected() -> bool {
    fs::read_to_string(PROTECTED_HARDLINKS).is_ok_and(|text| text.trim() != "0")
}

/// Returns true if this user may read and write the file.
fn may_change(file: &Path) -> io::Result<bool> {
    match accessat(CWD, file, Access::READ_OK | Access::WRITE_OK, AtFlags::EACCESS) {
        Ok(()) => Ok(true),
        Err(Errno::ACCESS | Errno::ROFS | Errno::PERM) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_on_another_file_system_cannot_be_linked_and_an_own_one_can() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        crate::durable::Disk::write_new_file(&crate::durable::RealDisk, &file, b"x").unwrap();
        assert!(link_obstacle(&file, directory.path()).unwrap().is_none());
        let error = link_obstacle(&file, Path::new("/proc")).unwrap().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::CrossesDevices);
        assert!(link_obstacle(&directory.path().join("none"), directory.path()).is_err());
    }
}
