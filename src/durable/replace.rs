//! What is built from the single effects of a [`Disk`]: atomic replacement, durable directories, whole trees.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::{Disk, DiskError, EntryKind};

/// Puts `bytes` at `path` in one step that is durable on return: a crash leaves the old file or the new one, whole.
///
/// The bytes go through `.<name>.tmp` beside it; one that a crash left is removed first. One writer at a time.
pub fn replace_file(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    let (parent, temporary) = beside(path)?;
    remove_file_if_present(disk, &temporary)?;
    let file = disk.create_file(&temporary)?;
    file.write_all_at(0, bytes)?;
    file.sync()?;
    disk.rename(&temporary, path)?;
    disk.sync_directory(&parent)
}

fn beside(path: &Path) -> Result<(PathBuf, PathBuf), DiskError> {
    let Some(name) = path.file_name() else {
        return Err(DiskError::new("replace", path, io::ErrorKind::InvalidInput.into()));
    };
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(".tmp");
    Ok((parent_of(path).to_path_buf(), path.with_file_name(temporary)))
}

/// The directory that holds the name: `.` for a bare name, the path itself for a root.
fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        None => path,
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
    }
}

fn remove_file_if_present(disk: &dyn Disk, path: &Path) -> Result<(), DiskError> {
    match disk.remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Creates a directory and those above it that are missing, every new name durable on return.
///
/// The name of an existing one is made durable too: a run that died may have created it and not come to its sync.
pub fn create_directory_durable(disk: &dyn Disk, path: &Path) -> Result<(), DiskError> {
    let parent = parent_of(path);
    match disk.kind(path)? {
        Some(EntryKind::File) => Err(DiskError::new("create directory", path, io::ErrorKind::NotADirectory.into())),
        // A link to a directory is one as well; to anything else, the next operation inside says so.
        Some(EntryKind::Directory | EntryKind::Other) => match disk.sync_directory(parent) {
            // A directory above that may not be read is not ours, and neither is the name in it.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            result => result,
        },
        None => {
            create_directory_durable(disk, parent)?;
            disk.create_directory(path)?;
            disk.sync_directory(parent)
        }
    }
}

/// A whole file. One longer than `limit_bytes` is an `InvalidData` error and is not read.
pub fn read_file(disk: &dyn Disk, path: &Path, limit_bytes: u64) -> Result<Vec<u8>, DiskError> {
    let file = disk.open_for_read(path)?;
    let len = file.len()?;
    let len = usize::try_from(len).ok().filter(|_| len <= limit_bytes).ok_or_else(|| {
        let what = format!("it is {len} bytes long, {limit_bytes} are allowed");
        DiskError::new("read", path, io::Error::new(io::ErrorKind::InvalidData, what))
    })?;
    let mut bytes = vec![0; len];
    file.read_exact_at(0, &mut bytes)?;
    Ok(bytes)
}

/// Removes a file, or a directory with all that is in it; the removal of its name is durable on return.
/// A missing path is no error: a run that died may have removed it and not come to the sync. Links are not followed.
pub fn remove_tree(disk: &dyn Disk, path: &Path) -> Result<(), DiskError> {
    let parent = parent_of(path);
    match disk.kind(path)? {
        None if disk.kind(parent)?.is_none() => return Ok(()),
        None => {}
        Some(EntryKind::Directory) => remove_directory_tree(disk, path)?,
        Some(_) => disk.remove_file(path)?,
    }
    disk.sync_directory(parent)
}

fn remove_directory_tree(disk: &dyn Disk, path: &Path) -> Result<(), DiskError> {
    for entry in disk.list(path)? {
        let path = path.join(&entry.name);
        match entry.kind {
            EntryKind::Directory => remove_directory_tree(disk, &path)?,
            EntryKind::File | EntryKind::Other => disk.remove_file(&path)?,
        }
    }
    disk.remove_directory(path)
}

/// The lengths of all files in a directory and below, in bytes; 0 for a missing path. Links are not followed.
pub fn directory_bytes(disk: &dyn Disk, path: &Path) -> Result<u64, DiskError> {
    match disk.kind(path)? {
        None | Some(EntryKind::Other) => return Ok(0),
        Some(EntryKind::File) => return disk.open_for_read(path)?.len(),
        Some(EntryKind::Directory) => {}
    }
    disk.list(path)?.iter().map(|entry| directory_bytes(disk, &path.join(&entry.name))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::{CrashFault, InjectedFault, RealDisk, SimulatedDisk};

    type Replace = fn(&dyn Disk, &Path, &[u8]) -> Result<(), DiskError>;

    const OLD: [u8; 1300] = [b'o'; 1300];
    const NEW: [u8; 3000] = [b'n'; 3000];

    fn file() -> &'static Path {
        Path::new("/store/CURRENT")
    }

    fn all_faults() -> impl Iterator<Item = CrashFault> {
        CrashFault::ALL.into_iter().chain((0..50).map(CrashFault::ScatteredWrites))
    }

    fn disk_with_old() -> SimulatedDisk {
        let disk = SimulatedDisk::new();
        disk.install_file(file(), &OLD);
        disk
    }

    /// The first crash after which the file is neither old nor new, or not new although the replacement had returned.
    fn first_damage(replace: Replace) -> Option<String> {
        let disk = disk_with_old();
        replace(&disk, file(), &NEW).unwrap();
        for fault in all_faults() {
            for operations in 0..=disk.operations() {
                let found = read_file(&disk.crash_image(operations, fault), file(), 1 << 20).ok();
                let is_new = found.as_deref() == Some(&NEW[..]);
                let may_be_old = operations < disk.operations();
                if !(is_new || may_be_old && found.as_deref() == Some(&OLD[..])) {
                    let before = operations.checked_sub(1).map_or("nothing".into(), |i| disk.operation_label(i));
                    return Some(format!("{fault:?} after {before}"));
                }
            }
        }
        None
    }

    #[test]
    fn a_crash_leaves_the_old_file_or_the_new_one() {
        assert_eq!(first_damage(replace_file), None);
    }

    #[test]
    fn the_simulated_disk_sees_every_step_that_is_left_out() {
        let in_place: Replace = |disk, path, bytes| {
            let file = disk.open_file(path)?;
            file.write_all_at(0, bytes)?;
            file.sync()
        };
        assert!(first_damage(in_place).unwrap().contains("LastWriteTorn after write"));

        let without_sync: Replace = |disk, path, bytes| {
            let (parent, temporary) = beside(path)?;
            disk.create_file(&temporary)?.write_all_at(0, bytes)?;
            disk.rename(&temporary, path)?;
            disk.sync_directory(&parent)
        };
        assert!(first_damage(without_sync).unwrap().contains("after sync directory"));

        let without_directory_sync: Replace = |disk, path, bytes| {
            let (_, temporary) = beside(path)?;
            let file = disk.create_file(&temporary)?;
            file.write_all_at(0, bytes)?;
            file.sync()?;
            disk.rename(&temporary, path)
        };
        assert!(first_damage(without_directory_sync).unwrap().contains("after rename"));

        let remove_first: Replace = |disk, path, bytes| {
            disk.remove_file(path)?;
            replace_file(disk, path, bytes)
        };
        assert!(first_damage(remove_first).unwrap().contains("AllKept after remove file"));
    }

    #[test]
    fn a_failed_replacement_can_be_tried_again() {
        let whole = disk_with_old();
        replace_file(&whole, file(), &NEW).unwrap();
        for kind in InjectedFault::ALL {
            for n in 0..whole.operations() {
                let disk = disk_with_old();
                disk.fail_operation(n, kind);
                replace_file(&disk, file(), &NEW).unwrap_err();
                let left = read_file(&disk, file(), 1 << 20).unwrap();
                assert!(left == OLD || left == NEW, "{kind:?} at {n}");
                replace_file(&disk, file(), &NEW).unwrap();
                let image = disk.crash_image(disk.operations(), CrashFault::UnsyncedDropped);
                assert_eq!(image.snapshot(), whole.snapshot(), "{kind:?} at {n}");
            }
        }
    }

    #[test]
    fn a_name_is_needed_to_replace() {
        assert_eq!(replace_file(&RealDisk, Path::new("/"), b"").unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(beside(Path::new("bare")).unwrap(), (PathBuf::from("."), PathBuf::from(".bare.tmp")));
    }

    #[test]
    fn new_directories_are_durable_up_to_the_first_old_one() {
        let disk = SimulatedDisk::with_directories(&[Path::new("/old")]);
        let path = Path::new("/old/a/b/c");
        create_directory_durable(&disk, path).unwrap();
        let image = disk.crash_image(disk.operations(), CrashFault::UnsyncedDropped);
        assert_eq!(image.kind(path).unwrap(), Some(EntryKind::Directory));
    }

    #[test]
    fn directories_of_a_dead_run_are_made_durable() {
        let path = Path::new("/a/b");
        for done in 0..4 {
            let disk = SimulatedDisk::new();
            disk.fail_operation(done, InjectedFault::Eio);
            create_directory_durable(&disk, path).unwrap_err();
            create_directory_durable(&disk, path).unwrap();
            let image = disk.crash_image(disk.operations(), CrashFault::UnsyncedDropped);
            assert_eq!(image.kind(path).unwrap(), Some(EntryKind::Directory), "{done}");
        }
    }

    #[test]
    fn a_file_in_the_place_of_a_directory_is_an_error() {
        let disk = disk_with_old();
        let error = create_directory_durable(&disk, &file().join("below")).unwrap_err();
        assert_eq!((error.kind(), error.path.as_path()), (io::ErrorKind::NotADirectory, file()));
    }

    #[test]
    fn a_link_to_a_directory_is_a_directory() {
        let root = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(".", root.path().join("link")).unwrap();
        create_directory_durable(&RealDisk, &root.path().join("link/a/b")).unwrap();
        assert_eq!(RealDisk.kind(&root.path().join("a/b")).unwrap(), Some(EntryKind::Directory));
    }

    #[test]
    fn files_longer_than_the_limit_are_not_read() {
        let disk = disk_with_old();
        assert_eq!(read_file(&disk, file(), 1300).unwrap(), OLD);
        assert_eq!(read_file(&disk, file(), 1299).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(read_file(&disk, Path::new("/absent"), 9).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    fn grow_tree(disk: &dyn Disk, root: &Path) {
        for directory in ["", "a", "a/b", "empty"] {
            disk.create_directory(&root.join(directory)).unwrap();
        }
        for (name, len) in [("x", 1), ("a/y", 20), ("a/b/z", 300)] {
            disk.create_file(&root.join(name)).unwrap().write_all_at(0, &vec![0; len]).unwrap();
        }
    }

    #[test]
    fn trees_are_measured_and_removed() {
        let directory = tempfile::tempdir().unwrap();
        let simulated = SimulatedDisk::with_directories(&[Path::new("/home")]);
        for (disk, parent) in [(&RealDisk as &dyn Disk, directory.path()), (&simulated, Path::new("/home"))] {
            let root = parent.join("tree");
            grow_tree(disk, &root);
            assert_eq!(directory_bytes(disk, &root).unwrap(), 321);
            assert_eq!(directory_bytes(disk, &root.join("a/y")).unwrap(), 20);
            remove_tree(disk, &root.join("a/y")).unwrap();
            assert_eq!(directory_bytes(disk, &root).unwrap(), 301);
            remove_tree(disk, &root).unwrap();
            assert_eq!(disk.list(parent).unwrap(), []);
            remove_tree(disk, &root).unwrap();
            assert_eq!(directory_bytes(disk, &root).unwrap(), 0);
        }
    }

    #[test]
    fn a_removed_tree_does_not_come_back() {
        let disk = SimulatedDisk::new();
        disk.install_file(Path::new("/home/tree/file"), b"x");
        disk.fail_operation(2, InjectedFault::Eio);
        remove_tree(&disk, Path::new("/home/tree")).unwrap_err();
        remove_tree(&disk, Path::new("/home/tree")).unwrap();
        remove_tree(&disk, Path::new("/absent/tree")).unwrap();
        let image = disk.crash_image(disk.operations(), CrashFault::UnsyncedDropped);
        assert_eq!(image.kind(Path::new("/home/tree")).unwrap(), None);
    }

    #[test]
    fn links_are_removed_and_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let (kept, tree) = (root.path().join("kept"), root.path().join("tree"));
        grow_tree(&RealDisk, &kept);
        RealDisk.create_directory(&tree).unwrap();
        std::os::unix::fs::symlink(&kept, tree.join("link")).unwrap();
        assert_eq!(directory_bytes(&RealDisk, &tree).unwrap(), 0);
        remove_tree(&RealDisk, &tree).unwrap();
        assert_eq!(RealDisk.kind(&tree).unwrap(), None);
        assert_eq!(directory_bytes(&RealDisk, &kept).unwrap(), 321);
    }
}
