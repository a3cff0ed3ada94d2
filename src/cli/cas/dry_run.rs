//! `haul cas migrate --dry-run`: what a real run would do, without a disk to write to.
//!
//! The JSON document is a [`DryRunEnd`] and, beside its fields, `source` and `target` (paths) and `exit_code`.

use std::fmt::Write;
use std::sync::Arc;

use serde::Serialize;

use super::arguments::{MoveArgs, scope};
use super::generations::write_generations;
use crate::cas::migrate::dry_run::{DryRunEnd, dry_run};
use crate::cas::options::MigrateOptions;
use crate::cas::paths::TargetPaths;
use crate::cli::findings::write_findings;
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::durable::{Disk, RealDisk};
use crate::migration::units::{bytes_text, count_text};
use crate::migration::{OutcomeCounts, exit};

#[derive(Serialize)]
struct Document<'a> {
    source: String,
    target: String,
    #[serde(flatten)]
    end: &'a DryRunEnd,
    exit_code: u8,
}

/// Carries out the dry run and prints its result.
pub fn run(
    watch: &Watch,
    places: &MoveArgs,
    paths: &TargetPaths,
    options: &MigrateOptions,
    json: bool,
) -> anyhow::Result<u8> {
    let (source, target) = (places.source.display().to_string(), places.target.display().to_string());
    watch.say(&format!("dry run of {source} to {target}: nothing is written"));
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let end = watch.run(scope(options), |control| dry_run(&disk, &places.source, paths, options, control))?;
    let document = Document { source, target, end: &end, exit_code: exit_code(&end) };
    output::print(json, &document, || text(&document))?;
    if end.stopped {
        watch.say_stopped();
    }
    Ok(document.exit_code)
}

/// The code that tells what a real run would end with.
fn exit_code(end: &DryRunEnd) -> u8 {
    if end.stopped {
        exit::TEMPORARY
    } else if end.would_fail {
        exit::BAD_DATA
    } else if end.counts.refused() > 0 {
        exit::REFUSED_RECORDS
    } else {
        exit::OK
    }
}

fn text(document: &Document<'_>) -> String {
    let end = document.end;
    let refused = end.counts.refused();
    let verdict = match (end.stopped, end.would_fail, refused) {
        (true, ..) => "stopped; the numbers cover a part".to_owned(),
        (_, true, _) => "a migration with --strict would publish nothing".to_owned(),
        (_, _, 0) => "a migration would succeed".to_owned(),
        _ => format!("a migration would succeed and leave out {}", count_text(refused)),
    };
    let mut text = format!("{} to {}: {verdict}\n", document.source, document.target);
    render(&mut text, end).expect("a string takes any text");
    text
}

fn render(text: &mut String, end: &DryRunEnd) -> std::fmt::Result {
    writeln!(text, "{:<28}{:>18}", "found", count_text(end.records))?;
    for count in end.counts.to_string().lines() {
        writeln!(text, "  {count}")?;
    }
    writeln!(text, "{:<28}{:>18}", "blobs", bytes_text(end.stored_bytes))?;
    write_generations(text, &end.generations)?;
    writeln!(text, "{:<28}{:>18}", "disk needed", bytes_text(end.plan.space_needed_bytes))?;
    writeln!(text, "{:<28}{:>18}", "files and directories", count_text(end.plan.inodes_needed))?;
    write_findings(text, &end.findings_count, &end.findings, |finding| finding.file.clone())
}
