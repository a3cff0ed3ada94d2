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
use crate::migration::{Finding, OutcomeCounts, exit};
use crate::space::migrate::dry_run::dry_run;
use crate::space::options::MigrateOptions;
use crate::space::paths::SpacePaths;

/// Carries out the dry run and prints its result. The exit code is that with which a migration would end.
pub fn run(watch: &Watch, paths: &SpacePaths, options: &MigrateOptions, output: OutputArgs) -> anyhow::Result<u8> {
    let root = paths.root().display();
    watch.say(format_args!("dry run of {root}: nothing is written"));
    say_plan(watch, &plan_of(paths, options)?, options);
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let end = watch.run(scope(options), |control| dry_run(&disk, paths, options, control))?;
    let answer = Answer::new(&end).path("space", paths.root()).stopped(end.stopped);
    let answer = answer.exit_if(end.would_fail(), exit::BAD_DATA);
    let is_less = end.counts.refused() > 0 || end.source_bytes.damaged > 0;
    answer.exit_if(is_less, exit::REFUSED_RECORDS).print(output, |table| {
        let verdict = match (end.stopped, end.would_fail()) {
            (true, _) => "stopped; the numbers cover a part",
            (_, true) => "a migration under these policies would publish nothing",
            _ => "a migration would succeed",
        };
        table.line(format_args!("{root}: {verdict}"));
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
