//! `haul db redo`: rolls the newest migration back and applies it again.
//!
//! The JSON document is that of [`migrate`](super::migrate), on tenants too: `details` has what was rolled back and what was
//! applied.

use clap::Args;

use super::arguments::{BackupArgs, FileArgs, HookArgs, LimitArgs, MigrationArgs, scope};
use super::run_summary::finish;
use super::tenants::{self, FailureArgs, TenantArgs, TenantWork};
use crate::cli::arguments::{ConsentArgs, OutputArgs};
use crate::cli::progress::Watch;
use crate::db::runner::{RollbackRequest, RollbackTo, announced};

/// `haul db redo`
#[derive(Args)]
pub struct RedoCommand {
    #[command(flatten)]
    migrations: MigrationArgs,
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
    pub output: OutputArgs,
}

impl RedoCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        if self.tenants.are_given() {
            let work = TenantWork::with_files(&self.tenants, &self.migrations, &self.files)?;
            let Some(mut work) = work else { return tenants::nothing_to_do(self.output, "done") };
            work.share = self.failures.limit(work.share);
            work.add_hooks(&self.hooks)?;
            return tenants::redo(&work, &self.consent, (&self.limits, &self.backup), self.output);
        }
        let work = self.hooks.apply(self.files.apply(self.migrations.work()?))?;
        let newest = RollbackRequest { to: RollbackTo::Steps(1), force: false, single_transaction: false };
        let plan = work.plan_to_act()?;
        if let Some(row) = newest.select(&plan, &work.migrations)?.first() {
            let backup = self.backup.consent_text();
            let what = "this rolls back, with the data that it holds, and applies again";
            self.consent.confirm_all(
                format_args!("{}: {what}; {backup}", work.place.name()),
                std::slice::from_ref(&row.name),
            )?;
        }
        let place = work.place.name();
        let watch = Watch::start(self.output)?;
        let mut runner = work.runner_with(&self.limits, self.backup.policy())?;
        let end =
            watch.run(scope(), |control| announced(place.to_string(), control, |control| runner.redo(control)))?;
        finish(self.output, &place, "done", &end)
    }
}
