//! `haul manifest generate`: generates a tree of manifests.
//!
//! The JSON document is a [`GeneratedTree`](crate::manifest::generate::GeneratedTree) with `exit_code`.

use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::Args;

use super::arguments::RECORDS_NOUN;
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::cli::progress::Watch;
use crate::durable::RealDisk;
use crate::manifest::generate::{GenerateOptions, generate};
use crate::migration::units::{bytes_text, count_text};
use crate::observe::Scope;

/// `haul manifest generate`
#[derive(Args)]
pub struct GenerateCommand {
    /// Root of the new tree
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Number of manifests, of about 900 bytes each
    #[arg(long, value_name = "N")]
    manifests: u64,
    /// Runs per job
    #[arg(long, value_name = "N", default_value = "50")]
    runs_per_job: NonZeroU64,
    /// Shares of the versions 1.0.0, 1.1.0 and 1.2.0
    #[arg(long, value_name = "A,B,C", default_values_t = [6, 3, 1], value_delimiter = ',', num_args = 1)]
    shares: Vec<u64>,
    /// Seed of contents and versions; the same seed gives the same bytes
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl GenerateCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let share = |index: usize| self.shares.get(index).copied().unwrap_or(0);
        let options = GenerateOptions {
            manifests: self.manifests,
            runs_per_job: self.runs_per_job.get(),
            seed: self.seed,
            shares: [share(0), share(1), share(2)],
        };
        let watch = Watch::start(self.output)?;
        watch.say(format_args!("generating {} {RECORDS_NOUN}", count_text(self.manifests)));
        let scope = Scope::of(RECORDS_NOUN);
        let made = watch.run(scope, |control| generate(&RealDisk, &self.directory, &options, control))?;
        Answer::new(&made).stopped(made.stopped).print(self.output, |table| {
            let (manifests, bytes) = (count_text(made.manifests), bytes_text(made.bytes));
            table.line(format_args!("{}: {manifests} manifests, {bytes}", made.path.display()));
        })
    }
}
