//! What every [`Disk`] must do, as one test that each implementation runs.

use std::io::ErrorKind;
use std::path::Path;

use super::{Disk, DiskEntry, EntryKind};

/// Exercises `disk` inside `root`, an existing empty directory.
pub(super) fn disk_contract(disk: &dyn Disk, root: &Path) {
    files(disk, &sub(disk, root, "files"));
    directories(disk, &sub(disk, root, "directories"));
    renames(disk, &sub(disk, root, "renames"));
    renames_that_must_fail(disk, &sub(disk, root, "refusals"));
    exchanges(disk, &sub(disk, root, "exchanges"));
    removals(disk, &sub(disk, root, "removals"));
    locks(disk, &sub(disk, root, "locks"));
}

fn sub(disk: &dyn Disk, root: &Path, name: &str) -> std::path::PathBuf {
    let path = root.join(name);
    disk.create_directory(&path).unwrap();
    disk.sync_directory(root).unwrap();
    path
}

fn put(disk: &dyn Disk, path: &Path, bytes: &[u8]) {
    disk.create_file(path).unwrap().write_all_at(0, bytes).unwrap();
}

fn get(disk: &dyn Disk, path: &Path) -> Vec<u8> {
    let file = disk.open_for_read(path).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_exact_at(0, &mut bytes).unwrap();
    bytes
}

fn kind_of<T>(result: Result<T, super::DiskError>) -> ErrorKind {
    result.err().expect("an error").kind()
}

fn files(disk: &dyn Disk, root: &Path) {
    let path = root.join("a");
    assert_eq!(kind_of(disk.open_file(&path)), ErrorKind::NotFound);
    assert_eq!(kind_of(disk.open_for_read(&path)), ErrorKind::NotFound);
    let file = disk.create_file(&path).unwrap();
    assert_eq!(kind_of(disk.create_file(&path)), ErrorKind::AlreadyExists);
    assert!(file.is_empty().unwrap());

    file.write_all_at(2, b"cd").unwrap();
    assert_eq!(get(disk, &path), b"\0\0cd");
    file.write_all_at(0, b"abX").unwrap();
    assert_eq!(get(disk, &path), b"abXd");
    file.set_len(2).unwrap();
    file.set_len(3).unwrap();
    assert_eq!(get(disk, &path), b"ab\0");
    file.preallocate(0, 4096).unwrap();
    file.start_writeback(0, 3);
    file.sync().unwrap();
    assert_eq!(file.len().unwrap(), 3);
    assert_eq!(kind_of(file.read_exact_at(1, &mut [0; 3])), ErrorKind::UnexpectedEof);

    assert!(disk.open_for_read(&path).unwrap().write_all_at(0, b"no").is_err());
    disk.open_file(&path).unwrap().write_all_at(3, b"d").unwrap();
    assert_eq!(get(disk, &path), b"ab\0d");
    assert_eq!(kind_of(disk.open_file(root)), ErrorKind::IsADirectory);
    assert_eq!(kind_of(disk.open_for_read(root)), ErrorKind::IsADirectory);
}

fn directories(disk: &dyn Disk, root: &Path) {
    let inner = root.join("inner");
    assert_eq!(kind_of(disk.create_directory(&inner.join("deep"))), ErrorKind::NotFound);
    disk.create_directory(&inner).unwrap();
    assert_eq!(kind_of(disk.create_directory(&inner)), ErrorKind::AlreadyExists);
    put(disk, &root.join("file"), b"x");
    assert_eq!(kind_of(disk.create_file(&root.join("file/below"))), ErrorKind::NotADirectory);
    assert_eq!(disk.kind(&root.join("file/below")).unwrap(), None);
    assert_eq!(disk.kind(&root.join("absent")).unwrap(), None);
    assert_eq!(disk.kind(&inner).unwrap(), Some(EntryKind::Directory));
    assert_eq!(disk.kind(&root.join("file")).unwrap(), Some(EntryKind::File));

    let expected = [("file", EntryKind::File), ("inner", EntryKind::Directory)];
    let expected = expected.map(|(name, kind)| DiskEntry { name: name.into(), kind });
    assert_eq!(disk.list(root).unwrap(), expected);
    assert_eq!(kind_of(disk.list(&root.join("absent"))), ErrorKind::NotFound);
    assert_eq!(kind_of(disk.list(&root.join("file"))), ErrorKind::NotADirectory);
    disk.sync_directory(root).unwrap();
    assert_eq!(kind_of(disk.sync_directory(&root.join("absent"))), ErrorKind::NotFound);
    assert_eq!(kind_of(disk.sync_directory(&root.join("file"))), ErrorKind::NotADirectory);
    assert!(disk.free_bytes(root).unwrap() > 0);
}

