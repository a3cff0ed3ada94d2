//! The limits of a run.

use std::num::NonZeroU32;
use std::time::Duration;

use clap::Args;

use super::place::Place;
use crate::db::RunnerOptions;
use crate::db::runner::TIMEOUT_DEFAULT;

/// The limits of a run.
#[derive(Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// Seconds that a migration may take, unless its file says otherwise; 0 means no limit [default: 30]
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// If another run holds the lock, wait for it this long
    #[arg(long, value_name = "SECONDS", default_value_t = 0, alias = "lock-timeout")]
    wait: u64,
    /// Maximum number of rows of batches per second [default: no limit]
    #[arg(long, value_name = "ROWS")]
    rate_limit: Option<NonZeroU32>,
}

impl LimitArgs {
    /// Returns the options of a run.
    pub fn options(&self, place: &Place) -> RunnerOptions {
        let given = self.timeout.or(place.settings.timeout_s).map(Duration::from_secs);
        let timeout = given.unwrap_or(TIMEOUT_DEFAULT);
        RunnerOptions {
            tables: place.tables.clone(),
            timeout: Some(timeout).filter(|timeout| !timeout.is_zero()),
            concurrent_timeout: given.filter(|timeout| !timeout.is_zero()),
            lock_wait: Duration::from_secs(self.wait),
            rows_per_second: self.rate_limit,
            files: place.files,
            hooks: place.hooks.clone(),
            ..RunnerOptions::default()
        }
    }
}
