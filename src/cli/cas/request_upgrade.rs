//! `haul cas request-upgrade`: the scheduler's mode becomes explicit in request files.
//!
//! The JSON document is an [`UpgradeReport`] and, beside its fields, `dry_run` (true if no file was written because none
//! was to be) and `exit_code`.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::cli::arguments::OutputArgs;
use crate::cli::output;
use crate::durable::RealDisk;
use crate::migration::exit;
use crate::migration::units::count_text;
use crate::requiem::request::Note;
use crate::requiem::request_upgrade::{
    Change, DryRun, FileReport, InPlace, OutDir, Outcome, UpgradeOptions, UpgradeReport, upgrade_files,
};

/// `haul cas request-upgrade`
#[derive(Args)]
#[command(after_help = "Without --in-place and --out-dir nothing is written: the report says what would be.")]
pub struct RequestUpgradeCommand {
    /// Request files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Move a scheduler_mode that stands beside the policy into it; until now it had no effect
    #[arg(long)]
    move_scheduler_mode: bool,
    /// Replace the files that change; what they held is kept as FILE.haul-backup
    #[arg(long, conflicts_with = "out_dir")]
    in_place: bool,
    /// Write every request that can be upgraded into this directory
    #[arg(long, value_name = "DIR")]
    out_dir: Option<PathBuf>,
    /// Write nothing, whatever else is given
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Document {
    dry_run: bool,
    #[serde(flatten)]
    report: UpgradeReport,
    exit_code: u8,
}

impl RequestUpgradeCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let options = UpgradeOptions { move_scheduler_mode: self.move_scheduler_mode };
        let dry_run = self.dry_run || !self.in_place && self.out_dir.is_none();
        if let Some(directory) = &self.out_dir {
            OutDir::check_names(directory, &self.files)?;
        }
        let report = match &self.out_dir {
            _ if dry_run => upgrade_files(&self.files, options, &DryRun)?,
            None => upgrade_files(&self.files, options, &InPlace(&RealDisk))?,
            Some(directory) => upgrade_files(&self.files, options, &OutDir::new(&RealDisk, directory)?)?,
        };
        let exit_code = if report.refused > 0 { exit::REFUSED_RECORDS } else { exit::OK };
        let document = Document { dry_run, report, exit_code };
        output::print(self.output.json, &document, || output::text_of(|text| render(text, &document)))?;
        Ok(exit_code)
    }
}

fn render(text: &mut String, document: &Document) -> std::fmt::Result {
    let Document { dry_run, report, .. } = document;
    for file in &report.files {
        render_file(text, file, *dry_run)?;
    }
    let would_be = if *dry_run { "would be " } else { "" };
    let [upgraded, unchanged, refused] = [report.upgraded, report.unchanged, report.refused].map(count_text);
    writeln!(text, "{upgraded} {would_be}upgraded, {unchanged} unchanged, {refused} refused")
}

fn render_file(text: &mut String, file: &FileReport, dry_run: bool) -> std::fmt::Result {
    let outcome = match file.outcome {
        Outcome::Upgraded if dry_run => "would be upgraded",
        Outcome::Upgraded => "upgraded",
        Outcome::Unchanged => "unchanged",
        Outcome::Refused => "refused",
    };
    let reason = file.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    writeln!(text, "{}: {outcome}{reason}", file.file)?;
    for change in &file.changes {
        match change {
            Change::SchedulerModeAdded { mode } => {
                writeln!(text, "  policy.scheduler_mode is now {:?}, as was meant without it", mode.name())?;
            }
            Change::SchedulerModeMoved { mode } => {
                writeln!(text, "  policy.scheduler_mode is now {:?}, moved from beside the policy", mode.name())?;
            }
        }
    }
    match (file.request_digest_before, file.request_digest_after) {
        (Some(before), Some(after)) if before == after => writeln!(text, "  request_digest {after}, as before")?,
        (Some(before), Some(after)) => writeln!(text, "  request_digest {after}, before {before}")?,
        _ => {}
    }
    for (label, path) in [("written to", &file.written), ("what it held is in", &file.backup)] {
        if let Some(path) = path {
            writeln!(text, "  {label} {path}")?;
        }
    }
    for Note { kind, name } in &file.notes {
        let label = if kind.is_warning() { "warning" } else { "depends" };
        writeln!(text, "  {label}: {} {}", name.escape_debug(), kind.text())?;
    }
    Ok(())
}
