//! `haul space migrate`: the whole way from the log to the published store.
//!
//! The JSON document is a [`MigrationEnd`] and, beside its fields, `space` and `report` (paths) and `exit_code`. A dry
//! run prints the document of [`dry_run`].

use std::fmt::Write;
use std::num::NonZeroU64;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::arguments::{PolicyArgs, RECORDS_NOUN, ReaderArgs, SpaceArgs, options, scope};
use super::dry_run;
use super::plan::{files_text, plan_of};
use crate::cli::arguments::{OutputArgs, ResourceArgs};
use crate::cli::command_line::space_command;
use crate::cli::confirm::confirm;
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::durable::RealDisk;
use crate::migration::units::{bytes_text, count_text};
use crate::migration::{Error, OutcomeCounts, RunOptions, Stage, Start, exit};
use crate::observe::Scope;
use crate::space::migrate::plan::Plan;
use crate::space::migrate::{MigrationEnd, migrate};
use crate::space::options::MigrateOptions;
use crate::space::paths::SpacePaths;
use crate::space::verify::Depth;

/// Values of `--verify`.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ReadBack {
    Quick,
    Blocks,
    Full,
}

impl From<ReadBack> for Depth {
    fn from(depth: ReadBack) -> Self {
        match depth {
            ReadBack::Quick => Self::Quick,
            ReadBack::Blocks => Self::Blocks,
            ReadBack::Full => Self::Full,
        }
    }
}

/// `haul space migrate`
#[derive(Args)]
pub struct MigrateCommand {
    #[command(flatten)]
    space: SpaceArgs,
    /// How the space is used meanwhile; this version migrates spaces that nothing writes to
    #[arg(long, value_enum, default_value_t)]
    mode: Mode,
    /// Convert and check every record, but write nothing at all
    #[arg(long, conflicts_with_all = ["resume", "restart", "no_publish"])]
    dry_run: bool,
    /// Go on with the earlier run, and fail if there is none; without this, go on if there is one
    #[arg(long, conflicts_with = "restart")]
    resume: bool,
    /// Discard the earlier run and begin anew
    #[arg(long)]
    restart: bool,
    /// Do not ask before --restart discards an earlier run
    #[arg(long)]
    yes: bool,
    /// How much of the store is read back before it becomes the live one: its indexes, also every block, or also the
    /// log's bytes rebuilt from the blocks
    #[arg(long, value_enum, default_value_t = ReadBack::Blocks, value_name = "DEPTH")]
    verify: ReadBack,
    /// Stop before the store becomes the live one; `haul space publish` does that later
    #[arg(long)]
    no_publish: bool,
    /// Records of a batch
    #[arg(long, value_name = "RECORDS", default_value = "1000", help_heading = "Course")]
    batch_size: NonZeroU64,
    /// Records between two checkpoints
    #[arg(long, value_name = "RECORDS", default_value = "10000", help_heading = "Course")]
    checkpoint_interval: NonZeroU64,
    #[command(flatten)]
    resources: ResourceArgs,
    #[command(flatten)]
    reader: ReaderArgs,
    #[command(flatten)]
    policies: PolicyArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// How the space is used meanwhile.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Default)]
enum Mode {
    /// Nothing writes to it.
    #[default]
    #[value(help = None::<&str>)]
    Offline,
    /// Engram goes on writing to it.
    #[value(help = None::<&str>)]
    Online,
}

#[derive(Serialize)]
struct Document<'a> {
    space: String,
    #[serde(flatten)]
    end: &'a MigrationEnd,
    report: String,
    exit_code: u8,
}

