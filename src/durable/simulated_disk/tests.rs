//! Tests of the simulated disk itself; `replace.rs` shows what it is good for.

use std::io::ErrorKind;

use super::*;
use crate::durable::contract::disk_contract;

fn path(text: &str) -> &Path {
    Path::new(text)
}

fn put(disk: &SimulatedDisk, at: &str, bytes: &[u8]) -> Arc<dyn DiskFile> {
    let file = disk.create_file(path(at)).unwrap();
    file.write_all_at(0, bytes).unwrap();
    file
}

/// The files after a crash behind the last operation, as text.
fn left(disk: &SimulatedDisk, fault: CrashFault) -> Vec<(String, String)> {
    let image = disk.crash_image(disk.operations(), fault);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    image.snapshot().into_iter().map(|(path, bytes)| (path.display().to_string(), text(bytes))).collect()
}

fn files<const N: usize>(expected: [(&str, &str); N]) -> Vec<(String, String)> {
    expected.map(|(path, text)| (path.to_string(), text.to_string())).to_vec()
}

#[test]
fn keeps_the_contract() {
    let disk = SimulatedDisk::with_directories(&[path("/root")]);
    disk_contract(&disk, path("/root"));
    let image = disk.crash_image(disk.operations(), CrashFault::AllKept);
    assert_eq!(image.snapshot(), disk.snapshot());
    disk_contract(&SimulatedDisk::with_directories(&[path("/a/b/c")]), path("/a/b/c"));
}

#[test]
fn bytes_and_names_are_durable_each_by_its_own_sync() {
    let disk = SimulatedDisk::new();
    disk.install_file(path("/old"), b"old");
    let file = put(&disk, "/new", b"synced");
    file.sync().unwrap();
    file.write_all_at(6, b", not synced").unwrap();
    let (whole, bytes_of_sync) = (("/new", "synced, not synced"), ("/new", "synced"));
    let old = ("/old", "old");
    assert_eq!(left(&disk, CrashFault::AllKept), files([whole, old]));
    assert_eq!(left(&disk, CrashFault::UnsyncedDropped), files([old]));
    assert_eq!(left(&disk, CrashFault::RenamesLost), files([old]));
    assert_eq!(left(&disk, CrashFault::RenamesEarly), files([bytes_of_sync, old]));

    disk.sync_directory(path("/")).unwrap();
    assert_eq!(left(&disk, CrashFault::UnsyncedDropped), files([bytes_of_sync, old]));
    assert_eq!(left(&disk, CrashFault::RenamesLost), files([whole, old]));
    assert_eq!(disk.crash_image(0, CrashFault::AllKept).snapshot().len(), 1);
}

#[test]
fn a_new_length_is_durable_by_a_sync() {
    let disk = SimulatedDisk::new();
    disk.install_file(path("/file"), b"long text");
    let file = disk.open_file(path("/file")).unwrap();
    file.set_len(4).unwrap();
    assert_eq!(left(&disk, CrashFault::UnsyncedDropped), files([("/file", "long text")]));
    file.sync().unwrap();
    assert_eq!(left(&disk, CrashFault::UnsyncedDropped), files([("/file", "long")]));
}

#[test]
fn the_last_write_is_torn_at_a_sector() {
    let disk = SimulatedDisk::new();
    disk.install_file(path("/other"), b"");
    let file = put(&disk, "/file", &[1; 100]);
    file.write_all_at(100, &[2; 3000]).unwrap();
    disk.open_file(path("/other")).unwrap().set_len(7).unwrap();
    let torn = disk.crash_image(disk.operations(), CrashFault::LastWriteTorn).snapshot();
    // The middle is at 1600; the boundary before it at 1536.
    assert_eq!(torn[path("/file")], [vec![1; 100], vec![2; 1436]].concat());
    assert_eq!(torn[path("/other")].len(), 7, "all else is kept");
    file.sync().unwrap();
    let whole = disk.crash_image(disk.operations(), CrashFault::LastWriteTorn).snapshot();
    assert_eq!(whole[path("/file")].len(), 3100, "what is synced does not tear");
}

