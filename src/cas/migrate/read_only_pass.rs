//! A pass over an old store that identifies every object and keeps nothing of it: the basis of `validate` and `doctor`.

use super::accounting::{Destination, check_complete, record_batch};
use super::convert::ObjectConverter;
use crate::cas::format::encoding::Compress;
use crate::cas::options::MigrateOptions;
use crate::cas::source::SourceRoot;
use crate::cas::source::inventory::InventoryBuilder;
use crate::cas::source::reader::SourceReader;
use crate::cas::source::scan::ScanSums;
use crate::cas::source::walk::{Walked, walk};
use crate::cas::state::RunState;
use crate::migration::{Error, stopped_inside};
use crate::pipeline::{Control, Ended, Expected, Phase, pass};

/// The result of a pass.
pub struct PassEnd {
    /// Counts and generations, as a migration would have them.
    pub state: RunState,
    /// Sums of the walk.
    pub sums: ScanSums,
    /// True if a stop was requested. Then the rest covers a part.
    pub stopped: bool,
}

/// Identifies every object of the store, in the order of paths, and passes it to `destination`. `builder` sorts the
/// names.
pub fn identify_all(
    root: &SourceRoot,
    builder: InventoryBuilder,
    destination: &mut (impl Destination + Send),
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<PassEnd, Error> {
    let mut state = RunState::new([0; 32], String::new(), options.rules(), options.durability);
    let walked = walk(root, builder, options.run.parallel_workers.get(), control, |other| {
        state.records += 1;
        state.counts.add(other.outcome);
        destination.add_finding(other.finding)
    })?;
    let Some(Walked { sums, inventory, .. }) = walked else {
        return Ok(PassEnd { state, sums: ScanSums::default(), stopped: true });
    };
    let converter = ObjectConverter::new(root, sums.objects, Compress::AsStored, false, None, control.stop);
    let reader = SourceReader::new(inventory, 0, options.run.batch_records, Compress::AsStored)?;
    let ended = control.phase(Phase::Verify, Expected::both(sums.objects, sums.object_bytes), || {
        pass(reader, &converter, &options.engine(), control, |converted| {
            record_batch(&mut state, root, destination, &converted.items)
        })
    });
    let ended = stopped_inside(ended)?;
    let stopped = ended == Ended::Stopped;
    if !stopped {
        check_complete(&state, &sums)?;
    }
    Ok(PassEnd { state, sums, stopped })
}
