//! `haul db rollback`: rolls migrations back, newest first.
//!
//! The JSON document is a [`RunSummary`](crate::db::runner::RunSummary), in which `applied` counts what was rolled back, with
//! `database` and `exit_code`.

use clap::{ArgGroup, Args};

use super::arguments::{BackupArgs, LimitArgs, MigrationArgs, scope, version};
use super::run_summary::finish;
use crate::cli::arguments::{ConsentArgs, OutputArgs};
use crate::cli::progress::Watch;
use crate::db::Version;
use crate::db::runner::{RollbackRequest, RollbackTo};

/// `haul db rollback`
#[derive(Args)]
#[command(group(ArgGroup::new("how_far").required(true).args(["to", "steps"])))]
pub struct RollbackCommand {
    #[command(flatten)]
    migrations: MigrationArgs,
    /// The version that is the newest applied one afterwards; 0 rolls everything back
    #[arg(long, value_name = "VERSION", value_parser = version)]
    to: Option<Version>,
    /// How many to roll back, by order of application
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
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
    pub output: OutputArgs,
}

impl RollbackCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let work = self.migrations.work()?;
        let to = match (&self.to, self.steps) {
            (Some(version), _) => RollbackTo::Version(version.clone()),
            (None, steps) => RollbackTo::Steps(steps.unwrap_or_default()),
        };
        let request = RollbackRequest { to, force: self.force };
        let plan = work.plan_to_act()?;
        let names: Vec<_> = request.select(&plan, &work.migrations)?.iter().map(|row| row.name.clone()).collect();
        if !names.is_empty() {
            let backup = self.backup.consent_text(work.migrations.dialect());
            let what = format_args!("this rolls back, with the data that they hold; {backup}");
            self.consent.confirm_all(what, &names)?;
        }
        let database = work.place.target.to_string();
        let watch = Watch::start(self.output)?;
        let mut runner = work.runner_with(&self.limits, self.backup.policy())?;
        let end = watch.run(scope(), |control| runner.rollback(&request, control))?;
        finish(self.output, &database, "rolled back", &end)
    }
}
