//! `haul cas migrate`: the whole way from an old store to the published v2 store.
//!
//! The JSON document is a [`MigrationEnd`] with `source`, `target`, `map` and `report` (paths) and `exit_code`. A dry run
//! prints the document of [`dry_run`].

use std::num::NonZeroU64;
use std::sync::Arc;

use clap::Args;

use super::arguments::{DurabilityArg, LinkArgs, ReadBackArg, ResultArgs, SourceTargetArgs, scope, write_blob_methods};
use super::dry_run;
use super::generations::write_generations;
use crate::cas::migrate::{MigrationEnd, migrate};
use crate::cas::options::{Linking, MigrateOptions};
use crate::cas::paths::TargetPaths;
use crate::cli::arguments::{OutputArgs, ResourceArgs, StartArgs, WaitArgs};
use crate::cli::command::{Answer, end_text};
use crate::cli::command_line::cas_command;
use crate::cli::metrics_args::MetricsArgs;
use crate::cli::output::{say_findings, write_findings_of_run};
use crate::cli::owner::OwnerArgs;
use crate::cli::progress::Watch;
use crate::cli::table::Table;
use crate::durable::RealDisk;
use crate::migration::{Error, OutcomeCounts, RunOptions, Stage, exit};
use crate::pipeline::Control;

/// `haul cas migrate`
#[derive(Args)]
pub struct MigrateCommand {
    #[command(flatten)]
    places: SourceTargetArgs,
    /// Read and identify every object, but write nothing; with --restart, ignore the earlier run
    #[arg(long, conflicts_with_all = ["resume", "no_publish"])]
    dry_run: bool,
    #[command(flatten)]
    start: StartArgs,
    /// How much of the store to read back before it is published; `haul cas verify` reads all of it at any time. Full also
    /// reads what a merge need not read again: objects that the last run has migrated from the same source
    #[arg(long, value_enum, default_value_t = ReadBackArg::Index, value_name = "DEPTH")]
    verify: ReadBackArg,
    /// Stop before the store is published; run the same command without this option later
    #[arg(long)]
    no_publish: bool,
    /// When to make written data durable
    #[arg(long, value_enum, default_value_t = DurabilityArg::Group, value_name = "WHEN", help_heading = "Tuning")]
    durability: DurabilityArg,
    /// Objects per batch
    #[arg(long, value_name = "OBJECTS", default_value = "500", help_heading = "Tuning")]
    batch_size: NonZeroU64,
    /// Objects between two checkpoints
    #[arg(long, value_name = "OBJECTS", default_value = "100000", help_heading = "Tuning")]
    checkpoint_interval: NonZeroU64,
    #[command(flatten)]
    result: ResultArgs,
    /// Replace the store only if the new one has at most this many percent fewer objects
    #[arg(
        long,
        value_name = "PERCENT",
        requires = "replace",
        value_parser = clap::value_parser!(u8).range(..=100),
        help_heading = "Result"
    )]
    max_drop: Option<u8>,
    #[command(flatten)]
    link: LinkArgs,
    #[command(flatten)]
    owner: OwnerArgs,
    #[command(flatten)]
    resources: ResourceArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    metrics: MetricsArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl MigrateCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let SourceTargetArgs { source, target } = &self.places;
        let paths = TargetPaths::new(target)?;
        let options = self.options();
        if self.dry_run {
            let watch = Watch::start(self.output)?.with_metrics(&self.metrics)?;
            return dry_run::run(&watch, &self.places, &paths, &options, self.output);
        }
        self.confirm_restart(&paths)?;
        let watch = Watch::start(self.output)?.with_metrics(&self.metrics)?;
        watch.say(format_args!("migrating {} to {}", source.display(), target.display()));
        let disk = Arc::new(RealDisk);
        let work = |control: &Control<'_>| migrate(disk.clone(), source, &paths, &options, control);
        let result = watch.run_when_free(self.wait, scope(&options), work);
        if let Err(Error::Findings { .. }) = result {
            say_findings(self.output, &paths.run_directory(), |finding| finding.file.clone())?;
        }
        self.finish(&paths, &result?)
    }

    fn options(&self) -> MigrateOptions {
        let options = self.result.options(&self.resources);
        MigrateOptions {
            link: self.link.linking(),
            durability: self.durability.into(),
            read_back: self.verify.into(),
            max_drop_percent: self.max_drop,
            publish: !self.no_publish,
            run: RunOptions {
                batch_records: self.batch_size.get(),
                checkpoint_interval_records: self.checkpoint_interval.get(),
                start: self.start.start(),
                owner: self.owner.owner(),
                ..options.run
            },
            ..options
        }
    }

    fn confirm_restart(&self, paths: &TargetPaths) -> Result<(), Error> {
        let state = paths.run_directory();
        let has_earlier_run = state.checkpoint_path().exists() || paths.staging().exists();
        let state = state.path().display();
        let consequence =
            format_args!("discards the earlier run in {state}; what it has published and the source are not touched");
        self.start.confirm_restart(has_earlier_run, consequence)
    }

    fn finish(&self, paths: &TargetPaths, end: &MigrationEnd) -> anyhow::Result<u8> {
        let SourceTargetArgs { source, target } = &self.places;
        let (map, report) = (paths.map(), paths.run_directory().report_path());
        let answer = Answer::new(end).path("source", source).path("target", target).path("map", &map);
        let answer = answer.path("report", &report).stopped(end.stopped).next(next_step(paths, end));
        answer.exit_if(end.counts.refused() > 0, exit::REFUSED_RECORDS).print(self.output, |table| {
            let how = end_text(end.stopped, end.already_done);
            table.line(format_args!("{} to {}: {how}", source.display(), target.display()));
            render(table, end, self.link.linking());
            table.row("map", map.display());
            table.row("report", report.display());
        })
    }
}

fn next_step(paths: &TargetPaths, end: &MigrationEnd) -> String {
    let target = paths.target();
    match end.stage {
        Stage::Published if end.counts.refused_unreadable + end.counts.refused_changed > 0 => {
            "make readable what the report names, then the same command with --merge --restart".to_owned()
        }
        Stage::Published => {
            format!("{}; to undo: {}", cas_command("verify", target), cas_command("rollback", target))
        }
        _ => "the same command without --no-publish".to_owned(),
    }
}

fn render(table: &mut Table, end: &MigrationEnd, linking: Linking) {
    table.row("stage", end.stage);
    table.durability(end.durability, end.durability_reason.as_deref());
    table.count("found", end.records);
    table.outcomes(&end.counts);
    if end.details.not_read_again > 0 {
        table.count("not read again", end.details.not_read_again);
    }
    table.bytes("blobs", end.details.stored_bytes);
    write_blob_methods(table, linking, &end.details.blobs, "copied");
    write_generations(table, &end.details.generations);
    write_findings_of_run(table, &end.details.findings, |finding| finding.file.clone());
}
