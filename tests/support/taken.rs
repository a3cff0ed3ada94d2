//! What files and directories take on the file system, and the most that they take during a run.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use haul::pipeline::{Event, Observer};

/// A block of the file systems that the figures are for.
const BLOCK_BYTES: u64 = 4096;

/// Bytes in whole blocks, and entries, of these paths with everything below, second names left out. What a file has
/// allocated ahead of its end is not taken: it is given back where there is no room.
pub fn taken(paths: &[PathBuf]) -> (u64, u64) {
    let mut pending = paths.to_vec();
    let (mut bytes, mut entries) = (0, 0);
    while let Some(path) = pending.pop() {
        // A run removes entries meanwhile.
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        let blocks_bytes = metadata.blocks() * 512;
        if metadata.is_dir() {
            pending.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
            bytes += blocks_bytes.max(BLOCK_BYTES);
            entries += 1;
        } else if metadata.nlink() == 1 {
            bytes += blocks_bytes.min(metadata.len().next_multiple_of(BLOCK_BYTES));
            entries += 1;
        }
    }
    (bytes, entries)
}

/// Looks during a run how much some paths take.
pub struct Peak {
    paths: Box<dyn Fn() -> Vec<PathBuf> + Send + Sync>,
    bytes: AtomicU64,
    entries: AtomicU64,
}

impl Peak {
    /// Looks at all that is in `directory`, but not at the entry `except`.
    pub fn in_directory(directory: &Path, except: &'static str) -> Self {
        let directory = directory.to_path_buf();
        let entries = move || {
            let entries = fs::read_dir(&directory).expect("a directory").map(|entry| entry.expect("an entry"));
            entries.filter(|entry| entry.file_name() != except).map(|entry| entry.path()).collect()
        };
        Self { paths: Box::new(entries), bytes: AtomicU64::new(0), entries: AtomicU64::new(0) }
    }

    pub fn look(&self) -> (u64, u64) {
        let (bytes, entries) = taken(&(self.paths)());
        self.bytes.fetch_max(bytes, Ordering::Relaxed);
        self.entries.fetch_max(entries, Ordering::Relaxed);
        (bytes, entries)
    }

    /// Bytes and entries at the time when they were most.
    pub fn most(&self) -> (u64, u64) {
        (self.bytes.load(Ordering::Relaxed), self.entries.load(Ordering::Relaxed))
    }
}

impl Observer for Peak {
    fn observe(&self, event: &Event) {
        if matches!(event, Event::PhaseStarted { .. } | Event::PhaseEnded { .. } | Event::CheckpointWritten { .. }) {
            self.look();
        }
    }
}

/// Fails unless the figure is at least what was taken, and at most a tenth above it.
pub fn assert_near(what: &str, said: u64, taken: u64) {
    eprintln!("{what}: {said} said, {taken} taken, {:+.1}%", (said as f64 / taken as f64 - 1.0) * 100.0);
    assert!(said >= taken, "{what}: {said} said, {taken} taken");
    assert!(said * 10 <= taken * 11, "{what}: {said} said, {taken} taken");
}
