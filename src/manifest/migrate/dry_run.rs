//! Shows what a migration would do. Makes the checks of a run and the same evaluation of each file, and writes nothing.

use std::path::Path;
use std::sync::Arc;

use super::document_reader::DocumentReader;
use super::end::run_directory;
pub use super::evaluation_pass::DryRunEnd;
use super::evaluation_pass::go_through;
use super::selector::Selector;
use super::steps::ManifestMigration;
use crate::durable::{Disk, ReadRoot};
use crate::manifest::run_options::MigrateOptions;
use crate::manifest::tree::reader::EntryReader;
use crate::migration::{Error, clock, rehearse};
use crate::pipeline::{Control, Phase};

/// Makes the checks of a run, then reads and judges every file of the tree at `root`, which `tree` opens. Writes nothing;
/// `disk` is only looked at.
///
/// # Errors
/// Those of a run before it writes.
pub fn dry_run(
    disk: &Arc<dyn Disk>,
    (root, tree): (&Path, Arc<dyn ReadRoot>),
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<DryRunEnd, Error> {
    let mut migration = ManifestMigration::new(root, options);
    rehearse(&mut migration, disk, &run_directory(root), &options.run, control)?;
    let now = options.now.unwrap_or_else(clock::now_or_nearest);
    let transformer = options.transformer(now)?;
    let documents = Arc::new(DocumentReader::new(&options.run, options.transform.depth_max));
    let places = (options.layout, options.manifest.as_deref());
    let reader = EntryReader::new(tree.clone(), places, Vec::new(), options.run.batch_records)?
        .selecting(Selector::of_migration(&tree, options, &documents, (now, 0))?);
    go_through(&tree, transformer, |_| reader, options, (&documents, Phase::Run, control))
}
