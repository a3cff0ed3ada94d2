//! `haul db rollback`: rolls migrations back, newest first.
//!
//! The JSON document is a [`RunSummary`](crate::db::runner::RunSummary), in which `applied` counts what was rolled back, with
//! `database`, `environment` and `exit_code`.

use clap::{ArgGroup, Args};

use super::arguments::{BackupArgs, FileArgs, HookArgs, LimitArgs, MigrationArgs, scope, version};
use super::run_summary::finish;
use super::tenants::{self, FailureArgs, TenantArgs, TenantWork, Watched};
use crate::cli::arguments::{ConsentArgs, OutputArgs};
use crate::cli::metrics_args::MetricsArgs;
use crate::cli::progress::Watch;
use crate::db::Version;
use crate::db::runner::{RollbackRequest, RollbackTo, announced};
use crate::db::state::AppliedRow;

/// `haul db rollback`
#[derive(Args)]
#[command(group(ArgGroup::new("how_far").required(true).args(["to", "steps"])))]
pub struct RollbackCommand {
    #[command(flatten)]
    migrations: MigrationArgs,
    /// The version that is the newest applied one afterwards; 0 rolls everything back, a version 0 too
    #[arg(long, value_name = "VERSION", value_parser = version)]
    to: Option<Version>,
    /// How many to roll back, by order of application
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// Roll all of them back, or none if one fails
    #[arg(long)]
    single_transaction: bool,
    /// Also roll back what was changed since, and remove from the ledger what has no Down section
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    consent: ConsentArgs,
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

impl RollbackCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let to = match (&self.to, self.steps) {
            (Some(version), _) => RollbackTo::Version(version.clone()),
            (None, steps) => RollbackTo::Steps(steps.unwrap_or_default()),
        };
        let request = RollbackRequest { to, force: self.force, single_transaction: self.single_transaction };
        if self.tenants.are_given() {
            let work = TenantWork::with_files(&self.tenants, &self.migrations, &self.files)?;
            let Some(mut work) = work else { return tenants::nothing_to_do(self.output, "rolled back") };
            work.share = self.failures.limit(work.share);
            work.add_hooks(&self.hooks)?;
            let watched = Watched { name: self.tenants.name(self.migrations.database())?, metrics: &self.metrics };
            return tenants::rollback(
                &work,
                &request,
                &self.consent,
                (&self.limits, &self.backup),
                watched,
                self.output,
            );
        }
        let work = self.hooks.apply(self.files.apply(self.migrations.work()?))?;
        let plan = work.plan_to_act()?;
        let rows = request.select(&plan, &work.migrations)?;
        let has_down = |row: &&&AppliedRow| work.migrations.get(&row.version).is_some_and(|found| found.down.is_some());
        let (reverted, forgotten): (Vec<_>, Vec<_>) = rows.iter().partition(has_down);
        let names = |rows: Vec<&&AppliedRow>| rows.iter().map(|row| row.name.clone()).collect::<Vec<_>>();
        let place = work.place.name();
        if !forgotten.is_empty() {
            let what = "these have no Down section: the schema stays as it is, and only their rows are removed, so that the \
                        next `haul db migrate` runs the files again";
            self.consent.confirm_all(format_args!("{place}: {what}"), &names(forgotten))?;
        }
        if !reverted.is_empty() {
            let backup = self.backup.consent_text();
            let what = format_args!("{place}: this rolls back, with the data that they hold; {backup}");
            self.consent.confirm_all(what, &names(reverted))?;
        }
        let watch = Watch::start(self.output)?.with_metrics(&self.metrics)?;
        let mut runner = work.runner_with(&self.limits, self.backup.policy())?;
        let end = watch.run(scope(), |control| {
            announced(place.to_string(), control, |control| runner.rollback(&request, control))
        })?;
        let code = finish(self.output, &place, "rolled back", &end)?;
        let forgotten = end.details.iter().filter(|detail| detail.status == "forgotten").count();
        if forgotten > 0 {
            self.output.say(format_args!(
                "next: undo by hand what the forgotten files did, before `haul db migrate` runs them again ({forgotten})"
            ));
        }
        Ok(code)
    }
}
