//! Operations on directories, built from the single effects of a [`Disk`]: durable creation, and removal of whole
//! trees.

use std::io;
use std::path::Path;

use super::{Disk, DiskError, EntryKind, NEVER, StopCheck};

/// Returns the directory that contains the name: `.` for a bare name, the path itself for a root.
pub fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        None => path,
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
    }
}

/// Creates a directory and its missing parents. Every new name is durable on return.
///
/// The name of an existing directory is made durable too: a crashed run may have created it without reaching the sync.
pub fn create_directory_durable(disk: &dyn Disk, path: &Path) -> Result<(), DiskError> {
    let parent = parent_of(path);
    match disk.kind(path)? {
        Some(EntryKind::File) => Err(DiskError::new("create directory", path, io::ErrorKind::NotADirectory.into())),
        // A link may lead to a directory. If it does not, the next operation inside reports that.
        Some(EntryKind::Directory | EntryKind::Other) => match disk.sync_directory(parent) {
            // A parent that this user may not read was not created by haul, so its names need no sync.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            result => result,
        },
        None => {
            create_directory_durable(disk, parent)?;
            match disk.create_directory(path) {
                // Another process has created it in the meantime. What it is now is looked at once more.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => create_directory_durable(disk, path),
                created => created.and_then(|()| disk.sync_directory(parent)),
            }
        }
    }
}

/// Removes a file, or a directory with everything in it. The removal of its name is durable on return. A missing path
/// is not an error: a crashed run may have removed it without reaching the sync. Links are not followed.
///
/// For small trees: nobody can stop it.
pub fn remove_tree(disk: &dyn Disk, path: &Path) -> Result<(), DiskError> {
    remove_large_tree(disk, path, NEVER)
}

/// Works like [`remove_tree`], and stops on request, which is an error. A later call removes the rest.
pub fn remove_large_tree(disk: &dyn Disk, path: &Path, stop: StopCheck<'_>) -> Result<(), DiskError> {
    let parent = parent_of(path);
    match disk.kind(path)? {
        None if disk.kind(parent)?.is_none() => return Ok(()),
        // An earlier removal may not be durable yet, so the parent is synced all the same.
        None => {}
        Some(EntryKind::Directory) => disk.remove_directory_tree(path, stop)?,
        Some(_) => disk.remove_file(path)?,
    }
    // One sync is enough: nothing below can be reached once the name of the tree is gone.
    disk.sync_directory(parent)
}

/// Returns the total length of all files in and below a directory, in bytes; 0 for a missing path. Links are not
/// followed.
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
    fn processes_that_create_the_same_directories_at_once_all_succeed() {
        let root = tempfile::tempdir().unwrap();
        for round in 0..50 {
            let path = root.path().join(format!("{round}/a/b"));
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| create_directory_durable(&RealDisk, &path).unwrap());
                }
            });
        }
    }

    #[test]
    fn a_file_in_the_place_of_a_directory_is_an_error() {
        let disk = SimulatedDisk::new();
        let file = Path::new("/store/CURRENT");
        disk.install_file(file, b"x");
        let error = create_directory_durable(&disk, &file.join("below")).unwrap_err();
        assert_eq!((error.kind(), error.path.as_path()), (io::ErrorKind::NotADirectory, file));
    }

    #[test]
    fn a_link_to_a_directory_is_a_directory() {
        let root = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(".", root.path().join("link")).unwrap();
        create_directory_durable(&RealDisk, &root.path().join("link/a/b")).unwrap();
        assert_eq!(RealDisk.kind(&root.path().join("a/b")).unwrap(), Some(EntryKind::Directory));
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
