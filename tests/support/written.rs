//! An observer that knows how far a run on the simulated disk had come at each operation.

use std::time::Duration;

use haul::durable::SimulatedDisk;
use haul::pipeline::{Event, Observer, Phase};
use parking_lot::{Condvar, Mutex};

/// How far a run had come at each operation.
pub struct Written {
    disk: SimulatedDisk,
    /// Settings under which the writer waits for each commit that is due, so that it is never ahead of the disk: how
    /// far it gets ahead otherwise is a matter of the disk's speed.
    pace_records: Option<u64>,
    inner: Mutex<WrittenSoFar>,
    committed: Condvar,
}

#[derive(Default)]
struct WrittenSoFar {
    in_run: bool,
    records: u64,
    /// Records at the commit that is due.
    due_records: u64,
    durable_records: u64,
    batch_records_max: u64,
    got_ahead: bool,
    /// Records written by the number of operations before.
    steps: Vec<(usize, u64)>,
}

impl Written {
    pub fn new(disk: &SimulatedDisk, pace_records: Option<u64>) -> Self {
        Self { disk: disk.clone(), pace_records, inner: Mutex::default(), committed: Condvar::new() }
    }

    pub fn records(&self) -> u64 {
        self.inner.lock().records
    }

    /// Records of the largest batch.
    pub fn batch_records_max(&self) -> u64 {
        self.inner.lock().batch_records_max
    }

    /// True if the writer got ahead of the disk although it was not to.
    pub fn got_ahead(&self) -> bool {
        self.inner.lock().got_ahead
    }

    /// Records that were written when this many operations were.
    pub fn before(&self, operations: usize) -> u64 {
        let inner = self.inner.lock();
        inner.steps.iter().take_while(|step| step.0 <= operations).last().map_or(0, |step| step.1)
    }
}

impl Observer for Written {
    fn observe(&self, event: &Event) {
        let mut inner = self.inner.lock();
        match event {
            Event::PhaseStarted { phase, .. } => inner.in_run = *phase == Phase::Run,
            Event::BatchWritten { records, .. } if inner.in_run => {
                inner.records += records;
                inner.batch_records_max = inner.batch_records_max.max(*records);
                let step = (self.disk.operations(), inner.records);
                inner.steps.push(step);
                let Some(pace_records) = self.pace_records else { return };
                if inner.durable_records < inner.due_records {
                    let waited = self.committed.wait_for(&mut inner, Duration::from_secs(2));
                    inner.got_ahead |= waited.timed_out();
                }
                // A commit is due after half an interval.
                if inner.records - inner.due_records >= (pace_records / 2).max(1) {
                    inner.due_records = inner.records;
                }
                drop(inner);
                // Lets the committer's answer arrive before the writer asks for the next commit.
                std::thread::sleep(Duration::from_millis(2));
            }
            Event::CheckpointWritten { records_total } => {
                inner.durable_records = *records_total;
                self.committed.notify_all();
            }
            _ => {}
        }
    }
}
