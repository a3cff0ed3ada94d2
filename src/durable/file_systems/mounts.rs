//! Tells which mounted file system a path is on. Names cannot be moved between two of them.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags, open, statx};

use crate::durable::DiskError;

/// A mounted file system. One that is mounted twice is two of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mount {
    device: (u32, u32),
    /// Unknown on old kernels.
    id: Option<u64>,
}

/// The mounts that this process sees.
const MOUNT_TABLE: &str = "/proc/self/mountinfo";

/// Returns the name that the mount table has for the kind of file system of an open directory, such as `fuse.sshfs`.
pub(super) fn kind_name(directory: impl AsFd) -> Option<String> {
    mounted(directory).map(|[kind, _]| kind)
}

/// Returns the name that the mount table has for the kind of file system of an existing path.
pub(in crate::durable) fn kind_of(path: &Path) -> Option<String> {
    kind_name(open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?)
}

/// Returns the options of the file system of an open directory.
pub(super) fn options(directory: impl AsFd) -> Option<String> {
    mounted(directory).map(|[_, options]| options)
}

fn mounted(directory: impl AsFd) -> Option<[String; 2]> {
    let found = statx(directory, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).ok()?;
    if !StatxFlags::from_bits_retain(found.stx_mask).contains(StatxFlags::MNT_ID) {
        return None;
    }
    find_mount(&std::fs::read_to_string(MOUNT_TABLE).ok()?, found.stx_mnt_id)
}

/// Looks up the kind and the options of a mount in the table: they come after a field that is a single dash, with the
/// name of the device between them.
fn find_mount(table: &str, id: u64) -> Option<[String; 2]> {
    let of_mount = |line: &&str| line.split(' ').next().is_some_and(|first| first.parse() == Ok(id));
    let (_, behind) = table.lines().find(of_mount)?.split_once(" - ")?;
    let mut fields = behind.split(' ').map(str::to_owned);
    Some([fields.next()?, fields.nth(1)?])
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
    #[test]
    fn the_mount_table_names_the_kind() {
        let table = "21 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n\
                     340 21 0:52 / /mnt/a\\040b rw,nosuid shared:2 master:1 - fuse.sshfs host:/a rw,user_id=0\n";
        assert_eq!(find_mount(table, 340).unwrap(), ["fuse.sshfs", "rw,user_id=0"]);
        assert_eq!(find_mount(table, 21).unwrap(), ["ext4", "rw"]);
        assert_eq!((find_mount(table, 34), find_mount("340 torn", 340)), (None, None));
        let of_processes = std::fs::File::open("/proc/self").unwrap();
        assert_eq!(kind_name(&of_processes).as_deref(), Some("proc"));
    }
}
