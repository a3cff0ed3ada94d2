//! `haul manifest migrate`: every manifest of a tree to a version.
//!
//! The JSON document is a [`MigrationEnd`] and, beside its fields, `root`, `findings` (the first of them), `report`
//! (its path) and `exit_code`. `--dry-run` prints the document of [`dry_run`], `--list-versions` that of
//! [`list_versions`].

use std::fmt::Write;
use std::io::ErrorKind;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::arguments::{DurabilityArg, ResultArgs, RootArgs, scope};
use super::compat::Summary;
use super::text::{FileFinding, documents, write_counts, write_findings};
use super::{dry_run, list_versions};
use crate::cli::arguments::{OutputArgs, ResourceArgs};
use crate::cli::command_line::manifest_command;
use crate::cli::confirm::confirm;
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::durable::{DiskError, RealDisk};
use crate::manifest::migrate::{MigrationEnd, migrate, run_directory};
use crate::manifest::run_options::{MigrateOptions, Start};
use crate::manifest::tree::scan::ARTIFACTS;
use crate::manifest::version_survey::version_of;
use crate::migration::{Error, OutcomeCounts, exit};

/// `haul manifest migrate`
#[derive(Args)]
pub struct MigrateCommand {
    #[command(flatten)]
    root: RootArgs,
    /// Read and judge every file, but write nothing at all
    #[arg(long, conflicts_with_all = ["resume", "restart"])]
    dry_run: bool,
    /// Show how many manifests there are of each version, and migrate none
    #[arg(long)]
    list_versions: bool,
    /// Go on with the earlier run, and fail if there is none; without this, go on if there is one
    #[arg(long, conflicts_with = "restart")]
    resume: bool,
    /// Leave an earlier run that has not ended, and begin anew
    #[arg(long)]
    restart: bool,
    /// Do not ask before --restart leaves an earlier run
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    result: ResultArgs,
    /// When what is written is made durable
    #[arg(long, value_enum, default_value_t = DurabilityArg::Batch, value_name = "WHEN", help_heading = "Course")]
    durability: DurabilityArg,
    /// Manifests of a batch
    #[arg(long, value_name = "MANIFESTS", default_value = "128", help_heading = "Course")]
    batch_size: NonZeroU64,
    /// Manifests between two checkpoints
    #[arg(long, value_name = "MANIFESTS", default_value = "50000", help_heading = "Course")]
    checkpoint_interval: NonZeroU64,
    #[command(flatten)]
    resources: ResourceArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Document<'a> {
    root: String,
    #[serde(flatten)]
    end: &'a MigrationEnd,
    findings: Vec<FileFinding<'a>>,
    report: String,
    exit_code: u8,
}