impl MigrateCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        self.check_mode()?;
        let paths = self.space.locate()?;
        let options = self.options();
        self.confirm_restart(&paths)?;
        let watch = Watch::start(self.output.progress)?;
        if self.dry_run {
            return dry_run::run(&watch, &paths, &options, self.output.json);
        }
        let end = run(&watch, &paths, &options)?;
        finish(&watch, &paths, &end, self.output.json)
    }

    fn check_mode(&self) -> Result<(), Error> {
        match self.mode {
            Mode::Offline => Ok(()),
            Mode::Online => Err(Error::Usage {
                what: "online migration is not part of this version".into(),
                next: "stop whatever writes to the space, then run with --mode offline".into(),
            }),
        }
    }

    fn options(&self) -> MigrateOptions {
        let start = match (self.resume, self.restart) {
            (true, _) => Start::Resume,
            (_, true) => Start::Restart,
            _ => Start::Auto,
        };
        let options = options(&self.policies, &self.resources, &self.reader);
        let run = RunOptions {
            start,
            batch_records: self.batch_size.get(),
            checkpoint_interval_records: self.checkpoint_interval.get(),
            ..options.run
        };
        MigrateOptions { verify_depth: self.verify.into(), publish: !self.no_publish, run, ..options }
    }

    fn confirm_restart(&self, paths: &SpacePaths) -> Result<(), Error> {
        let has_earlier_run = paths.run_directory().checkpoint_path().exists() || paths.staging().exists();
        if !(self.restart && has_earlier_run) {
            return Ok(());
        }
        let root = paths.root().display();
        let what = format!(
            "--restart discards the earlier run of {root} and every store in it that is not live; wal/ is not touched"
        );
        confirm(&what, self.yes)
    }
}

/// Migrates with a view of the progress.
pub fn run(watch: &Watch, paths: &SpacePaths, options: &MigrateOptions) -> Result<MigrationEnd, Error> {
    watch.say(&format!("migrating {}", paths.root().display()));
    let plan = plan_of(paths, options)?;
    say_plan(watch, &plan, options);
    let scope = Scope { source_bytes: Some(plan.source_bytes), ..scope(options) };
    watch.run(scope, |control| migrate(Arc::new(RealDisk), paths, options, control))
}

/// Prints how a migration ended, and says what to do next.
pub fn finish(watch: &Watch, paths: &SpacePaths, end: &MigrationEnd, json: bool) -> anyhow::Result<u8> {
    let exit_code = exit_code(end);
    let report = paths.run_directory().report_path().display().to_string();
    let document = Document { space: paths.root().display().to_string(), end, report, exit_code };
    output::print(json, &document, || text(&document))?;
    if end.stopped {
        watch.say_stopped();
    } else {
        watch.say(&format!("next: {}", next_step(paths, end)));
    }
    Ok(exit_code)
}

/// Totals and settings, before the work begins.
pub fn say_plan(watch: &Watch, plan: &Plan, options: &MigrateOptions) {
    watch.say(&format!(
        "total    about {} {RECORDS_NOUN}, {} in {}",
        count_text(plan.records_estimated),
        bytes_text(plan.source_bytes),
        files_text(plan.files.len())
    ));
    watch.say(&format!(
        "batch size {} | memory budget {} | rate limit {} | workers {}",
        count_text(options.run.batch_records),
        bytes_text(options.run.memory_budget_bytes),
        options.run.rate_limit.map_or("none".to_owned(), |rate| format!("{}/s", count_text(rate.get().into()))),
        options.run.parallel_workers
    ));
}

/// A stopped run is to be run again; one that left something out says so.
pub fn exit_code(end: &MigrationEnd) -> u8 {
    if end.stopped {
        exit::TEMPORARY
    } else if end.counts.refused() > 0 || end.details.damaged_bytes > 0 {
        exit::REFUSED_RECORDS
    } else {
        exit::OK
    }
}

fn next_step(paths: &SpacePaths, end: &MigrationEnd) -> String {
    let command = |verb| space_command(verb, paths.root());
    match end.stage {
        Stage::Published => format!("{}, or back: {}", command("verify --full"), command("rollback")),
        _ => command("publish"),
    }
}

fn text(document: &Document<'_>) -> String {
    let end = document.end;
    let how = match (end.stopped, end.already_done) {
        (true, _) => "stopped, to be resumed",
        (_, true) => "nothing to do",
        _ => "done",
    };
    let mut text = format!("{}: {how}\n", document.space);
    let mut line = |name: &str, value: &str| {
        writeln!(text, "{name:<28}{value:>18}").expect("a string takes any text");
    };
    line("stage", &end.stage.to_string());
    line("store", &end.details.store);
    line("records read", &count_text(end.records));
    // A run that was stopped has not decided the outcome of every record.
    if !end.stopped {
        for count in end.counts.to_string().lines() {
            writeln!(text, "  {count}").expect("a string takes any text");
        }
    }
    if end.details.damaged_bytes > 0 {
        writeln!(text, "  {:<28}{:>16}", "bytes left out as damaged", count_text(end.details.damaged_bytes))
            .expect("a string takes any text");
    }
    writeln!(text, "report  {}", document.report).expect("a string takes any text");
    text
}
