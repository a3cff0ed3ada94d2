//! `haul cas migrate`: the whole way from an old store to the published v2 store.
//!
//! The JSON document is a [`MigrationEnd`] and, beside its fields, `source`, `target`, `map` and `report` (paths) and
//! `exit_code`. A dry run prints the document of [`dry_run`].

use std::fmt::Write;
use std::num::NonZeroU64;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::arguments::{DurabilityArg, LinkArgs, MoveArgs, ResultArgs, scope};
use super::dry_run;
use super::generations::write_generations;
use crate::cas::migrate::{MigrationEnd, migrate};
use crate::cas::options::{MigrateOptions, ReadBack};
use crate::cas::paths::TargetPaths;
use crate::cli::arguments::{OutputArgs, ResourceArgs};
use crate::cli::command_line::cas_command;
use crate::cli::confirm::confirm;
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::durable::RealDisk;
use crate::migration::units::{bytes_text, count_text};
use crate::migration::{Error, OutcomeCounts, RunOptions, Stage, Start, exit};

/// Values of `--verify`.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ReadBackArg {
    /// The index
    Index,
    /// Every object too
    Full,
}

impl From<ReadBackArg> for ReadBack {
    fn from(depth: ReadBackArg) -> Self {
        match depth {
            ReadBackArg::Index => Self::Index,
            ReadBackArg::Full => Self::Full,
        }
    }
}

/// `haul cas migrate`
#[derive(Args)]
pub struct MigrateCommand {
    #[command(flatten)]
    places: MoveArgs,
    /// Read and identify every object, but write nothing at all; with --restart as if there were no earlier run
    #[arg(long, conflicts_with_all = ["resume", "no_publish"])]
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
    /// How much of the store is read back before it is published; `haul cas verify` reads all of it at any time
    #[arg(long, value_enum, default_value_t = ReadBackArg::Index, value_name = "DEPTH")]
    verify: ReadBackArg,
    /// Stop before the store is published; the same command without this does that later
    #[arg(long)]
    no_publish: bool,
    /// When what is written is made durable
    #[arg(long, value_enum, default_value_t = DurabilityArg::Group, value_name = "WHEN", help_heading = "Course")]
    durability: DurabilityArg,
    /// Objects of a batch
    #[arg(long, value_name = "OBJECTS", default_value = "500", help_heading = "Course")]
    batch_size: NonZeroU64,
    /// Objects between two checkpoints
    #[arg(long, value_name = "OBJECTS", default_value = "100000", help_heading = "Course")]
    checkpoint_interval: NonZeroU64,
    #[command(flatten)]
    result: ResultArgs,
    #[command(flatten)]
    link: LinkArgs,
    #[command(flatten)]
    resources: ResourceArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Document<'a> {
    source: String,
    target: String,
    #[serde(flatten)]
    end: &'a MigrationEnd,
    map: String,
    report: String,
    exit_code: u8,
}

impl MigrateCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let paths = TargetPaths::new(&self.places.target)?;
        let options = self.options();
        if self.dry_run {
            let watch = Watch::start(self.output.progress)?;
            return dry_run::run(&watch, &self.places, &paths, &options, self.output.json);
        }
        self.confirm_restart(&paths)?;
        let watch = Watch::start(self.output.progress)?;
        let (source, target) = (self.places.source.display(), self.places.target.display());
        watch.say(&format!("migrating {source} to {target}"));
        let disk = Arc::new(RealDisk);
        let end =
            watch.run(scope(&options), |control| migrate(disk, &self.places.source, &paths, &options, control))?;
        self.finish(&watch, &paths, &end)
    }

    fn options(&self) -> MigrateOptions {
        let start = match (self.resume, self.restart) {
            (true, _) => Start::Resume,
            (_, true) => Start::Restart,
            _ => Start::Auto,
        };
        let options = self.result.options(&self.resources);
        MigrateOptions {
            link: self.link.link,
            durability: self.durability.into(),
            read_back: self.verify.into(),
            publish: !self.no_publish,
            run: RunOptions {
                batch_records: self.batch_size.get(),
                checkpoint_interval_records: self.checkpoint_interval.get(),
                start,
                ..options.run
            },
            ..options
        }
    }

    fn confirm_restart(&self, paths: &TargetPaths) -> Result<(), Error> {
        let has_earlier_run = paths.run_directory().checkpoint_path().exists() || paths.staging().exists();
        if !(self.restart && has_earlier_run) {
            return Ok(());
        }
        let state = paths.run_directory();
        let what = format!(
            "--restart discards the earlier run in {}; what it has published and the source are not touched",
            state.path().display()
        );
        confirm(&what, self.yes)
    }

    fn finish(&self, watch: &Watch, paths: &TargetPaths, end: &MigrationEnd) -> anyhow::Result<u8> {
        let document = Document {
            source: self.places.source.display().to_string(),
            target: self.places.target.display().to_string(),
            end,
            map: paths.map().display().to_string(),
            report: paths.run_directory().report_path().display().to_string(),
            exit_code: exit_code(end),
        };
        output::print(self.output.json, &document, || output::text_of(|text| render(text, &document)))?;
        if end.stopped {
            watch.say_stopped();
        } else {
            watch.say(&format!("next: {}", next_step(paths, end)));
        }
        Ok(document.exit_code)
    }
}

/// A stopped run is to be run again; one that left something out says so.
fn exit_code(end: &MigrationEnd) -> u8 {
    if end.stopped {
        exit::TEMPORARY
    } else if end.counts.refused() > 0 {
        exit::REFUSED_RECORDS
    } else {
        exit::OK
    }
}

fn next_step(paths: &TargetPaths, end: &MigrationEnd) -> String {
    let target = paths.target();
    match end.stage {
        Stage::Published => {
            format!("{}, or back: {}", cas_command("verify", target), cas_command("rollback", target))
        }
        _ => "the same command without --no-publish".to_owned(),
    }
}

fn render(text: &mut String, document: &Document<'_>) -> std::fmt::Result {
    let end = document.end;
    let how = match (end.stopped, end.already_done) {
        (true, _) => "stopped, to be resumed",
        (_, true) => "nothing to do",
        _ => "done",
    };
    writeln!(text, "{} to {}: {how}", document.source, document.target)?;
    writeln!(text, "{:<28}{:>18}", "stage", end.stage.to_string())?;
    writeln!(text, "{:<28}{:>18}", "durability", end.durability.to_string())?;
    writeln!(text, "{:<28}{:>18}", "found", count_text(end.records))?;
    for count in end.counts.to_string().lines() {
        writeln!(text, "  {count}")?;
    }
    writeln!(text, "{:<28}{:>18}", "blobs", bytes_text(end.details.stored_bytes))?;
    write_generations(text, &end.details.generations)?;
    writeln!(text, "map     {}", document.map)?;
    writeln!(text, "report  {}", document.report)
}
