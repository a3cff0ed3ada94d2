//! The request of a phase, from its arguments.

use std::time::Duration;

use clap::Args;

use super::arguments::{HookArgs, RulesArgs, SetArgs};
use crate::migration::{Error, RunOptions, Start};
use crate::upgrade::request::UpgradeRequest;

/// What the phases that change something have in common.
#[derive(Args, Clone)]
pub struct RequestArgs {
    #[command(flatten)]
    pub set: SetArgs,
    #[command(flatten)]
    rules: RulesArgs,
    #[command(flatten)]
    hooks: HookArgs,
    #[command(flatten)]
    limits: LimitArgs,
}

/// How long something may take.
#[derive(Args, Clone)]
#[command(next_help_heading = "Limits")]
struct LimitArgs {
    /// How long a lock of another program on a database is waited for
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    lock_timeout: u64,
    /// The longest time of one batch of a backfill, after which the phase ends
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    batch_timeout: u64,
}

impl RequestArgs {
    /// Returns the request.
    pub fn request(&self) -> Result<UpgradeRequest, Error> {
        let directory = self.set.directory()?;
        let definition = self.set.definition()?;
        Ok(UpgradeRequest {
            files: self.set.files(),
            primaries: self.set.primaries()?,
            excluded: self.set.excluded()?,
            mode: self.rules.mode(),
            zone: self.rules.zone(),
            inputs: self.rules.inputs(&definition)?,
            settings: self.rules.settings(&definition)?,
            application: self.rules.release_id(&directory),
            hooks: self.hooks.hooks(&directory),
            approved_plan: None,
            lock_timeout: Duration::from_secs(self.limits.lock_timeout),
            batch_timeout: Duration::from_secs(self.limits.batch_timeout),
            force: false,
            run: RunOptions { start: Start::Auto, ..RunOptions::default() },
            directory,
            definition,
        })
    }
}
