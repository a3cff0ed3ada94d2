//! External sort of fixed-width records in bounded memory: what does not fit is sorted and written to run files, which
//! are merged at the end.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use super::merge::{Merged, compare, merge_runs};
use super::run_file::Run;
use super::stop::StopToken;
use super::threads::sort_in_parallel;
use crate::durable::{Disk, DiskError};

/// The buffer starts with room for as many records.
const RECORDS_INITIAL: usize = 1024;

/// Collects records of `N` bytes in any order and gives them back sorted as byte strings. Equal records are all kept.
///
/// The run files are scratch: never synced, removed as soon as they are consumed or dropped. What a killed process
/// left behind is removed by [`remove_run_files`](super::remove_run_files).
pub struct SortedRuns<const N: usize> {
    buffer: Vec<[u8; N]>,
    records_max: usize,
    spill: Option<Spill>,
}

/// Where records go that do not fit in memory.
struct Spill {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    memory_bytes: u64,
    runs: VecDeque<Run>,
    runs_created: u64,
    stop: StopToken,
}

impl<const N: usize> SortedRuns<N> {
    /// Keeps at most `memory_bytes` in memory, one record at least, and the rest in `directory`. The directory must
    /// exist and belong to this sort alone; nothing is created in it before the memory is full.
    pub fn new(disk: Arc<dyn Disk>, directory: PathBuf, memory_bytes: u64) -> Self {
        const { assert!(N > 0, "records have at least one byte") };
        let records_max = usize::try_from(memory_bytes / N as u64).unwrap_or(usize::MAX).max(1);
        let (runs, stop) = (VecDeque::new(), StopToken::new());
        let spill = Spill { disk, directory, memory_bytes, runs, runs_created: 0, stop };
        Self { buffer: Vec::new(), records_max, spill: Some(spill) }
    }

    /// Keeps everything in memory, however much it is.
    pub fn in_memory() -> Self {
        const { assert!(N > 0, "records have at least one byte") };
        Self { buffer: Vec::new(), records_max: usize::MAX, spill: None }
    }

    /// Ends the writing and the merging of runs on request, with an error of the disk.
    pub fn stopped_by(mut self, stop: &StopToken) -> Self {
        if let Some(spill) = &mut self.spill {
            spill.stop = stop.clone();
        }
        self
    }

    /// Takes one record.
    pub fn push(&mut self, record: [u8; N]) -> Result<(), DiskError> {
        if self.buffer.len() == self.buffer.capacity() {
            self.make_room()?;
        }
        self.buffer.push(record);
        Ok(())
    }

    /// Bytes of memory that are held for records.
    pub fn resident_bytes(&self) -> u64 {
        (self.buffer.capacity() * N) as u64
    }

    /// Sorts what is left and starts the merge.
    pub fn finish(mut self) -> Result<Merged<N>, DiskError> {
        if self.spill.as_ref().is_some_and(|spill| !spill.runs.is_empty()) {
            self.spill_buffer()?;
        }
        match self.spill {
            Some(spill) if !spill.runs.is_empty() => {
                drop(self.buffer);
                let place = (spill.disk, spill.directory);
                merge_runs(place, spill.memory_bytes, spill.runs, spill.runs_created, &spill.stop)
            }
            _ => {
                sort(&mut self.buffer);
                Ok(Merged::from_sorted(self.buffer))
            }
        }
    }

    /// Makes the full buffer larger, or empty once it is as large as it may be.
    fn make_room(&mut self) -> Result<(), DiskError> {
        let capacity = self.buffer.capacity();
        if capacity >= self.records_max {
            return self.spill_buffer();
        }
        self.buffer.reserve_exact(next_capacity(capacity, self.records_max) - capacity);
        Ok(())
    }

    /// Writes the buffer as a run, if it holds anything, and empties it.
    fn spill_buffer(&mut self) -> Result<(), DiskError> {
        let Some(spill) = self.spill.as_mut().filter(|_| !self.buffer.is_empty()) else { return Ok(()) };
        sort(&mut self.buffer);
        let run = Run::write((&spill.disk, &spill.directory), spill.runs_created, &self.buffer, &spill.stop)?;
        spill.runs.push_back(run);
        spill.runs_created += 1;
        self.buffer.clear();
        Ok(())
    }
}

/// The capacity after `capacity`: at least twice as large, and by doubling exactly `records_max` in the end. While the
/// buffer moves, old and new together then never hold more pages in use than `records_max` needs.
fn next_capacity(capacity: usize, records_max: usize) -> usize {
    if records_max == usize::MAX {
        return capacity.saturating_mul(2).max(RECORDS_INITIAL);
    }
    let mut next = records_max;
    while next / 2 > capacity && next / 2 >= RECORDS_INITIAL {
        next /= 2;
    }
    next
}

fn sort<const N: usize>(records: &mut [[u8; N]]) {
    sort_in_parallel(records, compare);
}

#[cfg(test)]
mod tests;
