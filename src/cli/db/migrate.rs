//! `haul db migrate`: applies what is pending.
//!
//! The JSON document is a [`RunSummary`](crate::db::runner::RunSummary) with `database`, `environment` and `exit_code`; that of
//! a dry run is described in [`dry_run`](super::dry_run), that of an estimate in [`estimate`](super::estimate). On tenants
//! it is a [`TenantsSummary`](crate::db::tenants::TenantsSummary) with `exit_code`.

use clap::{Args, ValueEnum};

use super::arguments::{
    BackupArgs, FileArgs, HookArgs, LimitArgs, MigrationArgs, PlaceName, Work, destructive_lines, scope, version,
};
use super::dry_run::dry_run;
use super::estimate::print_estimate;
use super::run_summary::finish;
use super::tenants::{self, FailureArgs, Purpose, TenantArgs, TenantWork, Watched};
use crate::cli::arguments::OutputArgs;
use crate::cli::confirm::confirm;
use crate::cli::metrics_args::MetricsArgs;
use crate::cli::progress::Watch;
use crate::db::Dialect;
use crate::db::Version;
use crate::db::runner::{MigrateRequest, Plan, announced};
use crate::migration::Error;

/// `haul db migrate`
#[derive(Args)]
pub struct MigrateCommand {
    #[command(flatten)]
    migrations: MigrationArgs,
    /// Create the database if it does not exist
    #[arg(long)]
    create: bool,
    /// The highest version to apply [default: all]
    #[arg(long, value_name = "VERSION", value_parser = version)]
    to: Option<Version>,
    /// Show what would run, and change nothing; execute also runs it, on a copy or in a transaction that is rolled back
    #[arg(long, value_name = "HOW", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "plan")]
    dry_run: Option<DryRun>,
    /// Estimate how long it takes from runs in other databases, and change nothing
    #[arg(long, conflicts_with_all = ["dry_run", "tenants"])]
    estimate: bool,
    /// A database that has applied the same files, for --estimate; may be given more than once
    #[arg(long, value_name = "URL", requires = "estimate")]
    history: Vec<String>,
    /// Keep all migrations of the run, or none if one fails
    #[arg(long)]
    single_transaction: bool,
    /// Also apply versions below the highest applied one
    #[arg(long)]
    allow_out_of_order: bool,
    /// Also begin in a database in which another runner has recorded what it applied
    #[arg(long)]
    allow_other_ledger: bool,
    /// Do not ask before statements that destroy data
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    backup: BackupArgs,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    hooks: HookArgs,
    #[command(flatten)]
    files: FileArgs,
    #[command(flatten)]
    tenants: TenantArgs,
    #[command(flatten)]
    failures: FailureArgs,
    #[command(flatten)]
    metrics: MetricsArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// How much a dry run does.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq)]
pub enum DryRun {
    /// Reads only.
    #[value(help = None::<&str>)]
    Plan,
    /// Runs everything on a copy or in a transaction that is rolled back.
    #[value(help = None::<&str>)]
    Execute,
}

impl MigrateCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        if self.tenants.are_given() {
            return self.run_on_tenants();
        }
        let work = self.hooks.apply(self.files.apply(self.migrations.work()?).creating(self.create))?;
        let request = self.request(work.allows_out_of_order());
        let only_reads = self.dry_run.is_some() || self.estimate;
        // A file is created when the first migration is about to run, a database of a server before it can be looked at.
        if self.create && !only_reads && work.place.target.dialect() == Dialect::Postgres {
            work.place.target.create()?;
        }
        let plan = if only_reads { work.plan()? } else { work.plan_to_act()? };
        request.check(&plan, &work.migrations)?;
        if self.estimate {
            return print_estimate(&work, &request, &plan, &self.history, self.output);
        }
        if let Some(how) = self.dry_run {
            return dry_run(work, &request, &plan, how == DryRun::Execute, &self.limits, self.output);
        }
        self.consent(&work.place.name(), &plan, &request)?;
        self.migrate(work, &request)
    }

    fn request(&self, allows_out_of_order: bool) -> MigrateRequest {
        MigrateRequest {
            to: self.to.clone(),
            allow_out_of_order: self.allow_out_of_order || allows_out_of_order,
            allow_other_ledger: self.allow_other_ledger,
            single_transaction: self.single_transaction,
        }
    }

    fn run_on_tenants(self) -> anyhow::Result<u8> {
        let work = TenantWork::with_files(&self.tenants, &self.migrations, &self.files)?;
        let Some(mut work) = work else { return tenants::nothing_to_do(self.output, "applied") };
        work.share = self.failures.limit(work.share);
        work.add_hooks(&self.hooks)?;
        let request = self.request(work.allows_out_of_order());
        if let Some(how) = self.dry_run {
            return tenants::dry_run(&work, &request, how == DryRun::Execute, &self.limits, self.output);
        }
        if self.create {
            work.creating();
        }
        let purpose = if self.create { Purpose::Create } else { Purpose::Act };
        let watched = Watched { name: self.tenants.name(self.migrations.database())?, metrics: &self.metrics };
        tenants::migrate(&work, &request, purpose, self.yes, (&self.limits, &self.backup), watched, self.output)
    }

    /// Asks for consent if data would be destroyed.
    fn consent(&self, place: &PlaceName, plan: &Plan, request: &MigrateRequest) -> Result<(), Error> {
        let wanted = plan.pending.iter().filter(|pending| request.takes(&pending.version));
        let files = plan.files.iter().filter(|file| request.to.is_none() && file.is_pending());
        let lines = wanted.flat_map(|pending| destructive_lines(&pending.file, &pending.destructive));
        let lines: Vec<_> =
            lines.chain(files.flat_map(|file| destructive_lines(&file.file, &file.destructive))).collect();
        if lines.is_empty() {
            return Ok(());
        }
        let backup = self.backup.consent_text();
        confirm(format_args!("{place}: this destroys data; {backup}"), &lines, self.yes)
    }

    fn migrate(&self, work: Work, request: &MigrateRequest) -> anyhow::Result<u8> {
        let place = work.place.name();
        let watch = Watch::start(self.output)?.with_metrics(&self.metrics)?;
        let mut runner = work.runner_with(&self.limits, self.backup.policy())?;
        let end = watch.run(scope(), |control| {
            announced(place.to_string(), control, |control| runner.migrate(request, control))
        })?;
        finish(self.output, &place, "applied", &end)
    }
}
