//! Files with two names: one file while the disk runs, and one file after every crash.

use super::*;

fn path(text: &str) -> &Path {
    Path::new(text)
}

/// A durable file `/a/x` with a second name `/b/y` that is not.
fn disk_with_link() -> SimulatedDisk {
    let disk = SimulatedDisk::with_directories(&[path("/a"), path("/b")]);
    disk.install_file(path("/a/x"), b"old");
    disk.hard_link(path("/a/x"), path("/b/y")).unwrap();
    disk
}

/// The names of files after a crash behind the last operation, in one text.
fn names_left(disk: &SimulatedDisk, fault: CrashFault) -> String {
    let snapshot = disk.crash_image(disk.operations(), fault).snapshot();
    snapshot.keys().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_new_name_waits_for_its_own_directory() {
    let disk = disk_with_link();
    disk.sync_directory(path("/a")).unwrap();
    assert_eq!(names_left(&disk, CrashFault::UnsyncedDropped), "/a/x");
    assert_eq!(names_left(&disk, CrashFault::RenamesLost), "/a/x");
    assert_eq!(names_left(&disk, CrashFault::RenamesEarly), "/a/x /b/y");
    disk.sync_directory(path("/b")).unwrap();
    assert_eq!(names_left(&disk, CrashFault::UnsyncedDropped), "/a/x /b/y");
}

#[test]
fn a_second_name_does_not_need_the_first() {
    let disk = SimulatedDisk::with_directories(&[path("/a"), path("/b")]);
    let file = disk.create_file(path("/a/x")).unwrap();
    file.write_all_at(0, b"synced").unwrap();
    file.sync().unwrap();
    disk.hard_link(path("/a/x"), path("/b/y")).unwrap();
    disk.sync_directory(path("/b")).unwrap();
    let left = disk.crash_image(disk.operations(), CrashFault::UnsyncedDropped).snapshot();
    assert_eq!(left, BTreeMap::from([("/b/y".into(), b"synced".to_vec())]));
}

#[test]
fn a_removed_name_comes_back_alone() {
    let disk = disk_with_link();
    disk.sync_directory(path("/b")).unwrap();
    disk.remove_file(path("/a/x")).unwrap();
    assert_eq!(disk.snapshot(), BTreeMap::from([("/b/y".into(), b"old".to_vec())]));
    assert_eq!(names_left(&disk, CrashFault::UnsyncedDropped), "/a/x /b/y");
    assert_eq!(names_left(&disk, CrashFault::RenamesEarly), "/b/y");
    disk.sync_directory(path("/a")).unwrap();
    assert_eq!(names_left(&disk, CrashFault::UnsyncedDropped), "/b/y");
}

#[test]
fn a_removal_that_is_durable_before_the_link_loses_the_file() {
    let disk = disk_with_link();
    disk.remove_file(path("/a/x")).unwrap();
    disk.sync_directory(path("/a")).unwrap();
    assert_eq!(names_left(&disk, CrashFault::UnsyncedDropped), "");
    assert_eq!(names_left(&disk, CrashFault::AllKept), "/b/y");
}

#[test]
fn both_names_show_the_same_file_after_every_crash() {
    let disk = disk_with_link();
    disk.open_file(path("/b/y")).unwrap().write_all_at(0, &[1; 4096]).unwrap();
    disk.set_mode(path("/a/x"), 0o600).unwrap();
    disk.open_file(path("/a/x")).unwrap().write_all_at(2048, &[2; 4096]).unwrap();
    let seeds = (0..100).flat_map(|seed| [CrashFault::ScatteredWrites(seed), CrashFault::ScatteredNames(seed)]);
    let mut images_with_both = 0;
    for fault in CrashFault::ALL.into_iter().chain(seeds) {
        for image in disk.crash_images(fault) {
            let left = image.snapshot();
            assert!(left.contains_key(path("/a/x")), "{fault:?}");
            if let Some(bytes) = left.get(path("/b/y")) {
                images_with_both += 1;
                assert!(bytes == &left[path("/a/x")], "{fault:?}");
                assert_eq!(image.mode(path("/b/y")).unwrap(), image.mode(path("/a/x")).unwrap(), "{fault:?}");
                // Still one file, not two with the same bytes.
                image.open_file(path("/b/y")).unwrap().set_len(1).unwrap();
                assert_eq!(image.snapshot()[path("/a/x")].len(), 1, "{fault:?}");
            }
        }
    }
    assert!(images_with_both > 300);
}

#[test]
fn a_linked_file_takes_space_once_and_until_its_last_name_goes() {
    let disk = disk_with_link();
    disk.set_capacity(10);
    assert_eq!(disk.free_bytes(path("/")).unwrap(), 7);
    disk.remove_file(path("/a/x")).unwrap();
    assert_eq!(disk.free_bytes(path("/")).unwrap(), 7);
    disk.remove_file(path("/b/y")).unwrap();
    assert_eq!(disk.free_bytes(path("/")).unwrap(), 10);
}
