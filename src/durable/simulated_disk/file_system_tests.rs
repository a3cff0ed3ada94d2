//! Syncing everything at once, permission bits, new files in one call; and every one of these that fails.

use super::*;
use crate::durable::{NEVER, ReaderKind, read_file};

fn path(text: &str) -> &Path {
    Path::new(text)
}

fn all_faults() -> impl Iterator<Item = CrashFault> {
    let seeds = (0..30).flat_map(|seed| [CrashFault::ScatteredWrites(seed), CrashFault::ScatteredNames(seed)]);
    CrashFault::ALL.into_iter().chain(seeds)
}

/// Every kind of change that waits for a sync.
fn busy_disk() -> SimulatedDisk {
    let disk = SimulatedDisk::with_directories(&[path("/a"), path("/b")]);
    for (name, bytes) in [("/a/x", b"x"), ("/b/y", b"y"), ("/b/old", b"o"), ("/b/gone", b"g")] {
        disk.install_file(path(name), bytes);
    }
    disk.create_directory(path("/c")).unwrap();
    disk.write_new_file(path("/c/new"), &[1; 2000]).unwrap();
    disk.hard_link(path("/c/new"), path("/a/link")).unwrap();
    disk.rename(path("/b/old"), path("/c/renamed")).unwrap();
    disk.exchange(path("/a/x"), path("/b/y")).unwrap();
    disk.open_file(path("/a/x")).unwrap().write_all_at(1, &[2; 2000]).unwrap();
    disk.set_mode(path("/b/y"), 0o600).unwrap();
    disk.remove_file(path("/b/gone")).unwrap();
    disk
}

/// All that a reader can see, with permission bits.
fn seen(disk: &SimulatedDisk) -> Vec<(PathBuf, Vec<u8>, u32)> {
    let files = disk.snapshot().into_iter();
    files.map(|(path, bytes)| (path.clone(), bytes, disk.mode(&path).unwrap())).collect()
}

#[test]
fn a_sync_of_the_file_system_makes_everything_durable() {
    let disk = busy_disk();
    let operations_before = disk.operations();
    let (initial, whole) = (seen(&disk.crash_image(0, CrashFault::AllKept)), seen(&disk));
    assert_eq!(seen(&disk.crash_image(operations_before, CrashFault::UnsyncedDropped)), initial);
    disk.file_system(path("/b")).unwrap().sync().unwrap();
    assert_eq!(disk.operations(), operations_before + 1);
    assert_eq!(disk.operation_label(operations_before), "sync the file system");
    for fault in all_faults() {
        let before = seen(&disk.crash_image(operations_before, fault));
        assert_eq!(before == whole, fault == CrashFault::AllKept, "{fault:?}");
        assert_eq!(seen(&disk.crash_image(operations_before + 1, fault)), whole, "{fault:?}");
    }
}

#[test]
fn later_writes_wait_for_the_next_sync() {
    let disk = busy_disk();
    let file_system = disk.file_system(path("/")).unwrap();
    file_system.sync().unwrap();
    let synced = seen(&disk);
    disk.open_file(path("/a/x")).unwrap().write_all_at(0, b"later").unwrap();
    disk.write_new_file(path("/c/later"), b"later").unwrap();
    disk.remove_file(path("/a/link")).unwrap();
    disk.set_mode(path("/b/y"), 0o400).unwrap();
    let dropped = |disk: &SimulatedDisk| seen(&disk.crash_image(disk.operations(), CrashFault::UnsyncedDropped));
    assert_eq!(dropped(&disk), synced);
    file_system.sync().unwrap();
    assert_eq!(dropped(&disk), seen(&disk));
}