#[test]
fn scattered_writes_differ_by_seed_and_by_sector() {
    let disk = SimulatedDisk::new();
    disk.install_file(path("/file"), &[0; 4096]);
    disk.open_file(path("/file")).unwrap().write_all_at(0, &[1; 4096]).unwrap();
    put(&disk, "/new", b"x");
    let image = |seed| disk.crash_image(disk.operations(), CrashFault::ScatteredWrites(seed)).snapshot();
    assert_eq!(image(1), image(1));
    let images: Vec<_> = (0..20).map(image).collect();
    assert!(images.iter().any(|image| image.contains_key(path("/new"))));
    assert!(images.iter().any(|image| !image.contains_key(path("/new"))));
    assert!(images.iter().any(|image| image[path("/file")].contains(&0) && image[path("/file")].contains(&1)));
    for sector in images.iter().flat_map(|image| image[path("/file")].chunks(512)) {
        assert!(sector.iter().all(|&byte| byte == sector[0]));
    }
}

#[test]
fn a_rename_between_directories_waits_for_the_target() {
    let disk = SimulatedDisk::with_directories(&[path("/a"), path("/b")]);
    disk.install_file(path("/a/x"), b"x");
    disk.rename(path("/a/x"), path("/b/x")).unwrap();
    disk.sync_directory(path("/a")).unwrap();
    assert_eq!(left(&disk, CrashFault::UnsyncedDropped), files([("/a/x", "x")]));
    disk.sync_directory(path("/b")).unwrap();
    assert_eq!(left(&disk, CrashFault::UnsyncedDropped), files([("/b/x", "x")]));
}

#[test]
fn an_exchange_between_directories_waits_for_both() {
    for (first, second) in [("/a", "/b"), ("/b", "/a")] {
        let disk = SimulatedDisk::with_directories(&[path("/a"), path("/b")]);
        disk.install_file(path("/a/x"), b"1");
        disk.install_file(path("/b/x"), b"2");
        disk.exchange(path("/a/x"), path("/b/x")).unwrap();
        disk.sync_directory(path(first)).unwrap();
        assert_eq!(left(&disk, CrashFault::UnsyncedDropped), files([("/a/x", "1"), ("/b/x", "2")]));
        disk.sync_directory(path(second)).unwrap();
        assert_eq!(left(&disk, CrashFault::UnsyncedDropped), files([("/a/x", "2"), ("/b/x", "1")]));
    }
}

#[test]
fn scattered_names_are_the_first_of_each_directory() {
    let disk = SimulatedDisk::with_directories(&[path("/a"), path("/b")]);
    for name in 0..8 {
        put(&disk, &format!("/a/{name}"), b"");
        put(&disk, &format!("/b/{name}"), b"");
    }
    let mut counts = std::collections::BTreeSet::new();
    for seed in 0..50 {
        let image = disk.crash_image(disk.operations(), CrashFault::ScatteredWrites(seed));
        let of = |directory| image.list(path(directory)).unwrap();
        let is_first = |entries: &[DiskEntry]| (0..).zip(entries).all(|(i, entry)| *entry.name == *format!("{i}"));
        assert!(is_first(&of("/a")) && is_first(&of("/b")), "{seed}");
        counts.insert((of("/a").len(), of("/b").len()));
    }
    assert!(counts.len() > 10, "directories lose names independently");
}

#[test]
fn a_newer_meaning_of_a_name_brings_the_older_ones_along() {
    let disk = SimulatedDisk::with_directories(&[path("/a"), path("/b")]);
    disk.install_file(path("/a/x"), b"first");
    disk.rename(path("/a/x"), path("/b/x")).unwrap();
    put(&disk, "/a/x", b"second").sync().unwrap();
    disk.sync_directory(path("/a")).unwrap();
    assert_eq!(left(&disk, CrashFault::UnsyncedDropped), files([("/a/x", "second"), ("/b/x", "first")]));
}

