//! `haul cas migrate --dry-run`: what a migration would do. There is no disk to write to.
//!
//! The JSON document is a [`DryRunEnd`] with `source` and `target` (paths) and `exit_code`.

use std::sync::Arc;

use super::arguments::{SourceTargetArgs, scope, write_blob_methods};
use super::generations::write_generations;
use crate::cas::migrate::dry_run::{DryRunEnd, dry_run};
use crate::cas::options::{Linking, MigrateOptions};
use crate::cas::paths::TargetPaths;
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::cli::output::write_findings;
use crate::cli::progress::Watch;
use crate::cli::table::Table;
use crate::durable::{Disk, RealDisk};
use crate::migration::units::count_text;
use crate::migration::{OutcomeCounts, exit};

/// Carries out the dry run and prints its result. The exit code is that with which a migration would end.
pub fn run(
    watch: &Watch,
    places: &SourceTargetArgs,
    paths: &TargetPaths,
    options: &MigrateOptions,
    output: OutputArgs,
) -> anyhow::Result<u8> {
    let SourceTargetArgs { source, target } = places;
    watch.say(format_args!("dry run of {} to {}: nothing is written", source.display(), target.display()));
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let end = watch.run(scope(options), |control| dry_run(&disk, source, paths, options, control))?;
    let answer = Answer::new(&end).path("source", source).path("target", target).stopped(end.stopped);
    let answer = answer.exit_if(end.would_fail, exit::BAD_DATA);
    answer.exit_if(end.counts.refused() > 0, exit::REFUSED_RECORDS).print(output, |table| {
        table.line(format_args!("{} to {}: {}", source.display(), target.display(), verdict(&end)));
        render(table, &end, options.link);
    })
}

fn verdict(end: &DryRunEnd) -> String {
    match (end.stopped, end.would_fail, end.counts.refused()) {
        (true, ..) => "stopped; the numbers cover a part".to_owned(),
        (_, true, _) => "a migration would publish nothing: objects are refused".to_owned(),
        (_, _, 0) => "a migration would succeed".to_owned(),
        (_, _, refused) => format!("a migration would succeed and leave out {}", count_text(refused)),
    }
}

fn render(table: &mut Table, end: &DryRunEnd, linking: Linking) {
    table.count("found", end.records);
    table.outcomes(&end.counts);
    if end.not_read_again > 0 {
        table.count("not read again", end.not_read_again);
    }
    table.bytes("blobs", end.stored_bytes);
    write_blob_methods(table, linking, &end.blobs, "copied or sharing blocks");
    write_generations(table, &end.generations);
    table.bytes("disk needed", end.plan.space_needed_bytes);
    table.count("files and directories", end.plan.inodes_needed);
    write_findings(table, &end.findings_count, &end.findings, |finding| finding.file.clone());
}
