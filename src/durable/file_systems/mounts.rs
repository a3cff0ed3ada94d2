//! Tells which mounted file system a path is on. Names cannot be moved between two of them.

use std::path::Path;

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

use crate::durable::DiskError;

/// A mounted file system. One that is mounted twice is two of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mount {
    device: (u32, u32),
    /// Unknown on old kernels.
    id: Option<u64>,
}

/// Returns the mount that an existing path is on, following links.
pub fn mount_of(path: &Path) -> Result<Mount, DiskError> {
    let found = statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS | StatxFlags::MNT_ID);
    let found = found.map_err(|e| DiskError::new("look up", path, e.into()))?;
    let has_id = StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::MNT_ID);
    Ok(Mount { device: (found.stx_dev_major, found.stx_dev_minor), id: has_id.then_some(found.stx_mnt_id) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_the_same_below_it_and_another_elsewhere() {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("below");
        std::fs::DirBuilder::new().create(&below).unwrap();
        assert_eq!(mount_of(directory.path()).unwrap(), mount_of(&below).unwrap());
        assert_ne!(mount_of(directory.path()).unwrap(), mount_of(Path::new("/proc")).unwrap());
        assert!(mount_of(&directory.path().join("nowhere")).is_err());
    }
}
