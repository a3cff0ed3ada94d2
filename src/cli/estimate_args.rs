//! What the estimates of all stores are asked with.

use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::arguments::{OutputArgs, time};
use super::command::Answer;
use super::estimate_text::{write_estimate, write_past};
use crate::durable::Disk;
use crate::estimate::{CheckStatus, Estimate, Past, Question, estimate};
use crate::migration::forecast::History;
use crate::migration::probe::Probe;
use crate::migration::{Durability, Error, RunOptions, RunPlan, exit};
use crate::pipeline::Control;

/// How to estimate.
#[derive(Args, Clone)]
#[command(next_help_heading = "Estimate")]
pub struct EstimateArgs {
    /// Migrate samples for about this long to measure; drawing them takes as long again
    #[arg(long = "for", value_name = "TIME", default_value = "10s", value_parser = time)]
    measure_for: Duration,
    /// Say whether the migration ends within this time, and with how many workers
    #[arg(long, value_name = "TIME", value_parser = time)]
    deadline: Option<Duration>,
    /// Write nothing; then only reading is measured, and the time is not known
    #[arg(long)]
    no_write: bool,
    /// Print how good earlier estimates were, and measure nothing
    #[arg(long)]
    history: bool,
}

impl EstimateArgs {
    /// Prints how good earlier estimates were, if that is asked for.
    pub fn print_history(&self, output: OutputArgs) -> anyhow::Result<Option<u8>> {
        if !self.history {
            return Ok(None);
        }
        let past = Past::read(History::OfUser);
        Answer::new(&past).print(output, |table| write_past(table, &past)).map(Some)
    }

    /// Estimates.
    pub fn estimate<P: RunPlan + Clone>(
        &self,
        disk: &dyn Disk,
        probe: &dyn Probe,
        plan: &P,
        (kind, options, durability): (&'static str, &RunOptions, Durability),
        control: &Control<'_>,
    ) -> Result<Estimate<P>, Error> {
        let question = Question {
            kind,
            measure_for: self.measure_for,
            may_write: !self.no_write,
            deadline: self.deadline,
            options,
            durability,
        };
        estimate(disk, probe, plan, &question, control)
    }
}

/// Prints an estimate. A check that failed is an error of usage, whatever the estimate says.
pub fn print<P: Serialize>(estimate: &Estimate<P>, records_noun: &str, output: OutputArgs) -> anyhow::Result<u8> {
    let is_failed = estimate.checks.iter().any(|check| check.status == CheckStatus::Fail);
    let answer = Answer::new(estimate).exit_if(is_failed, exit::USAGE);
    answer.print(output, |table| write_estimate(table, estimate, records_noun))
}