#[test]
fn a_removed_file_comes_back_without_a_sync() {
    let disk = SimulatedDisk::new();
    disk.install_file(path("/file"), b"x");
    disk.remove_file(path("/file")).unwrap();
    assert_eq!(left(&disk, CrashFault::RenamesLost), files([("/file", "x")]));
    assert_eq!(left(&disk, CrashFault::RenamesEarly), files([]));
}

#[test]
fn names_below_a_lost_directory_are_lost() {
    let disk = SimulatedDisk::new();
    disk.create_directory(path("/new")).unwrap();
    put(&disk, "/new/file", b"x").sync().unwrap();
    disk.sync_directory(path("/new")).unwrap();
    assert_eq!(left(&disk, CrashFault::UnsyncedDropped), files([]));
    disk.sync_directory(path("/")).unwrap();
    assert_eq!(left(&disk, CrashFault::UnsyncedDropped), files([("/new/file", "x")]));
}

#[test]
fn an_image_is_a_fresh_disk() {
    let disk = SimulatedDisk::new();
    let _guard = disk.try_lock(path("/lock"), "dead").unwrap().unwrap();
    disk.fail_operation(1, InjectedFault::Eio);
    let image = disk.crash_image(disk.operations(), CrashFault::AllKept);
    assert_eq!(image.operations(), 0);
    assert!(!image.fault_is_pending());
    assert_eq!(left(&image, CrashFault::UnsyncedDropped), files([("/lock", "dead")]));
    image.try_lock(path("/lock"), "alive").unwrap().unwrap();
    assert_eq!(disk.snapshot()[path("/lock")], b"dead", "an image does not share what is written later");
}

#[test]
fn all_images_at_once_are_the_single_ones() {
    let disk = SimulatedDisk::with_directories(&[path("/d")]);
    let file = put(&disk, "/d/file", &[1; 2000]);
    file.sync().unwrap();
    file.write_all_at(1000, &[2; 2000]).unwrap();
    disk.sync_directory(path("/d")).unwrap();
    disk.rename(path("/d/file"), path("/file")).unwrap();
    for fault in CrashFault::ALL.into_iter().chain([CrashFault::ScatteredWrites(3)]) {
        let images: Vec<_> = disk.crash_images(fault).map(|image| image.snapshot()).collect();
        let single: Vec<_> = (0..=disk.operations()).map(|n| disk.crash_image(n, fault).snapshot()).collect();
        assert_eq!(images, single);
    }
    assert_eq!(disk.operation_label(0), "create file /d/file");
    assert_eq!(disk.operation_label(5), "rename /d/file to /file");
    assert_eq!(disk.operation_label(6), "no operation");
}