#[test]
fn a_failed_sync_of_the_file_system_loses_the_bytes_of_all_files() {
    let disk = SimulatedDisk::new();
    disk.install_file(path("/old"), b"old");
    let file_system = disk.file_system(path("/")).unwrap();
    let (a, b) = (disk.create_file(path("/a")).unwrap(), disk.open_file(path("/old")).unwrap());
    a.write_all_at(0, b"lost").unwrap();
    b.write_all_at(0, b"lost").unwrap();
    disk.set_mode(path("/old"), 0o600).unwrap();
    disk.fail_operation(0, InjectedFault::FailedSync);
    assert_eq!(file_system.sync().unwrap_err().source.raw_os_error(), Some(libc::EIO));
    assert!(!disk.fault_is_pending());
    assert_eq!(seen(&disk), [("/a".into(), Vec::new(), 0o644), ("/old".into(), b"old".to_vec(), 0o644)]);
    let dropped = disk.crash_image(disk.operations(), CrashFault::UnsyncedDropped).snapshot();
    assert_eq!(dropped.len(), 1, "the failed sync made no name durable");

    let operations = disk.operations();
    assert_eq!(file_system.sync().unwrap_err().kind(), std::io::ErrorKind::Other);
    a.sync().unwrap_err();
    b.sync().unwrap_err();
    b.write_all_at(0, b"x").unwrap_err();
    assert_eq!(disk.operations(), operations);
    disk.file_system(path("/")).unwrap().sync().unwrap();
    disk.open_file(path("/a")).unwrap().sync().unwrap();
}

#[test]
fn a_sync_that_fails_without_a_loss_is_final_too() {
    let disk = SimulatedDisk::new();
    let file_system = disk.file_system(path("/")).unwrap();
    disk.write_new_file(path("/a"), b"kept").unwrap();
    disk.fail_operation(0, InjectedFault::Eio);
    file_system.sync().unwrap_err();
    file_system.sync().unwrap_err();
    assert_eq!(disk.snapshot()[path("/a")], b"kept");
    assert_eq!(disk.crash_image(disk.operations(), CrashFault::UnsyncedDropped).snapshot().len(), 0);
}

#[test]
fn the_loss_of_one_file_fails_every_earlier_handle_of_the_file_system() {
    let disk = SimulatedDisk::new();
    let asked_before = disk.file_system(path("/")).unwrap();
    let file = disk.create_file(path("/file")).unwrap();
    let (same_file, other_file) = (disk.open_file(path("/file")).unwrap(), disk.create_file(path("/other")).unwrap());
    file.write_all_at(0, b"lost").unwrap();
    disk.fail_operation(0, InjectedFault::FailedSync);
    file.sync().unwrap_err();
    asked_before.sync().unwrap_err();
    same_file.sync().unwrap_err();
    other_file.sync().unwrap();
    disk.file_system(path("/")).unwrap().sync().unwrap();
    asked_before.sync().unwrap_err();
}

/// The permission bits of `/file` after a crash behind the last operation.
fn mode_left(disk: &SimulatedDisk, fault: CrashFault) -> u32 {
    disk.crash_image(disk.operations(), fault).mode(path("/file")).unwrap()
}

#[test]
fn a_sync_of_a_file_takes_along_permission_bits_that_are_older_than_its_length() {
    let disk = SimulatedDisk::new();
    disk.install_file(path("/file"), b"1234");
    let file = disk.open_file(path("/file")).unwrap();
    disk.set_mode(path("/file"), 0o600).unwrap();
    file.write_all_at(0, b"abcd").unwrap();
    file.sync().unwrap();
    assert_eq!(mode_left(&disk, CrashFault::UnsyncedDropped), 0o644, "the length is the same");
    assert_eq!(mode_left(&disk, CrashFault::RenamesEarly), 0o644);
    for fault in [CrashFault::AllKept, CrashFault::LastWriteTorn, CrashFault::RenamesLost] {
        assert_eq!(mode_left(&disk, fault), 0o600, "{fault:?}");
    }

    file.set_len(2).unwrap();
    disk.set_mode(path("/file"), 0o400).unwrap();
    file.sync().unwrap();
    assert_eq!(mode_left(&disk, CrashFault::UnsyncedDropped), 0o600, "what waited came along, what is newer waits");
    assert_eq!(read_file(&disk, path("/file"), 9).unwrap(), b"ab");
    disk.file_system(path("/")).unwrap().sync().unwrap();
    assert_eq!(mode_left(&disk, CrashFault::UnsyncedDropped), 0o400);
}

