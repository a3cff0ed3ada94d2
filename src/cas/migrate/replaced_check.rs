//! Compares the number of objects of a new store with that of the store that it replaces.

use std::path::Path;

use crate::cas::options::MigrateOptions;
use crate::cas::outcome::Counts;
use crate::cas::paths::{INDEX_NAME, TargetPaths};
use crate::cas::source::SourceRoot;
use crate::cas::source::scan::scan;
use crate::cas::store::index_keys::for_each_index_key;
use crate::durable::Disk;
use crate::migration::Error;
use crate::migration::units::count_text;
use crate::pipeline::StopToken;

/// Fails if the new store would have fewer objects than the options allow. `Ok(false)`: a stop was requested.
pub fn check_drop(
    disk: &dyn Disk,
    paths: &TargetPaths,
    counts: &Counts,
    options: &MigrateOptions,
    stop: &StopToken,
) -> Result<bool, Error> {
    let Some(allowed_percent) = options.max_drop_percent else { return Ok(true) };
    let Some(before) = objects_in(disk, paths.target(), options, stop)? else { return Ok(false) };
    let now = counts.migrated;
    let dropped = before.saturating_sub(now);
    if u128::from(dropped) * 100 <= u128::from(before) * u128::from(allowed_percent) {
        return Ok(true);
    }
    let percent = dropped as f64 * 100.0 / before as f64;
    Err(Error::Verification {
        what: format!(
            "the new store has {} objects and the one at {} has {}: {percent:.1} % fewer, where {allowed_percent} % are \
             allowed; nothing was replaced",
            count_text(now),
            paths.target().display(),
            count_text(before)
        ),
        next: "see that the source is the right one, or allow more with --max-drop".into(),
        source: None,
    })
}

/// Returns the number of objects in a store of any generation. `None`: a stop was requested.
fn objects_in(disk: &dyn Disk, store: &Path, options: &MigrateOptions, stop: &StopToken) -> Result<Option<u64>, Error> {
    if disk.kind(&store.join(INDEX_NAME))?.is_some() || !disk.is_system() {
        let mut objects = 0;
        for_each_index_key(disk, store, |_| {
            objects += 1;
            Ok(())
        })?;
        return Ok(Some(objects));
    }
    let sums = scan(&SourceRoot::open(store)?, options.run.parallel_workers.get(), stop, |_| Ok(()))?;
    Ok(sums.map(|sums| sums.objects))
}
