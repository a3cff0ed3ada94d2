//! `haul space migrate`: the whole way from the log to the published store.
//!
//! The JSON document is a [`MigrationEnd`] with `space` and `report` (paths) and `exit_code`. A dry run prints the
//! document of [`dry_run`], a run of all spaces that of [`all_spaces`](super::all_spaces).

use std::num::NonZeroU64;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::all_spaces::{OneEnd, each_space};
use super::arguments::{EmptyArgs, EngineArgs, PolicyArgs, ReadBack, ReaderArgs, SpacesArgs, options, scope};
use super::dry_run::{self, place_text};
use super::plan::{plan_of, say_plan};
use crate::cli::arguments::{OutputArgs, ResourceArgs, StartArgs, WaitArgs};
use crate::cli::command::{Answer, end_text};
use crate::cli::command_line::space_command;
use crate::cli::metrics_args::MetricsArgs;
use crate::cli::output::{say_findings, write_findings_of_run};
use crate::cli::owner::OwnerArgs;
use crate::cli::progress::Watch;
use crate::cli::table::Table;
use crate::durable::RealDisk;
use crate::migration::units::count_text;
use crate::migration::{Error, OutcomeCounts, RunOptions, Stage, exit};
use crate::observe::Scope;
use crate::space::data_directory::check_found;
use crate::space::migrate::{MigrationEnd, migrate};
use crate::space::options::MigrateOptions;
use crate::space::paths::SpacePaths;

/// `haul space migrate`
#[derive(Args)]
pub struct MigrateCommand {
    #[command(flatten)]
    space: SpacesArgs,
    /// How the space is used during the migration; this version only migrates spaces that nothing writes to
    #[arg(long, value_enum, default_value_t)]
    mode: Mode,
    /// Convert and check every record, but write nothing
    #[arg(long, conflicts_with_all = ["resume", "restart", "no_publish"])]
    dry_run: bool,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    empty: EmptyArgs,
    #[command(flatten)]
    start: StartArgs,
    /// How much of the store to read back before it becomes the live one: its indexes, every block as well, or also the
    /// bytes of the log rebuilt from the blocks
    #[arg(long, value_enum, default_value_t = ReadBack::Blocks, value_name = "DEPTH")]
    verify: ReadBack,
    /// Stop before the store becomes the live one; run `haul space publish` later
    #[arg(long)]
    no_publish: bool,
    /// Records per batch
    #[arg(long, value_name = "RECORDS", default_value = "1000", help_heading = "Tuning")]
    batch_size: NonZeroU64,
    /// Records between two checkpoints
    #[arg(long, value_name = "RECORDS", default_value = "10000", help_heading = "Tuning")]
    checkpoint_interval: NonZeroU64,
    #[command(flatten)]
    resources: ResourceArgs,
    #[command(flatten)]
    reader: ReaderArgs,
    #[command(flatten)]
    policies: PolicyArgs,
    #[command(flatten)]
    owner: OwnerArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    metrics: MetricsArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// How the space is used during the migration.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Default)]
enum Mode {
    /// Nothing writes to it.
    #[default]
    #[value(help = None::<&str>)]
    Offline,
    /// Engram continues to write to it.
    #[value(help = None::<&str>)]
    Online,
}

impl MigrateCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        self.check_mode()?;
        let options = self.options();
        if self.space.all {
            return self.run_all(&options);
        }
        let paths = self.space.locate()?;
        self.confirm_restart(std::slice::from_ref(&paths))?;
        let watch = Watch::start(self.output)?.with_metrics(&self.metrics)?;
        if self.dry_run {
            return dry_run::finish(&paths, &dry_run::examine(&watch, &paths, &options)?, self.output);
        }
        let result = run(&watch, &paths, &options, self.wait);
        if let Err(Error::Findings { .. }) = result {
            say_findings(self.output, &paths.run_directory(), place_text)?;
        }
        finish(&paths, &result?, self.output)
    }

    fn run_all(&self, options: &MigrateOptions) -> anyhow::Result<u8> {
        let (directory, spaces) = self.space.every()?;
        check_found(directory, &spaces, options.allow_empty)?;
        self.confirm_restart(&spaces)?;
        let watch = Watch::start(self.output)?.with_metrics(&self.metrics)?;
        let one = |paths: &SpacePaths| match self.dry_run {
            true => OneEnd::of(paths, dry_run::examine(&watch, paths, options), |end| {
                (dry_run::exit_code(end), format!("{}, {} records", dry_run::verdict(end), count_text(end.records)))
            }),
            false => OneEnd::of(paths, run(&watch, paths, options, self.wait), |end| (exit_code(end), sum_text(end))),
        };
        each_space(watch.stop(), (directory, &spaces), one, self.output)
    }

    fn check_mode(&self) -> Result<(), Error> {
        match self.mode {
            Mode::Offline => Ok(()),
            Mode::Online => Err(Error::Usage {
                what: "online migration is not part of this version".into(),
                next: "stop all writers of the space, then run with --mode offline".into(),
            }),
        }
    }

    fn options(&self) -> MigrateOptions {
        let options = options(&self.policies, &self.resources, &self.reader);
        let run = RunOptions {
            start: self.start.start(),
            owner: self.owner.owner(),
            batch_records: self.batch_size.get(),
            checkpoint_interval_records: self.checkpoint_interval.get(),
            ..options.run
        };
        let (verify_depth, engine_stopped) = (self.verify.into(), self.engine.engine_stopped);
        let (publish, allow_empty) = (!self.no_publish, self.empty.allow_empty);
        MigrateOptions { verify_depth, publish, engine_stopped, allow_empty, run, ..options }
    }

    fn confirm_restart(&self, spaces: &[SpacePaths]) -> Result<(), Error> {
        let has_earlier_run =
            |paths: &&SpacePaths| paths.run_directory().checkpoint_path().exists() || paths.staging().exists();
        let roots: Vec<_> =
            spaces.iter().filter(has_earlier_run).map(|paths| paths.root().display().to_string()).collect();
        let consequence = format_args!(
            "discards the earlier run of {} and its store, unless it is live; wal/ is not touched",
            roots.join(", of ")
        );
        self.start.confirm_restart(!roots.is_empty(), consequence)
    }
}

