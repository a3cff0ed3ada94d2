//! `haul manifest migrate --dry-run`: what a migration would do.
//!
//! The JSON document is a [`DryRunEnd`] with `root`, `findings` (the first of them) and `exit_code`.

use std::path::Path;
use std::sync::Arc;

use super::compat::Summary;
use super::text::{TreeEnd, write_counts, write_findings, write_lacks};
use crate::cli::arguments::OutputArgs;
use crate::cli::command::{Answer, say_stopped};
use crate::cli::progress::Watch;
use crate::cli::table::Table;
use crate::durable::{Disk, RealDisk, source_root};
use crate::manifest::migrate::dry_run::{DryRunEnd, dry_run};
use crate::manifest::migrate::space_needed::FileSystemNeeds;
use crate::manifest::run_options::MigrateOptions;
use crate::migration::{OutcomeCounts, exit};
use crate::observe::Scope;

/// Carries out the dry run and prints its result. With `compat`, the version of a named file, the lines are those of the
/// original.
pub fn run(
    watch: &Watch,
    root: &Path,
    options: &MigrateOptions,
    scope: Scope,
    (compat, output): (Option<&str>, OutputArgs),
) -> anyhow::Result<u8> {
    let tree = source_root(root)?;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let end = watch.run(scope, |control| dry_run(&disk, (root, tree), options, control))?;
    if end.stopped {
        return Ok(say_stopped());
    }
    let (target, counts, findings) = (&*end.target_version, &end.counts, &end.findings);
    let summary = Summary { root, target, counts, findings, is_dry_run: true };
    let tree_end = TreeEnd::new(root, &end, findings);
    let answer = match compat {
        Some(_) => Answer::new(&tree_end).exit(summary.exit_code()),
        None => Answer::new(&tree_end)
            .exit_if(!fits(&end), exit::TEMPORARY)
            .exit_if(end.counts.refused() > 0, exit::REFUSED_RECORDS),
    };
    answer.print(output, |table| match (compat, &options.manifest, &end.named) {
        (Some(current), Some(file), Some(named)) => summary.write_named(table, file, current, named),
        (Some(_), ..) => summary.write_tree(table),
        _ => render(table, root, &end),
    })
}

fn fits(end: &DryRunEnd) -> bool {
    end.file_systems.iter().all(FileSystemNeeds::fits)
}

fn render(table: &mut Table, root: &Path, end: &DryRunEnd) {
    table.line(format_args!("{}: dry run, nothing was written", root.display()));
    table.row("target version", &end.target_version);
    write_counts(table, end.records, &end.counts);
    table.bytes("space needed", end.space_needed_bytes);
    write_lacks(table, &end.file_systems);
    write_findings(table, &end.findings);
}