impl MigrateCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let root = &self.root.root;
        let options = self.options()?;
        if let Some(code) = self.refuse_absent(&options)? {
            return Ok(code);
        }
        let watch = Watch::start(self.output.progress)?;
        let scope = scope(&self.resources);
        if self.list_versions {
            let options = MigrateOptions { manifest: None, ..options };
            return list_versions::run(&watch, root, &options, scope, (self.result.compat, self.output.json));
        }
        let current = match (&options.manifest, self.result.compat) {
            (Some(file), true) => version_of(root, file, &options)?,
            _ => String::new(),
        };
        if self.dry_run {
            let compat = self.result.compat.then_some(&*current);
            return dry_run::run(&watch, root, &options, scope, (compat, self.output.json));
        }
        self.confirm_restart()?;
        watch.say(&format!("migrating manifests in {} to {}", root.display(), options.target()));
        let disk = Arc::new(RealDisk);
        let end = watch.run(scope, |control| migrate(disk, root, &options, control))?;
        self.finish(&watch, &options, &current, &end)
    }

    fn options(&self) -> Result<MigrateOptions, Error> {
        let start = match (self.resume, self.restart) {
            (true, _) => Start::Resume,
            (_, true) => Start::Restart,
            _ => Start::Auto,
        };
        Ok(MigrateOptions {
            durability: self.durability.into(),
            start,
            batch_records: self.batch_size.get(),
            checkpoint_interval_records: self.checkpoint_interval.get(),
            ..self.result.options(&self.root.root, &self.resources)?
        })
    }

    /// The exit code, and in compat the line of the original, where there is nothing to begin with.
    fn refuse_absent(&self, options: &MigrateOptions) -> Result<Option<u8>, Error> {
        let root = &self.root.root;
        let mut places = vec![("App root", root.clone()), ("Artifacts directory", root.join(ARTIFACTS))];
        places.extend(options.manifest.as_ref().map(|file| ("Manifest", root.join(file))));
        for (what, path) in places {
            let found = path.symlink_metadata();
            let Err(error) = found else { continue };
            if !self.result.compat || self.output.json {
                return Err(DiskError::new("look up", &path, error).into());
            }
            if error.kind() == ErrorKind::NotFound {
                let _ = output::stream(|out| {
                    writeln!(out, "❌ {what} not found: {}", path.display())
                        .map_err(|e| DiskError::new("print to", Path::new("standard output"), e).into())
                })?;
                return Ok(Some(exit::FAILED));
            }
        }
        Ok(None)
    }

    fn confirm_restart(&self) -> Result<(), Error> {
        let directory = run_directory(&self.root.root);
        if !(self.restart && directory.checkpoint_path().exists()) {
            return Ok(());
        }
        let state = directory.path().display();
        let what = format!("--restart leaves the earlier run in {state} where it is; what it has replaced stays so");
        confirm(&what, self.yes)
    }

    fn finish(&self, watch: &Watch, options: &MigrateOptions, current: &str, end: &MigrationEnd) -> anyhow::Result<u8> {
        let root = &self.root.root;
        let (target, counts, findings) = (&*end.target_version, &end.counts, &end.findings);
        let summary = Summary { root, target, counts, findings, is_dry_run: false };
        let exit_code = match (end.stopped, self.result.compat) {
            (true, _) => exit::TEMPORARY,
            (false, true) => summary.exit_code(),
            (false, false) => exit_code(end),
        };
        let report = run_directory(root).report_path().display().to_string();
        let findings = documents(&end.findings);
        let document = Document { root: root.display().to_string(), end, findings, report, exit_code };
        output::print(self.output.json, &document, || match (self.result.compat, &options.manifest, &end.named) {
            (true, Some(file), Some(named)) => summary.named_text(file, current, named),
            (true, ..) => summary.tree_text(),
            _ => output::text_of(|text| render(text, &document)),
        })?;
        if end.stopped {
            watch.say_stopped();
        } else if !self.result.compat {
            let back = format!("{} --run {}", manifest_command("rollback", root), end.run_id);
            watch.say(&format!("next: {}, or back: {back}", manifest_command("verify", root)));
        }
        Ok(exit_code)
    }
}

fn exit_code(end: &MigrationEnd) -> u8 {
    if end.counts.refused() > 0 { exit::REFUSED_RECORDS } else { exit::OK }
}

fn render(text: &mut String, document: &Document<'_>) -> std::fmt::Result {
    let end = document.end;
    let how = match (end.stopped, end.counts.migrated + end.counts.refused()) {
        (true, _) => "stopped, to be resumed",
        (_, 0) => "nothing to do",
        _ => "done",
    };
    writeln!(text, "{}: {how}", document.root)?;
    writeln!(text, "{:<28}{:>18}", "target version", end.target_version)?;
    writeln!(text, "{:<28}{:>18}", "durability", end.durability)?;
    write_counts(text, end.records, &end.counts)?;
    write_findings(text, &end.findings)?;
    writeln!(text, "run     {}", end.run_id)?;
    writeln!(text, "report  {}", document.report)
}
