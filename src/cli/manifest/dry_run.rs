//! `haul manifest migrate --dry-run`: what a migration would do.
//!
//! The JSON document is a [`DryRunEnd`] and, beside its fields, `root`, `findings` (the first of them) and `exit_code`.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use super::compat::Summary;
use super::text::{TreeDocument, write_counts, write_findings};
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::durable::{Disk, RealDisk, source_root};
use crate::manifest::migrate::dry_run::{DryRunEnd, dry_run};
use crate::manifest::run_options::MigrateOptions;
use crate::migration::units::bytes_text;
use crate::migration::{OutcomeCounts, exit};
use crate::observe::Scope;

/// Carries out the dry run and prints its result. With `compat`, the version of a named file, the lines are those of the original.
pub fn run(
    watch: &Watch,
    root: &Path,
    options: &MigrateOptions,
    scope: Scope,
    (compat, json): (Option<&str>, bool),
) -> anyhow::Result<u8> {
    let tree = source_root(root)?;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let end = watch.run(scope, |control| dry_run(&disk, (root, tree), options, control))?;
    if end.stopped {
        watch.say_stopped();
        return Ok(exit::TEMPORARY);
    }
    let (target, counts, findings) = (&*end.target_version, &end.counts, &end.findings);
    let summary = Summary { root, target, counts, findings, is_dry_run: true };
    let exit_code = if compat.is_some() { summary.exit_code() } else { exit_code(&end) };
    let document = TreeDocument::new(root, &end, findings, exit_code);
    output::print(json, &document, || match (compat, &options.manifest, &end.named) {
        (Some(current), Some(file), Some(named)) => summary.named_text(file, current, named),
        (Some(_), ..) => summary.tree_text(),
        _ => output::text_of(|text| render(text, &document)),
    })?;
    Ok(exit_code)
}

fn exit_code(end: &DryRunEnd) -> u8 {
    if end.space_needed_bytes > end.space_available_bytes {
        exit::TEMPORARY
    } else if end.counts.refused() > 0 {
        exit::REFUSED_RECORDS
    } else {
        exit::OK
    }
}

fn render(text: &mut String, document: &TreeDocument<'_, DryRunEnd>) -> std::fmt::Result {
    let end = document.end;
    writeln!(text, "{}: dry run, nothing was written", document.root)?;
    writeln!(text, "{:<28}{:>18}", "target version", end.target_version)?;
    write_counts(text, end.records, &end.counts)?;
    writeln!(text, "{:<28}{:>18}", "space needed", bytes_text(end.space_needed_bytes))?;
    if end.space_needed_bytes > end.space_available_bytes {
        writeln!(text, "not enough space: {} available", bytes_text(end.space_available_bytes))?;
    }
    write_findings(text, &end.findings)
}
