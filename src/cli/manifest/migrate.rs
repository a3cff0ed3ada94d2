//! `haul manifest migrate`: migrates every manifest of a tree to a version.
//!
//! The JSON document is a [`MigrationEnd`] with `root`, `findings` (the first of them), `report` (path) and `exit_code`.
//! `--dry-run` prints the document of [`dry_run`], `--list-versions` that of [`list_versions`].

use std::io::ErrorKind;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;

use clap::Args;

use super::arguments::{DurabilityArg, ResultArgs, scope};
use super::compat::Summary;
use super::root::{RootArgs, check_tree};
use super::text::{TreeEnd, write_counts, write_findings};
use super::{dry_run, list_versions};
use crate::cli::arguments::{OutputArgs, ResourceArgs, StartArgs, WaitArgs, check_exists};
use crate::cli::command::{Answer, end_text};
use crate::cli::command_line::manifest_command;
use crate::cli::metrics_args::MetricsArgs;
use crate::cli::output;
use crate::cli::owner::OwnerArgs;
use crate::cli::progress::Watch;
use crate::cli::table::Table;
use crate::durable::{DiskError, RealDisk};
use crate::manifest::migrate::{MigrationEnd, migrate, run_directory};
use crate::manifest::run_options::MigrateOptions;
use crate::manifest::tree::scan::ARTIFACTS;
use crate::manifest::version_survey::version_of;
use crate::migration::{Error, OutcomeCounts, RunOptions, escaped, exit};

/// `haul manifest migrate`
#[derive(Args)]
pub struct MigrateCommand {
    #[command(flatten)]
    root: RootArgs,
    /// Read and check every file, but write nothing
    #[arg(long, conflicts_with_all = ["resume", "restart"])]
    dry_run: bool,
    /// Count the manifests of each version, and migrate none
    #[arg(long)]
    list_versions: bool,
    #[command(flatten)]
    start: StartArgs,
    #[command(flatten)]
    result: ResultArgs,
    #[command(flatten)]
    owner: OwnerArgs,
    /// When to make written data durable
    #[arg(long, value_enum, default_value_t = DurabilityArg::Group, value_name = "WHEN", help_heading = "Tuning")]
    durability: DurabilityArg,
    /// Manifests per batch
    #[arg(long, value_name = "MANIFESTS", default_value = "128", help_heading = "Tuning")]
    batch_size: NonZeroU64,
    /// Manifests between two checkpoints
    #[arg(long, value_name = "MANIFESTS", default_value = "50000", help_heading = "Tuning")]
    checkpoint_interval: NonZeroU64,
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
        let root = self.root.path();
        let options = self.options()?;
        if let Some(code) = self.refuse_absent(&options)? {
            return Ok(code);
        }
        let watch = Watch::start(self.output)?.with_metrics(&self.metrics)?;
        let scope = scope(&self.resources);
        if self.list_versions {
            let options = MigrateOptions { manifest: None, ..options };
            return list_versions::run(&watch, root, &options, scope, (self.result.compat, self.output));
        }
        let current = match (&options.manifest, self.result.compat) {
            (Some(file), true) => version_of(root, file, &options)?,
            _ => String::new(),
        };
        if self.dry_run {
            let compat = self.result.compat.then_some(&*current);
            return dry_run::run(&watch, root, &options, scope, (compat, self.output));
        }
        self.confirm_restart()?;
        watch.say(format_args!("migrating manifests in {} to {}", root.display(), options.target()));
        let disk = Arc::new(RealDisk);
        let end = watch.run_when_free(self.wait, scope, |control| migrate(disk.clone(), root, &options, control))?;
        self.finish(&options, &current, &end)
    }

    fn options(&self) -> Result<MigrateOptions, Error> {
        let options = self.result.options(self.root.path(), &self.resources)?;
        let run = RunOptions {
            start: self.start.start(),
            owner: self.owner.owner(),
            batch_records: self.batch_size.get(),
            checkpoint_interval_records: self.checkpoint_interval.get(),
            ..options.run
        };
        Ok(MigrateOptions { durability: self.durability.into(), run, ..options })
    }

    /// Refuses a tree or a file that does not exist. With `--compat` prints the line of the original and returns its exit
    /// code.
    fn refuse_absent(&self, options: &MigrateOptions) -> anyhow::Result<Option<u8>> {
        let root = self.root.path();
        if !self.result.compat {
            check_tree(root)?;
        }
        let mut places = vec![("App root", root.to_path_buf()), ("Artifacts directory", root.join(ARTIFACTS))];
        places.extend(options.manifest.as_ref().map(|file| ("Manifest", root.join(file))));
        for (what, path) in places {
            let found = path.symlink_metadata();
            let Err(error) = found else { continue };
            if !self.result.compat || self.output.json {
                check_tree(root)?;
                check_exists(&path, "give the path of a manifest below the root, or leave --manifest out")?;
                return Err(DiskError::new("look up", &path, error).into());
            }
            if error.kind() == ErrorKind::NotFound {
                let line = format!("❌ {what} not found: {}", path.display());
                output::bytes(format!("{}\n", escaped(&line)).as_bytes())?;
                return Ok(Some(exit::FAILED));
            }
        }
        Ok(None)
    }

    fn confirm_restart(&self) -> Result<(), Error> {
        let directory = run_directory(self.root.path());
        let state = directory.path().display();
        let consequence = format_args!("discards the earlier run in {state}; the files that it has migrated stay so");
        self.start.confirm_restart(directory.checkpoint_path().exists(), consequence)
    }

    fn finish(&self, options: &MigrateOptions, current: &str, end: &MigrationEnd) -> anyhow::Result<u8> {
        let root = self.root.path();
        let compat = self.result.compat;
        let (target, counts, findings) = (&*end.details.target_version, &end.counts, &end.details.findings);
        let summary = Summary { root, target, counts, findings, is_dry_run: false };
        let refused_code = if compat { summary.exit_code() } else { exit::REFUSED_RECORDS };
        let report = run_directory(root).report_path();
        let tree_end = TreeEnd::new(root, end, findings);
        let answer = Answer::new(&tree_end).path("report", &report).stopped(end.stopped);
        let answer = answer.exit_if(counts.refused() > 0, refused_code).next((!compat).then(|| self.next_step(end)));
        answer.print(self.output, |table| match (compat, &options.manifest, &end.details.named) {
            (true, Some(file), Some(named)) => summary.write_named(table, file, current, named),
            (true, ..) => summary.write_tree(table),
            _ => {
                render(table, root, end);
                table.row("report", report.display());
            }
        })
    }

    fn next_step(&self, end: &MigrationEnd) -> String {
        let root = self.root.path();
        let (verify, rollback) = (manifest_command("verify", root), manifest_command("rollback", root));
        format!("{verify}; to undo: {rollback} --run {}", end.run_id)
    }
}

fn render(table: &mut Table, root: &Path, end: &MigrationEnd) {
    let nothing_to_do = end.counts.migrated + end.counts.refused() == 0;
    table.line(format_args!("{}: {}", root.display(), end_text(end.stopped, nothing_to_do)));
    table.row("target version", &end.details.target_version);
    table.durability(end.durability, end.durability_reason.as_deref());
    write_counts(table, end.records, &end.counts);
    write_findings(table, &end.details.findings);
    table.row("run", &end.run_id);
}