fn renames(disk: &dyn Disk, root: &Path) {
    let (a, b, directory) = (root.join("a"), root.join("b"), root.join("d"));
    put(disk, &a, b"a");
    put(disk, &b, b"b");
    let open = disk.open_for_read(&b).unwrap();
    disk.rename(&a, &b).unwrap();
    assert_eq!(disk.kind(&a).unwrap(), None);
    assert_eq!(get(disk, &b), b"a");
    let mut byte = [0];
    open.read_exact_at(0, &mut byte).unwrap();
    assert_eq!(&byte, b"b", "an open file outlives its name");

    disk.rename(&b, &b).unwrap();
    disk.create_directory(&directory).unwrap();
    disk.rename(&b, &directory.join("c")).unwrap();
    disk.rename(&directory, &root.join("e")).unwrap();
    assert_eq!(get(disk, &root.join("e/c")), b"a");
    disk.rename_exclusive(&root.join("e/c"), &a).unwrap();
    assert_eq!(get(disk, &a), b"a");
    disk.create_directory(&directory).unwrap();
    disk.rename(&root.join("e"), &directory).unwrap();
    assert_eq!(disk.kind(&root.join("e")).unwrap(), None, "an empty directory may be replaced by another");
}

fn renames_that_must_fail(disk: &dyn Disk, root: &Path) {
    let (file, full, empty) = (root.join("file"), root.join("full"), root.join("empty"));
    put(disk, &file, b"file");
    disk.create_directory(&full).unwrap();
    disk.create_directory(&empty).unwrap();
    put(disk, &full.join("x"), b"x");
    assert_eq!(kind_of(disk.rename(&root.join("absent"), &file)), ErrorKind::NotFound);
    assert_eq!(kind_of(disk.rename(&file, &root.join("absent/x"))), ErrorKind::NotFound);
    assert_eq!(kind_of(disk.rename(&file, &empty)), ErrorKind::IsADirectory);
    assert_eq!(kind_of(disk.rename(&empty, &file)), ErrorKind::NotADirectory);
    assert_eq!(kind_of(disk.rename(&empty, &full)), ErrorKind::DirectoryNotEmpty);
    assert_eq!(kind_of(disk.rename(&full, &full.join("below"))), ErrorKind::InvalidInput);
    assert_eq!(kind_of(disk.rename_exclusive(&file, &full.join("x"))), ErrorKind::AlreadyExists);
    assert_eq!(kind_of(disk.rename_exclusive(&empty, &full)), ErrorKind::AlreadyExists);
    assert_eq!(get(disk, &file), b"file");
    assert_eq!(get(disk, &full.join("x")), b"x");
}

fn exchanges(disk: &dyn Disk, root: &Path) {
    let (old, new) = (root.join("old"), root.join("new"));
    disk.create_directory(&old).unwrap();
    disk.create_directory(&new).unwrap();
    put(disk, &old.join("x"), b"old");
    put(disk, &new.join("x"), b"new");
    disk.exchange(&old, &new).unwrap();
    assert_eq!(get(disk, &old.join("x")), b"new");
    disk.exchange(&old.join("x"), &new.join("x")).unwrap();
    assert_eq!(get(disk, &old.join("x")), b"old");
    assert_eq!(kind_of(disk.exchange(&old, &root.join("absent"))), ErrorKind::NotFound);
    assert_eq!(kind_of(disk.exchange(&old, &old.join("x"))), ErrorKind::InvalidInput);
}

fn removals(disk: &dyn Disk, root: &Path) {
    let inner = root.join("inner");
    disk.create_directory(&inner).unwrap();
    put(disk, &inner.join("x"), b"x");
    assert_eq!(kind_of(disk.remove_directory(&inner)), ErrorKind::DirectoryNotEmpty);
    assert_eq!(kind_of(disk.remove_file(&inner)), ErrorKind::IsADirectory);
    assert_eq!(kind_of(disk.remove_directory(&inner.join("x"))), ErrorKind::NotADirectory);
    disk.remove_file(&inner.join("x")).unwrap();
    assert_eq!(kind_of(disk.remove_file(&inner.join("x"))), ErrorKind::NotFound);
    disk.remove_directory(&inner).unwrap();
    assert_eq!(disk.list(root).unwrap(), []);
}

fn locks(disk: &dyn Disk, root: &Path) {
    let path = root.join("lock");
    let guard = disk.try_lock(&path, "a rather long first owner").unwrap().unwrap();
    assert_eq!(disk.try_lock(&path, "second").unwrap().unwrap_err(), "a rather long first owner");
    drop(guard);
    let guard = disk.try_lock(&path, "third").unwrap().unwrap();
    assert_eq!(get(disk, &path), b"third", "the text of an earlier owner is gone");
    drop(guard);
    assert_eq!(kind_of(disk.try_lock(&root.join("absent/lock"), "x")), ErrorKind::NotFound);
}
