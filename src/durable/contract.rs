//! Tests what every [`Disk`] must do. Each implementation runs the same test.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::Path;

use super::{
    CopyMeans, Disk, DiskEntry, EntryKind, FileState, Model, NEVER, ReaderKind, RootDirectory, SourceFile,
    SourceNameKind,
};

/// Tests `disk` inside `root`, an existing empty directory.
pub(super) fn disk_contract(disk: &dyn Disk, root: &Path) {
    files(disk, &sub(disk, root, "files"));
    directories(disk, &sub(disk, root, "directories"));
    renames(disk, &sub(disk, root, "renames"));
    renames_that_must_fail(disk, &sub(disk, root, "refusals"));
    exchanges(disk, &sub(disk, root, "exchanges"));
    removals(disk, &sub(disk, root, "removals"));
    locks(disk, &sub(disk, root, "locks"));
    new_files(disk, &sub(disk, root, "new-files"));
    copies(disk, &sub(disk, root, "copies"));
    links(disk, &sub(disk, root, "links"));
    modes(disk, &sub(disk, root, "modes"));
    likenesses(disk, &sub(disk, root, "likenesses"));
    file_systems(disk, &sub(disk, root, "file-systems"));
    roots(disk, &sub(disk, root, "roots"));
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
    // POSIX leaves the error to the system, and XFS returns another one than most.
    let full_kind = kind_of(disk.rename(&empty, &full));
    assert!(matches!(full_kind, ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists), "{full_kind}");
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

fn new_files(disk: &dyn Disk, root: &Path) {
    let (path, empty) = (root.join("a"), root.join("empty"));
    disk.write_new_file(&path, b"bytes").unwrap();
    disk.write_new_file(&empty, b"").unwrap();
    assert_eq!((get(disk, &path), get(disk, &empty)), (b"bytes".to_vec(), Vec::new()));
    assert_eq!(kind_of(disk.write_new_file(&path, b"other")), ErrorKind::AlreadyExists);
    assert_eq!(get(disk, &path), b"bytes");
    assert_eq!(kind_of(disk.write_new_file(root, b"x")), ErrorKind::AlreadyExists);
    assert_eq!(kind_of(disk.write_new_file(&root.join("absent/a"), b"x")), ErrorKind::NotFound);
    assert_eq!(kind_of(disk.write_new_file(&path.join("a"), b"x")), ErrorKind::NotADirectory);
    disk.open_file(&path).unwrap().write_all_at(5, b" and more").unwrap();
    assert_eq!(get(disk, &path), b"bytes and more");
}

/// Lengths around the size of the copy buffer, 1 MiB.
const COPIED_LENGTHS: [usize; 6] = [0, 1, 4096, (1 << 20) - 1, 1 << 20, (2 << 20) + 7];

fn copies(disk: &dyn Disk, root: &Path) {
    let sources = tempfile::tempdir().unwrap();
    for (index, len) in COPIED_LENGTHS.into_iter().enumerate() {
        let bytes: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        let source = a_source(&sources.path().join(index.to_string()), &bytes);
        for means in [CopyMeans::Auto, CopyMeans::NoReflink] {
            let target = root.join(format!("{index}-{means:?}"));
            disk.copy_new_file(&source, &target, means, NEVER).unwrap();
            assert!(get(disk, &target) == bytes, "{len} {means:?}");
            assert_eq!(kind_of(disk.copy_new_file(&source, &target, means, NEVER)), ErrorKind::AlreadyExists);
        }
    }
    copies_of_changed_sources(disk, root, sources.path());
    let source = a_source(&sources.path().join("source"), b"x");
    let absent = root.join("absent");
    assert_eq!(kind_of(disk.copy_new_file(&source, &absent.join("a"), CopyMeans::Auto, NEVER)), ErrorKind::NotFound);
    disk.can_reflink(&source, root).unwrap();
    assert_eq!(kind_of(disk.can_reflink(&source, &absent)), ErrorKind::NotFound);
    assert_eq!(disk.list(root).unwrap().len(), 2 * COPIED_LENGTHS.len() + 4, "trying it leaves nothing there");
}

fn copies_of_changed_sources(disk: &dyn Disk, root: &Path, sources: &Path) {
    for means in [CopyMeans::Auto, CopyMeans::NoReflink] {
        let path = sources.join(format!("{means:?}"));
        let source = a_source(&path, b"first");
        a_source(&path, b"first and more");
        let target = root.join(format!("longer-{means:?}"));
        disk.copy_new_file(&source, &target, means, NEVER).unwrap();
        assert_eq!(get(disk, &target), b"first");

        let source = a_source(&path, b"first");
        a_source(&path, b"fir");
        let error = disk.copy_new_file(&source, &root.join(format!("shorter-{means:?}")), means, NEVER).unwrap_err();
        assert_eq!((error.kind(), error.path), (ErrorKind::UnexpectedEof, path));
    }
}

/// The file at `path` of the real disk, with these bytes from now on.
#[allow(clippy::disallowed_methods, reason = "a source belongs to someone else")]
fn a_source(path: &Path, bytes: &[u8]) -> SourceFile {
    std::fs::write(path, bytes).unwrap();
    SourceFile::open(path, ReaderKind::Auto).unwrap()
}

fn links(disk: &dyn Disk, root: &Path) {
    let (a, b, inner) = (root.join("a"), root.join("b"), root.join("inner"));
    put(disk, &a, b"shared");
    disk.create_directory(&inner).unwrap();
    disk.hard_link(&a, &b).unwrap();
    disk.hard_link(&b, &inner.join("c")).unwrap();
    disk.open_file(&b).unwrap().write_all_at(0, b"S").unwrap();
    for path in [&a, &b, &inner.join("c")] {
        assert_eq!(get(disk, path), b"Shared");
        assert_eq!(disk.kind(path).unwrap(), Some(EntryKind::File));
    }
    assert_eq!(kind_of(disk.hard_link(&a, &b)), ErrorKind::AlreadyExists);
    assert_eq!(kind_of(disk.hard_link(&a, &a)), ErrorKind::AlreadyExists);
    assert_eq!(kind_of(disk.hard_link(&a, &inner)), ErrorKind::AlreadyExists);
    assert_eq!(kind_of(disk.hard_link(&root.join("absent"), &b)), ErrorKind::NotFound);
    assert_eq!(kind_of(disk.hard_link(&a, &root.join("absent/a"))), ErrorKind::NotFound);
    assert_eq!(kind_of(disk.hard_link(&a, &b.join("below"))), ErrorKind::NotADirectory);
    assert_eq!(kind_of(disk.hard_link(&inner, &root.join("d"))), ErrorKind::PermissionDenied);

    disk.rename(&a, &b).unwrap();
    assert_eq!(disk.kind(&a).unwrap(), Some(EntryKind::File), "two names of one file: a rename does nothing");
    assert_eq!(kind_of(disk.rename_exclusive(&a, &b)), ErrorKind::AlreadyExists);
    disk.exchange(&a, &b).unwrap();
    disk.remove_file(&a).unwrap();
    assert_eq!(disk.kind(&a).unwrap(), None);
    assert_eq!(get(disk, &b), b"Shared");
    put(disk, &a, b"another");
    disk.rename(&a, &b).unwrap();
    assert_eq!((get(disk, &b), get(disk, &inner.join("c"))), (b"another".to_vec(), b"Shared".to_vec()));
    disk.remove_file(&inner.join("c")).unwrap();
    disk.remove_directory(&inner).unwrap();
}

fn modes(disk: &dyn Disk, root: &Path) {
    let (path, link) = (root.join("a"), root.join("link"));
    put(disk, &path, b"x");
    disk.hard_link(&path, &link).unwrap();
    assert_eq!(disk.mode(&path).unwrap() & 0o7111, 0, "new files are not programs");
    for mode in [0o400, 0o640, 0o755, 0o600] {
        disk.set_mode(&path, mode).unwrap();
        assert_eq!((disk.mode(&path).unwrap(), disk.mode(&link).unwrap()), (mode, mode));
    }
    disk.set_mode(&link, 0o10_0644).unwrap();
    assert_eq!(disk.mode(&path).unwrap(), 0o644, "the bits of a file's kind are left out");
    for (wrong, kind) in [(root.join("absent"), ErrorKind::NotFound), (root.into(), ErrorKind::IsADirectory)] {
        assert_eq!((kind_of(disk.mode(&wrong)), kind_of(disk.set_mode(&wrong, 0o600))), (kind, kind));
    }
    disk.rename(&path, &root.join("b")).unwrap();
    assert_eq!(disk.mode(&root.join("b")).unwrap(), 0o644);
}

fn likenesses(disk: &dyn Disk, root: &Path) {
    let (like, path) = (root.join("like"), root.join("a"));
    put(disk, &like, b"not copied");
    disk.set_mode(&like, 0o640).unwrap();
    let (file, not_kept) = disk.create_file_like(&path, &like).unwrap();
    assert!(not_kept.is_empty() && file.is_empty().unwrap(), "{not_kept}");
    file.write_all_at(0, b"own").unwrap();
    assert_eq!((get(disk, &path), disk.mode(&path).unwrap()), (b"own".to_vec(), 0o640));
    assert_eq!(kind_of(disk.create_file_like(&path, &like)), ErrorKind::AlreadyExists);
    for (wrong, kind) in [(root.join("absent"), ErrorKind::NotFound), (root.into(), ErrorKind::IsADirectory)] {
        assert_eq!(kind_of(disk.create_file_like(&root.join("b"), &wrong)), kind);
    }
    assert_eq!(disk.list(root).unwrap().len(), 2);
}

fn file_systems(disk: &dyn Disk, root: &Path) {
    let file_system = disk.file_system(root).unwrap();
    disk.write_new_file(&root.join("a"), b"a").unwrap();
    file_system.sync().unwrap();
    file_system.sync().unwrap();
    assert_eq!(get(disk, &root.join("a")), b"a");
    assert_eq!(kind_of(disk.file_system(&root.join("absent"))), ErrorKind::NotFound);
    assert_eq!(kind_of(disk.file_system(&root.join("a"))), ErrorKind::NotADirectory);
}

fn roots(disk: &dyn Disk, root: &Path) {
    disk.create_directory(&root.join("a")).unwrap();
    put(disk, &root.join("a/old"), b"123");
    disk.set_mode(&root.join("a/old"), 0o640).unwrap();
    let tree = disk.root(root).unwrap();
    let mut buffer = b"former".to_vec();
    let state = tree.read_file(Path::new("a/old"), 3, &mut buffer).unwrap();
    assert_eq!((&buffer[..], state.len_bytes, state.mode, state.links), (&b"123"[..], 3, 0o640, 1));
    assert_eq!(tree.file_state(Path::new("a/old")).unwrap(), Some(state));
    for absent in ["a/none", "none/old", "a", "a/old/x"] {
        assert_eq!(tree.file_state(Path::new(absent)).unwrap(), None, "{absent}");
    }
    let mut pieces = Vec::new();
    let mut take = |piece: &[u8]| {
        pieces.extend_from_slice(piece);
        ControlFlow::Break(())
    };
    tree.read_pieces(Path::new("a/old"), &mut take).unwrap();
    assert_eq!(kind_of(tree.read_pieces(Path::new("a"), &mut take)), ErrorKind::InvalidInput);
    assert_eq!(pieces, b"123");
    let too_long = tree.read_file(Path::new("a/old"), 2, &mut buffer).unwrap_err();
    assert_eq!(too_long.too_long().map(|file| (file.len_bytes, file.limit_bytes)), Some((3, 2)));
    let mut refused = |path: &str, limit| kind_of(tree.read_file(Path::new(path), limit, &mut buffer));
    assert_eq!(refused("a/old", 2), ErrorKind::InvalidData);
    assert_eq!(refused("a", 9), ErrorKind::InvalidInput);
    assert_eq!(refused("../roots/a/old", 9), ErrorKind::InvalidInput);
    assert_eq!(refused("/a/old", 9), ErrorKind::InvalidInput);
    assert_eq!(refused("a/none", 9), ErrorKind::NotFound);
    let mut names = Vec::new();
    tree.names(Path::new("a"), &mut |name, kind| names.push((name.to_owned(), kind))).unwrap();
    assert_eq!(names, [("old".into(), SourceNameKind::File)]);
    assert_eq!(tree.obstacle(Path::new("a/old")).unwrap(), None);
    assert_eq!(tree.obstacle(Path::new("a")).unwrap(), None);
    assert!(tree.free_space(Path::new("")).unwrap().bytes > 0 && tree.free_space(Path::new("a")).unwrap().bytes > 0);
    assert_eq!(kind_of(tree.free_space(Path::new("none"))), ErrorKind::NotFound);
    assert_eq!(kind_of(tree.open_directory(Path::new("../roots"))), ErrorKind::InvalidInput);
    root_directories(&*tree.open_directory(Path::new("a")).unwrap(), state);
    assert_eq!(get(disk, &root.join("a/old")), b"12345");
}

fn root_directories(directory: &dyn RootDirectory, old: FileState) {
    let [old_name, second, new] = ["old", "second", "new"].map(OsStr::new);
    directory.hard_link(old_name, second).unwrap();
    assert_eq!(kind_of(directory.hard_link(old_name, second)), ErrorKind::AlreadyExists);
    let linked = directory.file_state(old_name).unwrap().unwrap();
    assert_eq!(directory.file_system_number().unwrap(), linked.file_system);
    assert_eq!((linked.links, old.is_unchanged(&linked)), (2, true));
    directory.write_new_file(new, b"", Model::of(old_name), false).unwrap();
    assert_eq!(directory.file_state(new).unwrap().unwrap().mode, old.mode);
    directory.remove_file(new).unwrap();
    let model = Model { name: old_name, mode: Some(0o606), keeps_time: true };
    assert!(directory.write_new_file(new, b"12345", model, true).unwrap().is_empty());
    assert_eq!(kind_of(directory.write_new_file(new, b"", model, false)), ErrorKind::AlreadyExists);
    assert_eq!(kind_of(directory.rename_exclusive(new, old_name)), ErrorKind::AlreadyExists);
    assert_eq!(kind_of(directory.exchange(new, OsStr::new("absent"))), ErrorKind::NotFound);
    directory.exchange(new, old_name).unwrap();
    assert_eq!(directory.file_state(new).unwrap().unwrap().inode, old.inode);
    directory.exchange(old_name, new).unwrap();
    directory.rename(new, old_name).unwrap();
    assert_eq!(directory.file_state(new).unwrap(), None);
    let mut buffer = Vec::new();
    let state = directory.read_file(old_name, 5, &mut buffer).unwrap();
    assert_eq!((&buffer[..], state.mode, old.is_unchanged(&state)), (&b"12345"[..], 0o606, false));
    assert_eq!(directory.file_state(second).unwrap().unwrap().inode, old.inode);
    directory.remove_file(second).unwrap();
    directory.sync_file(old_name).unwrap();
    assert_eq!(kind_of(directory.sync_file(second)), ErrorKind::NotFound);
    directory.file_system().unwrap().sync().unwrap();
    directory.sync().unwrap();
    assert_eq!(kind_of(directory.read_file(second, 5, &mut buffer)), ErrorKind::NotFound);
}
