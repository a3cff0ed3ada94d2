//! Key maps in memory.

use std::path::Path;
use std::sync::Arc;

use haul::cas::map::{KeyMap, MapRow, MapWriter};
use haul::durable::{Disk, SimulatedDisk};
use haul::pipeline::StopToken;

pub const MAP: &str = "/map/key-map.tsv";

/// An empty directory for a map.
pub fn disk() -> SimulatedDisk {
    SimulatedDisk::with_directories(&[Path::new("/map")])
}

/// Puts a file in place.
pub fn put(disk: &SimulatedDisk, path: &Path, bytes: &[u8]) {
    let _ = disk.remove_file(path);
    disk.create_file(path).expect("room").write_all_at(0, bytes).expect("room");
}

/// Writes a map of rows that do not contradict each other.
pub fn write(disk: &SimulatedDisk, memory_bytes: u64, rows: &[MapRow]) -> KeyMap {
    let mut writer = MapWriter::new(Arc::new(disk.clone()), Path::new("/map/scratch"), memory_bytes).expect("a writer");
    rows.iter().for_each(|row| writer.push(*row).expect("room"));
    writer.finish(Path::new(MAP), &StopToken::new()).expect("no contradiction").expect("no stop");
    KeyMap::open_on(disk, Path::new(MAP)).expect("a map")
}
