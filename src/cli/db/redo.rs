//! `haul db redo`: takes the newest migration back and applies it again.
//!
//! The JSON document is that of [`migrate`](super::migrate): `details` has what was taken back and what was applied.

use clap::Args;

use super::arguments::{BackupArgs, CourseArgs, MigrationArgs, scope};
use super::run_summary::finish;
use crate::cli::arguments::OutputArgs;
use crate::cli::confirm::confirm;
use crate::cli::progress::Watch;
use crate::db::runner::{RollbackRequest, RollbackTo};

/// `haul db redo`
#[derive(Args)]
pub struct RedoCommand {
    #[command(flatten)]
    migrations: MigrationArgs,
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

impl RedoCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let work = self.migrations.work()?;
        let newest = RollbackRequest { to: RollbackTo::Steps(1), force: false };
        let plan = work.plan_to_act()?;
        if let Some(row) = newest.select(&plan, &work.migrations)?.first() {
            let (backup, name) = (self.backup.told(work.migrations.dialect()), &row.name);
            let what = "this takes back, with the data that it holds, and applies again";
            confirm(&format!("{what}; {backup}:\n  {name}"), self.yes)?;
        }
        let database = work.place.target.to_string();
        let watch = Watch::start(self.output.progress)?;
        let mut runner = work.runner_with(&self.course, self.backup.policy())?;
        let end = watch.run(scope(), |control| runner.redo(control))?;
        finish(&watch, self.output.json, &database, "done", &end)
    }
}
