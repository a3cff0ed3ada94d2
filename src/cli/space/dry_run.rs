//! `haul space migrate --dry-run`: what a real run would do, without a disk to write to.
//!
//! The JSON document is a [`DryRunEnd`] and, beside its fields, `space` (path) and `exit_code`.

use std::fmt::Write;
use std::sync::Arc;

use serde::Serialize;

use super::arguments::scope;
use super::migrate::say_plan;
use super::plan::plan_of;
use crate::cli::findings::write_findings;
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::durable::{Disk, RealDisk};
use crate::migration::units::{bytes_text, count_text};
use crate::migration::{Finding, OutcomeCounts, exit};
use crate::space::migrate::dry_run::{DryRunEnd, dry_run};
use crate::space::options::MigrateOptions;
use crate::space::paths::SpacePaths;

#[derive(Serialize)]
struct Document<'a> {
    space: String,
    #[serde(flatten)]
    end: &'a DryRunEnd,
    exit_code: u8,
}

/// Carries out the dry run and prints its result.
pub fn run(watch: &Watch, paths: &SpacePaths, options: &MigrateOptions, json: bool) -> anyhow::Result<u8> {
    watch.say(&format!("dry run of {}: nothing is written", paths.root().display()));
    let plan = plan_of(paths, options)?;
    say_plan(watch, &plan, options);
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let end = watch.run(scope(options), |control| dry_run(&disk, paths, options, control))?;
    let exit_code = exit_code(&end);
    let document = Document { space: paths.root().display().to_string(), end: &end, exit_code };
    output::print(json, &document, || text(&document))?;
    if end.stopped {
        watch.say_stopped();
    }
    Ok(exit_code)
}

/// The code that tells what a real run would end with.
fn exit_code(end: &DryRunEnd) -> u8 {
    if end.stopped {
        exit::TEMPORARY
    } else if end.would_fail() {
        exit::BAD_DATA
    } else if end.counts.refused() > 0 || end.source_bytes.damaged > 0 {
        exit::REFUSED_RECORDS
    } else {
        exit::OK
    }
}

fn text(document: &Document<'_>) -> String {
    let end = document.end;
    let verdict = match (end.stopped, end.would_fail()) {
        (true, _) => "stopped; the numbers cover a part",
        (_, true) => "a migration under these policies would publish nothing",
        _ => "a migration would succeed",
    };
    let mut text = format!("{}: {verdict}\n", document.space);
    render(&mut text, end).expect("a string takes any text");
    text
}

fn render(text: &mut String, end: &DryRunEnd) -> std::fmt::Result {
    writeln!(text, "{:<28}{:>18}", "records read", count_text(end.records))?;
    for line in end.counts.to_string().lines() {
        writeln!(text, "  {line}")?;
    }
    let bytes = &end.source_bytes;
    let parts = [("torn tail", bytes.torn_tail), ("zero tail", bytes.zero_tail), ("damaged", bytes.damaged)];
    writeln!(text, "{:<28}{:>18}", "source", bytes_text(bytes.total))?;
    for (name, bytes) in parts.into_iter().filter(|(_, bytes)| *bytes > 0) {
        writeln!(text, "  {name:<28}{:>16}", bytes_text(bytes))?;
    }
    writeln!(text, "{:<28}{:>18}", "store", bytes_text(end.target_bytes))?;
    writeln!(text, "{:<28}{:>18}", "disk needed", bytes_text(end.plan.space_needed_bytes))?;
    write_findings(text, &end.findings_count, &end.findings, place_text)
}

/// `wal-1.log at 120, 36 bytes`
fn place_text(finding: &Finding) -> String {
    let Finding { file, offset, length, .. } = finding;
    format!("{file} at {offset}, {length} bytes")
}
