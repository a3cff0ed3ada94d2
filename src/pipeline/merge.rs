//! The merge of sorted runs: streams all records in order through small read buffers.

use std::cmp::Ordering;
use std::collections::binary_heap::PeekMut;
use std::collections::{BinaryHeap, VecDeque};
use std::mem;
use std::path::PathBuf;
use std::sync::Arc;

use super::run_file::{Run, RunReader, RunWriter};
use super::stop::StopToken;
use crate::durable::{Disk, DiskError};

/// Runs that are merged at once, at most: more would read in too small steps.
const FAN_IN_MAX: u64 = 64;
/// The least that a read should fetch, if the memory allows.
const READ_BYTES_MIN: u64 = 64 << 10;
/// The most that a read fetches.
const READ_BYTES_MAX: u64 = 1 << 20;

/// All records of a [`SortedRuns`](super::SortedRuns), in order.
pub struct Merged<const N: usize> {
    source: Source<N>,
    records: u64,
}

enum Source<const N: usize> {
    Memory(std::vec::IntoIter<[u8; N]>),
    Runs(RunMerge<N>),
}

impl<const N: usize> Merged<N> {
    pub(super) fn from_sorted(records: Vec<[u8; N]>) -> Self {
        Self { records: records.len() as u64, source: Source::Memory(records.into_iter()) }
    }

    /// The next record in order, `None` after the last. After an error the rest is lost.
    #[allow(clippy::should_implement_trait, reason = "it can fail, and is asked with `?`")]
    pub fn next(&mut self) -> Result<Option<[u8; N]>, DiskError> {
        match &mut self.source {
            Source::Memory(records) => Ok(records.next()),
            Source::Runs(merge) => merge.next(),
        }
    }

    /// Records in all, also those that were taken already.
    pub fn records(&self) -> u64 {
        self.records
    }
}

/// Merges `runs` within `memory_bytes` (three records at least): first some of them into larger ones, until the rest
/// can be merged at once. New runs are numbered from `index`.
pub(super) fn merge_runs<const N: usize>(
    (disk, directory): (Arc<dyn Disk>, PathBuf),
    memory_bytes: u64,
    mut runs: VecDeque<Run>,
    mut index: u64,
    stop: &StopToken,
) -> Result<Merged<N>, DiskError> {
    let records = runs.iter().map(Run::records).sum();
    let fan_in = fan_in(memory_bytes);
    while runs.len() > fan_in {
        // The first pass takes no more runs than needed for the last one to be full.
        let taken = fan_in.min(runs.len() - fan_in + 1);
        let buffer_records = buffer_records::<N>(memory_bytes, taken + 1);
        let mut merge = RunMerge::<N>::open(runs.drain(..taken), buffer_records)?;
        let mut merged = RunWriter::create(&disk, &directory, index, buffer_records)?;
        let mut since_look = 0;
        while let Some(record) = merge.next()? {
            merged.push(record)?;
            since_look += N as u64;
            if since_look >= READ_BYTES_MAX {
                since_look = 0;
                if stop.is_requested() {
                    return Err(DiskError::stopped("sort in", &directory));
                }
            }
        }
        runs.push_back(merged.finish()?);
        index += 1;
    }
    let buffer_records = buffer_records::<N>(memory_bytes, runs.len());
    Ok(Merged { source: Source::Runs(RunMerge::open(runs.into_iter(), buffer_records)?), records })
}

/// Runs that may be merged at once, in addition to the buffer of the run that they are written to.
fn fan_in(memory_bytes: u64) -> usize {
    (memory_bytes / READ_BYTES_MIN).saturating_sub(1).clamp(2, FAN_IN_MAX) as usize
}

/// Records in each of `buffers` that share the memory.
fn buffer_records<const N: usize>(memory_bytes: u64, buffers: usize) -> usize {
    let share_bytes = (memory_bytes / buffers as u64).min(READ_BYTES_MAX);
    (share_bytes / N as u64).max(1) as usize
}

/// A merge of runs that are all open.
struct RunMerge<const N: usize> {
    heads: BinaryHeap<Head<N>>,
}

/// The next record of a run. The least record is the greatest head, which a heap gives first.
struct Head<const N: usize> {
    record: [u8; N],
    rest: Box<RunReader<N>>,
}

impl<const N: usize> RunMerge<N> {
    fn open(runs: impl Iterator<Item = Run>, buffer_records: usize) -> Result<Self, DiskError> {
        let mut heads = BinaryHeap::new();
        for run in runs {
            let mut rest = Box::new(RunReader::open(run, buffer_records)?);
            match rest.next()? {
                Some(record) => heads.push(Head { record, rest }),
                None => rest.remove()?,
            }
        }
        Ok(Self { heads })
    }

    fn next(&mut self) -> Result<Option<[u8; N]>, DiskError> {
        let Some(mut head) = self.heads.peek_mut() else { return Ok(None) };
        if let Some(record) = head.rest.next()? {
            return Ok(Some(mem::replace(&mut head.record, record)));
        }
        let Head { record, rest } = PeekMut::pop(head);
        rest.remove()?;
        Ok(Some(record))
    }
}

impl<const N: usize> Ord for Head<N> {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&other.record, &self.record)
    }
}

impl<const N: usize> PartialOrd for Head<N> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<const N: usize> PartialEq for Head<N> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<const N: usize> Eq for Head<N> {}

/// Orders as byte strings. Most pairs differ in their first eight bytes, compared as one number.
pub(super) fn compare<const N: usize>(a: &[u8; N], b: &[u8; N]) -> Ordering {
    prefix(a).cmp(&prefix(b)).then_with(|| a.cmp(b))
}

fn prefix<const N: usize>(record: &[u8; N]) -> u64 {
    record.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fan_in_follows_the_memory() {
        assert_eq!([0, 1, 192 << 10, 320 << 10, 1 << 40].map(fan_in), [2, 2, 2, 4, 64]);
        assert_eq!(buffer_records::<80>(0, 3), 1);
        assert_eq!(buffer_records::<80>(4 << 20, 65), (4 << 20) / 65 / 80);
        assert_eq!(buffer_records::<80>(u64::MAX, 2), (1 << 20) / 80);
    }
}