/// Migrates with a view of the progress.
pub fn run(watch: &Watch, paths: &SpacePaths, options: &MigrateOptions, wait: WaitArgs) -> Result<MigrationEnd, Error> {
    watch.say(format_args!("migrating {}", paths.root().display()));
    let plan = plan_of(paths, options)?;
    say_plan(watch, &plan, options);
    let scope = Scope { source_bytes: Some(plan.source_bytes), ..scope(options) };
    watch.run_when_free(wait, scope, |control| migrate(Arc::new(RealDisk), paths, options, control))
}

/// Prints how a migration ended, and says what to do next.
pub fn finish(paths: &SpacePaths, end: &MigrationEnd, output: OutputArgs) -> anyhow::Result<u8> {
    let report = paths.run_directory().report_path();
    let answer = Answer::new(end).path("space", paths.root()).path("report", &report).stopped(end.stopped);
    answer.exit(exit_code(end)).next(next_step(paths, end)).print(output, |table| {
        table.line(format_args!("{}: {}", paths.root().display(), end_text(end.stopped, end.already_done)));
        render(table, end);
        table.row("report", report.display());
    })
}

/// Returns the exit code of a migration that ended.
pub fn exit_code(end: &MigrationEnd) -> u8 {
    match (end.stopped, end.counts.refused() > 0 || end.details.damaged_bytes > 0) {
        (true, _) => exit::TEMPORARY,
        (_, true) => exit::REFUSED_RECORDS,
        _ => exit::OK,
    }
}

/// Says in a line how a migration ended.
fn sum_text(end: &MigrationEnd) -> String {
    let what = if end.already_done { "nothing to do".to_owned() } else { end.stage.to_string() };
    let refused = match end.counts.refused() {
        0 => String::new(),
        refused => format!(", {} refused", count_text(refused)),
    };
    format!("{what}, {} records{refused}", count_text(end.records))
}

fn next_step(paths: &SpacePaths, end: &MigrationEnd) -> String {
    let command = |verb| space_command(verb, paths.root());
    match end.stage {
        Stage::Published => format!("{}; to undo: {}", command("verify --full"), command("rollback")),
        _ => command("publish"),
    }
}

fn render(table: &mut Table, end: &MigrationEnd) {
    table.row("stage", end.stage);
    table.row("store", &end.details.store);
    table.count("records read", end.records);
    // A run that was stopped has not decided the outcome of every record.
    if !end.stopped {
        table.outcomes(&end.counts);
    }
    if end.details.damaged_bytes > 0 {
        table.nested(|table| table.count("bytes left out as damaged", end.details.damaged_bytes));
    }
    write_findings_of_run(table, &end.details.findings, place_text);
}
