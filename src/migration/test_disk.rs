//! What the tests of this room share: a simulated disk with its scene set, and the faults that it plays.

use std::path::Path;

use crate::durable::{CrashFault, Disk, SimulatedDisk, read_file};

/// A disk with the directories `/run` and `/space`.
pub fn disk() -> SimulatedDisk {
    SimulatedDisk::with_directories(&[Path::new("/run"), Path::new("/space")])
}

/// The bytes of a file.
pub fn bytes_of(disk: &SimulatedDisk, path: &Path) -> Vec<u8> {
    read_file(disk, path, u64::MAX).unwrap()
}

/// Gives a file these bytes.
pub fn put(disk: &SimulatedDisk, path: &Path, bytes: &[u8]) {
    let file = match disk.kind(path).unwrap() {
        Some(_) => disk.open_file(path).unwrap(),
        None => disk.create_file(path).unwrap(),
    };
    file.set_len(0).unwrap();
    file.write_all_at(0, bytes).unwrap();
}

/// Every crash: those without a seed, and scattered writes with a few.
pub fn crash_faults() -> impl Iterator<Item = CrashFault> {
    CrashFault::ALL.into_iter().chain((0..16).map(CrashFault::ScatteredWrites))
}
