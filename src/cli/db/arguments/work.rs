//! What a command works on.

use std::time::Instant;

use super::limits::LimitArgs;
use super::place::Place;
use super::server_wait::wait_for_server;
use crate::db::backup::BackupPolicy;
use crate::db::database::ReadDatabase;
use crate::db::runner::Plan;
use crate::db::{Migrations, Runner, RunnerOptions};
use crate::migration::Error;

/// What a command works on.
pub struct Work {
    pub place: Place,
    pub migrations: Migrations,
}

impl Work {
    /// Opens the database for a run that changes nothing of what others have stored.
    pub fn runner(self, limits: &LimitArgs) -> Result<Runner, Error> {
        self.runner_with(limits, BackupPolicy::default())
    }

    /// Opens the database for a run that may begin with a backup.
    pub fn runner_with(self, limits: &LimitArgs, backup: BackupPolicy) -> Result<Runner, Error> {
        let options = RunnerOptions { backup, ..limits.options(&self.place) };
        Runner::new(self.place.target.open()?, self.migrations, options)
    }

    /// Lets the database be created if it does not exist.
    pub fn creating(mut self, may_create: bool) -> Self {
        if may_create {
            self.place.target = self.place.target.creating();
        }
        self
    }

    /// Returns true if versions below the highest applied one may run.
    pub fn allows_out_of_order(&self) -> bool {
        self.place.settings.allow_out_of_order
    }

    /// Returns what a run is about to do. Completes what a run that was killed left open.
    pub fn plan_to_act(&self) -> Result<Plan, Error> {
        self.place.target.recover()?;
        if self.place.wait_until > Instant::now() {
            wait_for_server(&self.place.target, self.place.wait_until, true)?;
        }
        self.plan()
    }

    /// Returns what a run would do.
    pub fn plan(&self) -> Result<Plan, Error> {
        self.plan_of(&mut *self.place.target.open_read_only()?)
    }

    /// Returns what a run would do, by a database that is open already.
    pub fn plan_of(&self, database: &mut dyn ReadDatabase) -> Result<Plan, Error> {
        let plan = Plan::make(database, &self.place.tables, &self.migrations);
        let mut plan = plan.map_err(|error| error.at(&self.place.target.to_string()))?;
        plan.allow(self.place.files);
        Ok(plan)
    }
}
