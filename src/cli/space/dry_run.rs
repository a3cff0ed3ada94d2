//! `haul space migrate --dry-run`: what a migration would do. There is no disk to write to.
//!
//! The JSON document is a [`DryRunEnd`](crate::space::migrate::dry_run::DryRunEnd) with `space` (path) and `exit_code`.

use std::sync::Arc;

use super::arguments::scope;
use super::plan::{plan_of, say_plan};
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::cli::output::write_findings;
use crate::cli::progress::Watch;
use crate::durable::{Disk, RealDisk};
use crate::migration::{Error, Finding, OutcomeCounts, exit};
use crate::space::migrate::dry_run::{DryRunEnd, dry_run};
use crate::space::options::MigrateOptions;
use crate::space::paths::SpacePaths;

/// Carries out the dry run.
pub fn examine(watch: &Watch, paths: &SpacePaths, options: &MigrateOptions) -> Result<DryRunEnd, Error> {
    watch.say(format_args!("dry run of {}: nothing is written", paths.root().display()));
    say_plan(watch, &plan_of(paths, options)?, options);
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    watch.run(scope(options), |control| dry_run(&disk, paths, options, control))
}

/// Returns the exit code with which a migration would end.
pub fn exit_code(end: &DryRunEnd) -> u8 {
    match (end.stopped, end.would_fail(), end.counts.refused() > 0 || end.source_bytes.damaged > 0) {
        (true, ..) => exit::TEMPORARY,
        (_, true, _) => exit::BAD_DATA,
        (.., true) => exit::REFUSED_RECORDS,
        _ => exit::OK,
    }
}

/// Says how a migration would end.
pub fn verdict(end: &DryRunEnd) -> &'static str {
    match (end.stopped, end.would_fail()) {
        (true, _) => "stopped; the numbers cover a part",
        (_, true) => "a migration under these policies would publish nothing",
        _ => "a migration would succeed",
    }
}

/// Prints the result of a dry run.
pub fn finish(paths: &SpacePaths, end: &DryRunEnd, output: OutputArgs) -> anyhow::Result<u8> {
    let answer = Answer::new(end).path("space", paths.root()).stopped(end.stopped).exit(exit_code(end));
    answer.print(output, |table| {
        table.line(format_args!("{}: {}", paths.root().display(), verdict(end)));
        table.count("records read", end.records);
        table.outcomes(&end.counts);
        let bytes = &end.source_bytes;
        table.bytes("source", bytes.total);
        let parts = [("torn tail", bytes.torn_tail), ("zero tail", bytes.zero_tail), ("damaged", bytes.damaged)];
        for (name, bytes) in parts.into_iter().filter(|(_, bytes)| *bytes > 0) {
            table.nested(|table| table.bytes(name, bytes));
        }
        table.bytes("store", end.target_bytes);
        table.bytes("disk needed", end.plan.space_needed_bytes);
        write_findings(table, &end.findings_count, &end.findings, place_text);
    })
}

/// `wal-1.log at 120, 36 bytes`
pub fn place_text(finding: &Finding) -> String {
    let Finding { file, offset, length, .. } = finding;
    format!("{file} at {offset}, {length} bytes")
}
