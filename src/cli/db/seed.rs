//! `haul db seed`: runs seeds, each once for each text.
//!
//! The JSON document is a [`RunSummary`](crate::db::runner::RunSummary) with `database` and `exit_code`; on tenants it is that
//! of [`migrate`](super::migrate) on tenants.

use clap::Args;

use super::arguments::{BackupArgs, LimitArgs, SeedArgs, destructive_lines, scope};
use super::run_summary::finish;
use super::tenants::{self, FailureArgs, TenantArgs, TenantWork};
use crate::cli::arguments::OutputArgs;
use crate::cli::confirm::confirm;
use crate::cli::progress::Watch;
use crate::db::runner::Again;

/// `haul db seed`
#[derive(Args)]
pub struct SeedCommand {
    #[command(flatten)]
    seeds: SeedArgs,
    /// Run this seed although it has run before; may be given more than once
    #[arg(long, value_name = "NAME")]
    again: Vec<String>,
    /// Run all seeds although they have run before
    #[arg(long, conflicts_with = "again")]
    all: bool,
    /// Do not ask before statements that destroy data
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    backup: BackupArgs,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    tenants: TenantArgs,
    #[command(flatten)]
    failures: FailureArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl SeedCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let again = match (self.all, self.again.is_empty()) {
            (true, _) => Again::All,
            (false, true) => Again::Changed,
            (false, false) => Again::Named(self.again.clone()),
        };
        if self.tenants.are_given() {
            let work = TenantWork::of_seeds(&self.tenants, &self.seeds)?;
            let Some(mut work) = work else { return tenants::nothing_to_do(self.output, "applied") };
            work.share = self.failures.limit(work.share);
            return tenants::seed(&work, &again, self.yes, (&self.limits, &self.backup), self.output);
        }
        let work = self.seeds.work()?;
        let place = work.place.name();
        let plan = work.plan_to_act()?;
        let wanted: Vec<_> = again.select(&plan, &work.migrations)?.into_iter().map(|seed| seed.label()).collect();
        let states = plan.files.iter().filter(|state| wanted.contains(&state.name));
        let lines: Vec<_> = states.flat_map(|state| destructive_lines(&state.file, &state.destructive)).collect();
        if !lines.is_empty() {
            let backup = self.backup.consent_text();
            confirm(format_args!("{place}: this destroys data; {backup}"), &lines, self.yes)?;
        }
        let watch = Watch::start(self.output)?;
        let mut runner = work.runner_with(&self.limits, self.backup.policy())?;
        let end = watch.run(scope(), |control| runner.seed(&again, control))?;
        finish(self.output, &place, "applied", &end)
    }
}
