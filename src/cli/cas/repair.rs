//! `haul cas verify --repair`: rebuilds the index and the sidecars of a v2 store from its contents.
//!
//! The JSON document is a [`RepairEnd`] with `store` (path) and `exit_code`.

use std::path::Path;
use std::sync::Arc;

use super::arguments::scope;
use super::faults::write_faults;
use crate::cas::options::MigrateOptions;
use crate::cas::paths::TargetPaths;
use crate::cas::repair::{RepairEnd, repair_dry_run, repair_store};
use crate::cli::arguments::{OutputArgs, WaitArgs};
use crate::cli::command::Answer;
use crate::cli::command_line::cas_command;
use crate::cli::confirm::confirm;
use crate::cli::progress::Watch;
use crate::cli::table::Table;
use crate::durable::{Disk, RealDisk};
use crate::migration::exit;

/// What to repair, and how.
pub struct RepairRequest<'a> {
    /// The store.
    pub store: &'a Path,
    /// True if nothing may be written.
    pub dry_run: bool,
    /// True if consent was given.
    pub yes: bool,
    /// How long to wait for the lock.
    pub wait: WaitArgs,
}

/// Repairs a store with a view of the progress.
pub fn repair(request: &RepairRequest<'_>, options: &MigrateOptions, output: OutputArgs) -> anyhow::Result<u8> {
    let store = request.store;
    if !request.dry_run && store.is_dir() {
        let kept = TargetPaths::of_store(store)?;
        let what = format!(
            "this rewrites the index of {}, and sidecars that are missing or wrong; the index as it is now is kept in {}",
            store.display(),
            kept.run_directory().path().display()
        );
        confirm(what, &[], request.yes)?;
    }
    let watch = Watch::start(output)?;
    watch.say(format_args!("{} {}", if request.dry_run { "examining" } else { "repairing" }, store.display()));
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let end = watch.run_when_free(request.wait, scope(options), |control| match request.dry_run {
        true => repair_dry_run(store, options, control),
        false => repair_store(&disk, store, options, control),
    })?;
    let answer = Answer::new(&end).path("store", store).stopped(end.stopped).exit_if(end.errors > 0, exit::BAD_DATA);
    let next = (!end.dry_run).then(|| cas_command("verify", store));
    answer.next(next).print(output, |table| render(table, store, &end))
}

fn render(table: &mut Table, store: &Path, end: &RepairEnd) {
    let store = store.display();
    if end.stopped {
        return table.line(format_args!("{store}: repair stopped; the index is as it was"));
    }
    let index = match (end.dry_run, end.index_replaced) {
        (_, false) => "stays as it is",
        (true, true) => "would be replaced",
        (false, true) => "is replaced",
    };
    let would = if end.dry_run { "would be " } else { "" };
    table.line(format_args!("{store}: the index {index}"));
    table.nested(|table| {
        table.count("objects", end.objects);
        table.count("sound and listed", end.objects_sound);
        table.count(format_args!("sidecars {would}written"), end.sidecars_written);
        table.count(format_args!("lines {would}dropped"), end.lines_dropped);
    });
    if let Some(backup) = &end.index_backup {
        table.line(format_args!("the index as it was: {backup}"));
    }
    if end.errors > 0 {
        table.line("not repaired:");
    }
    write_faults(table, &end.left_count, &end.left);
}