#[test]
fn faults_hit_one_operation_each() {
    let disk = SimulatedDisk::new();
    let file = put(&disk, "/file", b"123456");
    file.sync().unwrap();

    disk.fail_operation(1, InjectedFault::Eio);
    file.write_all_at(0, b"a").unwrap();
    assert!(disk.create_directory(path("/d")).is_err());
    disk.create_directory(path("/d")).unwrap();

    disk.fail_operation(0, InjectedFault::Enospc);
    assert_eq!(file.write_all_at(0, b"b").unwrap_err().kind(), ErrorKind::StorageFull);
    disk.fail_operation(0, InjectedFault::ShortWrite);
    assert_eq!(file.write_all_at(0, b"xyz_").unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(disk.snapshot()[path("/file")], b"xy3456");
    disk.fail_operation(0, InjectedFault::ShortWrite);
    assert_eq!(file.set_len(0).unwrap_err().source.raw_os_error(), Some(libc::EIO));
    assert_eq!(disk.snapshot()[path("/file")], b"xy3456");
    file.write_all_at(0, b"z").unwrap();
}

#[test]
fn a_failed_sync_loses_the_bytes_for_good() {
    let disk = SimulatedDisk::new();
    let file = put(&disk, "/file", b"kept");
    file.sync().unwrap();
    file.write_all_at(0, b"lost").unwrap();
    disk.fail_operation(0, InjectedFault::FailedSync);
    assert_eq!(file.sync().unwrap_err().source.raw_os_error(), Some(libc::EIO));
    assert!(!disk.fault_is_pending());
    file.sync().unwrap_err();
    file.write_all_at(0, b"more").unwrap_err();
    file.set_len(0).unwrap_err();
    assert_eq!(left(&disk, CrashFault::AllKept), files([("/file", "kept")]));
    let again = disk.open_file(path("/file")).unwrap();
    again.write_all_at(0, b"new!").unwrap();
    again.sync().unwrap();
}

#[test]
fn a_kill_keeps_what_a_loss_of_power_can_still_lose() {
    let disk = SimulatedDisk::new();
    let file = put(&disk, "/file", b"synced");
    file.sync().unwrap();
    disk.sync_directory(path("/")).unwrap();
    file.write_all_at(0, b"cached").unwrap();
    put(&disk, "/new", b"");
    let killed = disk.kill_image(disk.operations());
    assert_eq!(left(&killed, CrashFault::AllKept), files([("/file", "cached"), ("/new", "")]));
    assert_eq!(left(&killed, CrashFault::UnsyncedDropped), files([("/file", "synced")]));
    killed.sync_directory(path("/")).unwrap();
    assert_eq!(left(&killed, CrashFault::UnsyncedDropped), files([("/file", "synced"), ("/new", "")]));
}

#[test]
fn scattered_names_survive_in_any_order_but_not_without_their_prerequisites() {
    let disk = SimulatedDisk::new();
    for (name, text) in [("/a", "a"), ("/b", "b")] {
        put(&disk, name, text.as_bytes()).sync().unwrap();
    }
    disk.rename(path("/b"), path("/c")).unwrap();
    let images: Vec<_> = (0..200).map(|seed| left(&disk, CrashFault::ScatteredNames(seed))).collect();
    for possible in
        [files([("/a", "a")]), files([("/b", "b")]), files([("/c", "b")]), files([("/a", "a"), ("/c", "b")])]
    {
        assert!(images.contains(&possible), "{possible:?}");
    }
    for image in images {
        assert!(image.iter().filter(|(_, text)| text == "b").count() <= 1, "{image:?}");
    }
}

#[test]
fn a_full_disk_refuses_to_grow() {
    let disk = SimulatedDisk::new();
    disk.set_capacity(10);
    let file = put(&disk, "/file", b"12345678");
    assert_eq!(disk.free_bytes(path("/")).unwrap(), 2);
    assert_eq!(file.write_all_at(8, b"9ab").unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(file.preallocate(0, 11).unwrap_err().kind(), ErrorKind::StorageFull);
    file.write_all_at(0, b"replaced9a").unwrap();
    disk.remove_file(path("/file")).unwrap();
    assert_eq!(disk.free_bytes(path("/")).unwrap(), 10);
}

#[test]
fn paths_are_absolute_and_do_not_go_up() {
    let disk = SimulatedDisk::new();
    for wrong in ["relative", "/a/../b", "/.."] {
        assert!(disk.create_file(path(wrong)).is_err(), "{wrong}");
    }
    assert!(disk.remove_directory(path("/")).is_err());
}

#[test]
fn threads_may_share_a_disk() {
    let disk = SimulatedDisk::new();
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let disk = &disk;
            scope.spawn(move || {
                let file = put(disk, &format!("/{thread}"), b"");
                (0..100).for_each(|i| file.write_all_at(i, &[thread]).unwrap());
                file.sync().unwrap();
            });
        }
    });
    disk.sync_directory(path("/")).unwrap();
    let files = disk.crash_image(disk.operations(), CrashFault::UnsyncedDropped).snapshot();
    assert!((0..4_u8).all(|thread| files[path(&format!("/{thread}"))] == [thread; 100]));
}
