//! Several file systems on one disk: what a sync of one leaves of the others, and what cannot go from one to another.

use std::io::ErrorKind;

use super::*;

const MOUNT: &str = "/app/artifacts";

fn path(text: &str) -> &Path {
    Path::new(text)
}

fn disk() -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    disk.install_file(path("/app/old"), b"old");
    disk.install_file(path("/app/artifacts/job/old"), b"old");
    disk.mount(path(MOUNT));
    disk
}

fn left(disk: &SimulatedDisk, fault: CrashFault) -> Vec<(PathBuf, Vec<u8>)> {
    disk.crash_image(disk.operations(), fault).snapshot().into_iter().collect()
}

#[test]
fn a_sync_reaches_one_file_system_only() {
    for (synced, other) in [("/app/new", "/app/artifacts/job/new"), ("/app/artifacts/job/new", "/app/new")] {
        let disk = disk();
        let file_system = disk.file_system(path(synced).parent().unwrap()).unwrap();
        for file in [synced, other] {
            disk.write_new_file(path(file), b"bytes").unwrap();
        }
        file_system.sync().unwrap();
        let files = left(&disk, CrashFault::UnsyncedDropped);
        assert!(files.contains(&(synced.into(), b"bytes".to_vec())), "{files:?}");
        assert!(!files.iter().any(|(path, _)| *path == Path::new(other)), "{files:?}");
        let early = left(&disk, CrashFault::RenamesEarly);
        assert!(early.contains(&(other.into(), Vec::new())), "a name before its bytes: {early:?}");
    }
}

#[test]
fn no_name_leads_from_one_file_system_to_another() {
    let disk = disk();
    let (here, there) = (path("/app/old"), path("/app/artifacts/job/there"));
    let kind_of = |result: Result<(), DiskError>| result.unwrap_err().kind();
    assert_eq!(kind_of(disk.rename(here, there)), ErrorKind::CrossesDevices);
    assert_eq!(kind_of(disk.rename_exclusive(here, there)), ErrorKind::CrossesDevices);
    assert_eq!(kind_of(disk.hard_link(here, there)), ErrorKind::CrossesDevices);
    assert_eq!(kind_of(disk.exchange(here, path("/app/artifacts/job/old"))), ErrorKind::CrossesDevices);
    assert_eq!(kind_of(disk.rename(path(MOUNT), path("/app/moved"))), ErrorKind::ResourceBusy);
    disk.rename(path("/app/artifacts/job"), path("/app/artifacts/moved")).unwrap();
    assert_eq!(disk.operations(), 1);
}

#[test]
fn a_loss_fails_the_syncs_of_its_own_file_system() {
    let disk = disk();
    let (above, below) = (disk.file_system(path("/app")).unwrap(), disk.file_system(path(MOUNT)).unwrap());
    disk.write_new_file(path("/app/new"), b"kept").unwrap();
    disk.write_new_file(path("/app/artifacts/new"), b"lost").unwrap();
    disk.fail_operation(0, InjectedFault::FailedSync);
    below.sync().unwrap_err();
    below.sync().unwrap_err();
    above.sync().unwrap();
    assert_eq!(disk.snapshot()[path("/app/new")], b"kept");
    assert_eq!(disk.snapshot()[path("/app/artifacts/new")], b"");
}

#[test]
fn file_systems_survive_a_crash_and_have_their_own_space() {
    let image = disk().crash_image(0, CrashFault::UnsyncedDropped);
    let numbers = |disk: &SimulatedDisk| {
        let root = disk.root(path("/app")).unwrap();
        [path("old"), path("artifacts/job/old")].map(|file| root.file_state(file).unwrap().unwrap().file_system)
    };
    assert_ne!(numbers(&image)[0], numbers(&image)[1]);
    assert_eq!(numbers(&image), numbers(&disk()));
    image.set_capacity_at(path(MOUNT), 4);
    assert_eq!((image.free_bytes(path(MOUNT)).unwrap(), image.free_bytes(path("/app")).unwrap()), (1, 1 << 40));
    assert_eq!(image.write_new_file(path("/app/artifacts/new"), b"12").unwrap_err().kind(), ErrorKind::StorageFull);
    image.write_new_file(path("/app/new"), b"12").unwrap();
}
