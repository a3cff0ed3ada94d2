//! A pass over an old store that identifies every object and keeps nothing of it: what `validate` and `doctor` look with.

use super::accounting::{Destination, check_complete, enter};
use super::convert::{Converted, ObjectConverter};
use crate::cas::options::{Compress, MigrateOptions};
use crate::cas::source::SourceRoot;
use crate::cas::source::inventory::InventoryBuilder;
use crate::cas::source::reader::SourceReader;
use crate::cas::source::scan::ScanSums;
use crate::cas::source::walk::{Walked, walk};
use crate::cas::state::RunState;
use crate::migration::Error;
use crate::pipeline::buffer_pool::BufferPool;
use crate::pipeline::{Control, Ended, Event, NothingToCommit, Options, Phase, Writer, run};

/// What a pass gave beside what its destination was told.
pub struct Surveyed {
    /// Counts and generations, as a migration would have them.
    pub state: RunState,
    /// Sums of the walk.
    pub sums: ScanSums,
    /// True if a stop was requested; the rest then covers a part.
    pub stopped: bool,
}

/// Identifies every object of the store, in the order of paths, and tells `destination`. The sort of the names is that of
/// `builder`.
pub fn survey(
    root: &SourceRoot,
    builder: InventoryBuilder,
    destination: &mut (impl Destination + Send),
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<Surveyed, Error> {
    let mut state = RunState::new([0; 32], String::new(), options);
    let walked = walk(root, builder, options.parallel_workers.get(), control, |other| {
        state.records += 1;
        state.counts.add(other.outcome);
        destination.find(other.finding)
    })?;
    let Some(Walked { sums, inventory, .. }) = walked else {
        return Ok(Surveyed { state, sums: ScanSums::default(), stopped: true });
    };
    let buffers = BufferPool::default();
    let compress = Compress::AsStored;
    let converter = ObjectConverter { buffers: &buffers, root, compress, link: false, intake: None };
    let reader = SourceReader::new(inventory, 0, options.batch_records, compress)?;
    let engine = Options { checkpoint_interval_records: u64::MAX, ..options.engine() };
    let phase = Phase::Verify;
    let (records_expected, bytes_expected) = (Some(sums.objects), Some(sums.object_bytes));
    control.observer.observe(&Event::PhaseStarted { phase, records_expected, bytes_expected });
    let mut writer = SurveyWriter { root, state, destination, buffers: &buffers };
    let ended = run(reader, &converter, &mut writer, &engine, control);
    control.observer.observe(&Event::PhaseEnded { phase });
    let (stopped, state) = (ended? == Ended::Stopped, writer.state);
    if !stopped {
        check_complete(&state, &sums)?;
    }
    Ok(Surveyed { state, sums, stopped })
}

struct SurveyWriter<'a, D> {
    root: &'a SourceRoot,
    state: RunState,
    destination: &'a mut D,
    buffers: &'a BufferPool,
}

impl<D: Destination + Send> Writer for SurveyWriter<'_, D> {
    type Output = Converted;
    type Error = Error;
    type Commit = NothingToCommit<Error>;

    fn write(&mut self, converted: Converted) -> Result<(), Error> {
        enter(&mut self.state, self.root, self.destination, &converted)?;
        self.buffers.give_back(converted.bytes);
        Ok(())
    }

    fn commit_point(&mut self) -> Result<NothingToCommit<Error>, Error> {
        Ok(NothingToCommit::default())
    }
}