#[test]
fn any_of_the_permission_bits_survive_a_crash_that_scatters() {
    let disk = SimulatedDisk::new();
    disk.install_file(path("/file"), b"");
    disk.set_mode(path("/file"), 0o600).unwrap();
    disk.set_mode(path("/file"), 0o400).unwrap();
    for scatter in [CrashFault::ScatteredWrites, CrashFault::ScatteredNames] {
        let found: std::collections::BTreeSet<u32> = (0..50).map(|seed| mode_left(&disk, scatter(seed))).collect();
        assert_eq!(found, [0o400, 0o600, 0o644].into());
    }
    disk.file_system(path("/")).unwrap().sync().unwrap();
    assert!((0..50).all(|seed| mode_left(&disk, CrashFault::ScatteredWrites(seed)) == 0o400));
}

#[test]
fn a_crash_may_come_between_a_new_file_and_its_bytes() {
    let disk = SimulatedDisk::new();
    disk.write_new_file(path("/full"), b"bytes").unwrap();
    disk.write_new_file(path("/empty"), b"").unwrap();
    let images: Vec<_> = disk.crash_images(CrashFault::AllKept).map(|image| image.snapshot()).collect();
    let sizes: Vec<Vec<usize>> = images.iter().map(|files| files.values().map(Vec::len).collect()).collect();
    assert_eq!(sizes, [vec![], vec![0], vec![5], vec![0, 5]]);
    let early = disk.crash_image(2, CrashFault::RenamesEarly).snapshot();
    assert_eq!(early[path("/full")], b"", "a name without its bytes");
}

#[test]
fn a_full_disk_has_no_room_for_a_new_file() {
    let disk = SimulatedDisk::new();
    disk.set_capacity(4);
    let error = disk.write_new_file(path("/a"), b"12345").unwrap_err();
    assert_eq!((error.kind(), error.path.as_path()), (std::io::ErrorKind::StorageFull, path("/a")));
    assert_eq!(disk.snapshot()[path("/a")], b"", "it may be left, and is");
}

type Play = fn(&SimulatedDisk) -> Result<(), DiskError>;

/// Each with the number of its operations.
const PLAYS: [(usize, Play); 6] = [
    (2, |disk| disk.write_new_file(path("/new"), b"bytes")),
    (1, |disk| disk.write_new_file(path("/new"), b"")),
    (4, |disk| copy_of_a_large_source(disk, path("/new"))),
    (1, |disk| disk.hard_link(path("/old"), path("/new"))),
    (1, |disk| disk.set_mode(path("/old"), 0o600)),
    (1, |disk| disk.file_system(path("/"))?.sync()),
];

/// Two whole buffers and a rest: a creation and three writes.
#[allow(clippy::disallowed_methods, reason = "a source belongs to someone else")]
fn copy_of_a_large_source(disk: &SimulatedDisk, target: &Path) -> Result<(), DiskError> {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source");
    std::fs::write(&source, vec![7; (2 << 20) + 5]).unwrap();
    disk.copy_new_file(&SourceFile::open(&source, ReaderKind::Auto)?, target, CopyMeans::Auto, NEVER).map(|_| ())
}

#[test]
fn every_operation_can_fail() {
    for (index, (operations, play)) in PLAYS.into_iter().enumerate() {
        for kind in InjectedFault::ALL {
            for n in 0..operations {
                let disk = SimulatedDisk::new();
                disk.install_file(path("/old"), b"old");
                disk.fail_operation(n, kind);
                let error = play(&disk).unwrap_err();
                assert!(!disk.fault_is_pending());
                let is_full = kind == InjectedFault::Enospc || kind == InjectedFault::ShortWrite && n > 0;
                let expected = if is_full { libc::ENOSPC } else { libc::EIO };
                assert_eq!(error.source.raw_os_error(), Some(expected), "play {index}, {kind:?} at {n}");
            }
        }
        let disk = SimulatedDisk::new();
        disk.install_file(path("/old"), b"old");
        play(&disk).unwrap();
        assert_eq!(disk.operations(), operations, "play {index}");
    }
}

#[test]
fn half_of_a_new_file_is_left_by_a_short_write() {
    let disk = SimulatedDisk::new();
    disk.fail_operation(1, InjectedFault::ShortWrite);
    disk.write_new_file(path("/a"), b"123456").unwrap_err();
    assert_eq!(disk.snapshot()[path("/a")], b"123");
}
