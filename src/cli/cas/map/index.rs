//! `haul cas map index`: creates the reverse file of a map.
//!
//! The JSON document has `map` and `reverse` (paths), `rows` (null if it was stopped) and `exit_code`.

use std::sync::Arc;

use clap::Args;

use super::arguments::MapArgs;
use crate::cas::map::{KeyMap, reverse_path};
use crate::cli::arguments::{OutputArgs, WaitArgs};
use crate::cli::command::Answer;
use crate::cli::progress::Watch;
use crate::durable::{LockGuard, NewModes, RealDisk, parent_of, with_modes};
use crate::migration::units::count_text;
use crate::migration::{DirectoryLocks, Error, RunDirectory};
use crate::observe::Scope;

/// Memory for sorting.
const MEMORY_BYTES: u64 = 256 << 20;

/// `haul cas map index`
#[derive(Args)]
pub struct IndexCommand {
    #[command(flatten)]
    map: MapArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl IndexCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let map = self.map.open()?;
        let watch = Watch::start(self.output)?;
        let scratch = map.path().with_extension("reverse.scratch");
        let scope = Scope { budget_bytes: MEMORY_BYTES, ..Scope::of("rows") };
        let rows = watch.run(scope, |control| {
            let _locks = self.wait.repeat(control, || lock_directory(&map))?;
            let disk = with_modes(&(Arc::new(RealDisk) as _), NewModes::of_sources([map.path()])?);
            map.write_reverse(disk, &scratch, MEMORY_BYTES, control.stop)
        })?;
        let reverse = reverse_path(map.path());
        let answer = Answer::new(&()).path("map", map.path()).path("reverse", &reverse).with("rows", rows);
        answer.stopped(rows.is_none()).print(self.output, |table| match rows {
            Some(rows) => {
                table.line(format_args!("{}: {} entries, one for each row", reverse.display(), count_text(rows)));
            }
            None => table.line(format_args!("{}: stopped; nothing was changed", map.path().display())),
        })
    }
}

/// Locks the directory of a map: against others that do the same, and against a migration if the directory is its own.
fn lock_directory(map: &KeyMap) -> Result<(DirectoryLocks<'static>, Option<LockGuard>), Error> {
    let directory = RunDirectory::new(parent_of(map.path()));
    let of_run = directory.lock_path().exists().then(|| directory.lock(&RealDisk)).transpose()?;
    Ok((DirectoryLocks::of_files(&RealDisk, &[map.path().to_path_buf()])?, of_run))
}
