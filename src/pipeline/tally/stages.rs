//! How long the stages take: one histogram for each stage and thread, merged when they are read.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use hdrhistogram::Histogram;
use parking_lot::Mutex;

use crate::pipeline::event::EngineStage;

/// The shortest and the longest time that can be distinguished, and the digits of one that count.
const LOWEST_US: u64 = 1;
const HIGHEST_US: u64 = 3_600_000_000;
const DIGITS: u8 = 2;
/// Threads that never share a histogram. More of them share one, which costs them some time and changes no number.
const SLOTS: usize = 16;
const STAGES: usize = EngineStage::ALL.len();

/// Returns an empty histogram of microseconds, from one to an hour. It takes some 30 KiB.
pub fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(LOWEST_US, HIGHEST_US, DIGITS).expect("the bounds are right")
}

/// Times of the stages.
#[derive(Debug, Default)]
pub struct StageTimes {
    /// Each thread records in its own slot, so that a lock is held by someone else only while the times are read.
    slots: [Mutex<[Option<Histogram<u64>>; STAGES]>; SLOTS],
}

impl StageTimes {
    /// Records one time.
    pub fn record(&self, stage: EngineStage, took_us: u64) {
        let mut slot = self.slots[own_slot()].lock();
        slot[stage as usize].get_or_insert_with(new_histogram).saturating_record(took_us.max(LOWEST_US));
    }

    /// Returns the times of all threads; `None` for a stage that has done nothing.
    pub fn merged(&self) -> [Option<Histogram<u64>>; STAGES] {
        let mut merged: [Option<Histogram<u64>>; STAGES] = Default::default();
        for slot in &self.slots {
            for (all, one) in merged.iter_mut().zip(&*slot.lock()) {
                if let Some(one) = one {
                    all.get_or_insert_with(new_histogram).add(one).expect("all have the same bounds");
                }
            }
        }
        merged
    }
}

/// Returns the slot of this thread.
fn own_slot() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SLOT: Cell<Option<usize>> = const { Cell::new(None) };
    }
    SLOT.with(|slot| {
        let own = slot.get().unwrap_or_else(|| NEXT.fetch_add(1, Relaxed) % SLOTS);
        slot.set(Some(own));
        own
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_all_threads_are_merged() {
        let times = StageTimes::default();
        std::thread::scope(|scope| {
            for thread in 0..40_u64 {
                let times = &times;
                scope.spawn(move || (1..=100).for_each(|us| times.record(EngineStage::Convert, 1000 * thread + us)));
            }
        });
        let merged = times.merged();
        let convert = merged[EngineStage::Convert as usize].as_ref().unwrap();
        assert_eq!(convert.len(), 4000);
        assert!(convert.max() >= 39_100 && convert.max() < 39_500, "{}", convert.max());
        assert!(merged[EngineStage::Read as usize].is_none());
    }

    #[test]
    fn times_out_of_bounds_are_the_bounds() {
        let times = StageTimes::default();
        times.record(EngineStage::Sync, 0);
        times.record(EngineStage::Sync, u64::MAX);
        let merged = times.merged();
        let sync = merged[EngineStage::Sync as usize].as_ref().unwrap();
        assert_eq!((sync.len(), sync.min()), (2, 1));
        assert!(sync.max() >= HIGHEST_US);
    }
}
