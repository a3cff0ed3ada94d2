//! `haul cas request-upgrade`: writes the scheduler's mode into request files.
//!
//! The JSON document is an [`UpgradeReport`] with `dry_run` (true if no file was to be written) and `exit_code`.

use std::path::PathBuf;

use clap::Args;

use crate::cli::arguments::{OutputArgs, WaitArgs, check_any_exists};
use crate::cli::command::Answer;
use crate::cli::table::Table;
use crate::durable::RealDisk;
use crate::migration::exit;
use crate::migration::units::count_text;
use crate::requiem::request::Note;
use crate::requiem::request_upgrade::{
    Change, DryRun, FileOutcome, FileReport, InPlace, OutDir, UpgradeOptions, UpgradeReport, upgrade_files,
};

/// `haul cas request-upgrade`
#[derive(Args)]
#[command(after_help = "Without --in-place and --out-dir nothing is written; the report says what would be.")]
pub struct RequestUpgradeCommand {
    /// Request files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Move a scheduler_mode from next to the policy into it; until now it had no effect
    #[arg(long)]
    move_scheduler_mode: bool,
    /// Replace the files that change; the originals are kept as FILE.haul-backup
    #[arg(long, conflicts_with = "out_dir")]
    in_place: bool,
    /// Write every request that can be upgraded to this directory
    #[arg(long, value_name = "DIR")]
    out_dir: Option<PathBuf>,
    /// Write nothing, whatever the other options say
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl RequestUpgradeCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        check_any_exists(&self.files, "give the paths of request files")?;
        let options = UpgradeOptions { move_scheduler_mode: self.move_scheduler_mode };
        let dry_run = self.dry_run || !self.in_place && self.out_dir.is_none();
        if let Some(directory) = &self.out_dir {
            OutDir::check_names(directory, &self.files)?;
        }
        let report = match &self.out_dir {
            _ if dry_run => upgrade_files(&self.files, options, &DryRun)?,
            None => {
                let place = self.wait.until_free(self.output, || InPlace::new(&RealDisk, &self.files))?;
                upgrade_files(&self.files, options, &place)?
            }
            Some(directory) => {
                let place = self.wait.until_free(self.output, || OutDir::new(&RealDisk, directory))?;
                upgrade_files(&self.files, options, &place)?
            }
        };
        let answer = Answer::new(&report).with("dry_run", dry_run);
        answer.exit_if(report.refused > 0, exit::REFUSED_RECORDS).print(self.output, |table| {
            report.files.iter().for_each(|file| render_file(table, file, dry_run));
            table.line(sum_text(&report, dry_run));
        })
    }
}

fn sum_text(report: &UpgradeReport, dry_run: bool) -> String {
    let would_be = if dry_run { "would be " } else { "" };
    let [upgraded, unchanged, refused] = [report.upgraded, report.unchanged, report.refused].map(count_text);
    format!("{upgraded} {would_be}upgraded, {unchanged} unchanged, {refused} refused")
}

fn render_file(table: &mut Table, file: &FileReport, dry_run: bool) {
    let outcome = match file.outcome {
        FileOutcome::Upgraded if dry_run => "would be upgraded",
        FileOutcome::Upgraded => "upgraded",
        FileOutcome::Unchanged => "unchanged",
        FileOutcome::Refused => "refused",
    };
    let reason = file.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    table.line(format_args!("{}: {outcome}{reason}", file.file));
    table.nested(|table| render_details(table, file));
}

fn render_details(table: &mut Table, file: &FileReport) {
    for change in &file.changes {
        let (mode, why) = match change {
            Change::SchedulerModeAdded { mode } => (mode, "as was meant without it"),
            Change::SchedulerModeMoved { mode } => (mode, "moved from next to the policy"),
        };
        table.line(format_args!("policy.scheduler_mode is now {:?}, {why}", mode.name()));
    }
    match (file.request_digest_before, file.request_digest_after) {
        (Some(before), Some(after)) if before == after => {
            table.line(format_args!("request_digest {after}, as before"));
        }
        (Some(before), Some(after)) => table.line(format_args!("request_digest {after}, before {before}")),
        _ => {}
    }
    for (label, path) in [("written to", &file.written), ("the original is kept in", &file.backup)] {
        if let Some(path) = path {
            table.line(format_args!("{label} {path}"));
        }
    }
    if let Some(missing) = &file.not_kept {
        table.line(format_args!("warning: the new file lacks {missing} of the original, which this user may not set"));
    }
    for Note { kind, name } in &file.notes {
        let label = if kind.is_warning() { "warning" } else { "depends" };
        table.line(format_args!("{label}: {} {}", name, kind.text()));
    }
}
