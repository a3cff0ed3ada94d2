//! `haul manifest generate`: a tree of manifests, made up.
//!
//! The JSON document is a [`GeneratedTree`].

use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::Args;

use super::arguments::RECORDS_NOUN;
use crate::cli::arguments::OutputArgs;
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::durable::RealDisk;
use crate::manifest::generate::{GenerateOptions, GeneratedTree, generate};
use crate::migration::exit;
use crate::migration::units::{bytes_text, count_text};
use crate::observe::Scope;

/// `haul manifest generate`
#[derive(Args)]
pub struct GenerateCommand {
    /// Application's root of the new tree
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// How many, of about 900 bytes each
    #[arg(long, value_name = "N")]
    manifests: u64,
    /// Runs of a job
    #[arg(long, value_name = "N", default_value = "50")]
    runs_per_job: NonZeroU64,
    /// Shares of the versions 1.0.0, 1.1.0 and 1.2.0
    #[arg(long, value_name = "A,B,C", default_values_t = [6, 3, 1], value_delimiter = ',', num_args = 1)]
    shares: Vec<u64>,
    /// Chooses contents and versions: the same seed makes the same bytes
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
        let watch = Watch::start(self.output.progress)?;
        watch.say(&format!("generating {} {RECORDS_NOUN}", count_text(self.manifests)));
        let scope = Scope { records_noun: RECORDS_NOUN, source_bytes: None, budget_bytes: 0 };
        let made = watch.run(scope, |control| generate(&RealDisk, &self.directory, &options, control))?;
        output::print(self.output.json, &made, || text(&made))?;
        Ok(if made.stopped { exit::TEMPORARY } else { exit::OK })
    }
}

fn text(made: &GeneratedTree) -> String {
    let path = made.path.display();
    format!("{path}: {} manifests, {}\n", count_text(made.manifests), bytes_text(made.bytes))
}
