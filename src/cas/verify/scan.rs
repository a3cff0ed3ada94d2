//! Reads layout and index of a store before the first object is read.

use std::path::Path;
use std::thread;

use super::fault::{FaultKind, VerifyFault};
use super::index::{IndexRead, read_index};
use super::request::{ShareBuilder, VerifyRequest};
use super::tally::Tally;
use super::walk::{Parts, Walked, list_root, walk};
use crate::cas::options::MigrateOptions;
use crate::cas::paths::INDEX_NAME;
use crate::cas::source::SourceRoot;
use crate::cas::source::inventory::InventoryBuilder;
use crate::migration::{Error, SortDirectory};
use crate::pipeline::{Control, start_thread};

/// A store whose layout and index were read.
pub struct Scanned {
    /// The objects and other names.
    pub walked: Walked,
    /// The index.
    pub index: IndexRead,
    /// The faults of both.
    pub tally: Tally,
}

/// Walks the store at `root` and reads its index at the same time. `Ok(None)`: a stop was requested.
pub fn scan(
    root: &Path,
    request: &VerifyRequest,
    sorts: &SortDirectory,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<Option<Scanned>, Error> {
    let mut tally = Tally::default();
    let parts = list_root(root, &mut tally)?;
    let lines = sorts.runs("index", options.sort_memory_bytes())?;
    let (walked, index) = thread::scope(|scope| {
        let reading = start_thread(scope, "haul-index", || read_index(root, parts.index, lines, control.stop))?;
        let walked = walk_parts(root, parts, request, sorts, &mut tally, options, control);
        Ok::<_, Error>((walked, reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))))
    })?;
    let (Some(walked), Some(mut index)) = (walked?, index?) else { return Ok(None) };
    tally.merge(std::mem::take(&mut index.tally));
    if index.sorted.is_some() && index.records() == 0 && walked.sums.objects > 0 {
        let text = "it lists nothing although there are objects: no reader sees them";
        tally.add(VerifyFault::new(FaultKind::IndexEmpty, INDEX_NAME.into(), None, text));
    }
    Ok(Some(Scanned { walked, index, tally }))
}

fn walk_parts(
    root: &Path,
    parts: Parts,
    request: &VerifyRequest,
    sorts: &SortDirectory,
    tally: &mut Tally,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<Option<Walked>, Error> {
    let builder = InventoryBuilder::over(sorts.runs("objects", options.sort_memory_bytes())?);
    let share = ShareBuilder::new(request, sorts, options, control.stop)?;
    if !parts.has_objects {
        let (inventory, share) = (builder.finish()?, share.finish()?);
        return Ok(Some(Walked { sums: Default::default(), inventory, share }));
    }
    walk(&SourceRoot::v2(root), builder, share, tally, options, control)
}
