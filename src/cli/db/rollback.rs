//! `haul db rollback`: takes migrations back, newest first.
//!
//! The JSON document is a [`RunSummary`](crate::db::runner::RunSummary), in which `applied` counts what was taken back, and beside
//! its fields `database` and `exit_code`.

use clap::{ArgGroup, Args};

use super::arguments::{BackupArgs, CourseArgs, MigrationArgs, scope, version};
use super::run_summary::finish;
use crate::cli::arguments::OutputArgs;
use crate::cli::confirm::confirm;
use crate::cli::progress::Watch;
use crate::db::Version;
use crate::db::runner::{RollbackRequest, RollbackTo};

/// `haul db rollback`
#[derive(Args)]
#[command(group(ArgGroup::new("how_far").required(true).args(["to", "steps"])))]
pub struct RollbackCommand {
    #[command(flatten)]
    migrations: MigrationArgs,
    /// The version that is to be the newest applied one afterwards; 0 takes everything back
    #[arg(long, value_name = "VERSION", value_parser = version)]
    to: Option<Version>,
    /// How many to take back, by order of application
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// Take back what was changed since too, and remove from the ledger what has no Down section
    #[arg(long)]
    force: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    backup: BackupArgs,
    #[command(flatten)]
    course: CourseArgs,
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
            let (backup, names) = (self.backup.told(work.migrations.dialect()), names.join("\n  "));
            confirm(&format!("this takes back, with the data that they hold; {backup}:\n  {names}"), self.yes)?;
        }
        let database = work.place.target.to_string();
        let watch = Watch::start(self.output.progress)?;
        let mut runner = work.runner_with(&self.course, self.backup.policy())?;
        let end = watch.run(scope(), |control| runner.rollback(&request, control))?;
        finish(&watch, self.output.json, &database, "taken back", &end)
    }
}
