//! `haul cas verify --repair`: makes the index and the sidecars of a v2 store anew from its contents.
//!
//! The JSON document is a [`RepairEnd`] and, beside its fields, `store` (path) and `exit_code`.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::arguments::scope;
use super::faults::{exit_code, push_faults};
use crate::cas::options::MigrateOptions;
use crate::cas::paths::TargetPaths;
use crate::cas::repair::{RepairEnd, repair_dry_run, repair_store};
use crate::cli::arguments::OutputArgs;
use crate::cli::command_line::cas_command;
use crate::cli::confirm::confirm;
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::durable::{Disk, RealDisk};
use crate::migration::units::count_text;

/// What is to be repaired, and how.
pub struct RepairRequest<'a> {
    /// The store.
    pub store: &'a Path,
    /// Whether nothing is to be written.
    pub dry_run: bool,
    /// Whether consent was given.
    pub yes: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    store: String,
    #[serde(flatten)]
    end: &'a RepairEnd,
    exit_code: u8,
}

/// Repairs a store with a view of the progress.
pub fn repair(request: &RepairRequest<'_>, options: &MigrateOptions, shown: OutputArgs) -> anyhow::Result<u8> {
    let store = request.store;
    if !request.dry_run && store.is_dir() {
        let kept = TargetPaths::of_store(store)?;
        let what = format!(
            "this writes the index of {} anew, and sidecars that are missing or wrong; the index as it is now is kept in {}",
            store.display(),
            kept.run_directory().path().display()
        );
        confirm(&what, request.yes)?;
    }
    let watch = Watch::start(shown.progress)?;
    watch.say(&format!("{} {}", if request.dry_run { "examining" } else { "repairing" }, store.display()));
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let end = watch.run(scope(options), |control| match request.dry_run {
        true => repair_dry_run(store, options, control),
        false => repair_store(&disk, store, options, control),
    })?;
    let document =
        Document { store: store.display().to_string(), end: &end, exit_code: exit_code(end.stopped, end.errors) };
    output::print(shown.json, &document, || output::text_of(|text| render(text, &document)))?;
    if end.stopped {
        watch.say_stopped();
    } else if !end.dry_run {
        watch.say(&format!("next: {}", cas_command("verify", store)));
    }
    Ok(document.exit_code)
}

fn render(text: &mut String, document: &Document<'_>) -> std::fmt::Result {
    let Document { store, end, .. } = document;
    if end.stopped {
        return writeln!(text, "{store}: repair stopped; the index is as it was");
    }
    let index = match (end.dry_run, end.index_replaced) {
        (_, false) => "stays as it is",
        (true, true) => "would be replaced",
        (false, true) => "is replaced",
    };
    let would = if end.dry_run { "would be " } else { "" };
    writeln!(text, "{store}: the index {index}")?;
    for (name, count) in [
        ("objects".to_owned(), end.objects),
        ("sound and listed".to_owned(), end.objects_sound),
        (format!("sidecars {would}written"), end.sidecars_written),
        (format!("lines {would}dropped"), end.lines_dropped),
    ] {
        writeln!(text, "  {name:<28}{:>16}", count_text(count))?;
    }
    if let Some(backup) = &end.index_backup {
        writeln!(text, "the index as it was: {backup}")?;
    }
    if end.errors > 0 {
        writeln!(text, "not mended:")?;
    }
    push_faults(text, &end.left_count, &end.left)
}
