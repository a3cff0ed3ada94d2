//! `haul space generate`: generates a space in the real log format.
//!
//! The JSON document is a [`GeneratedSpace`] with `exit_code`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::arguments::RECORDS_NOUN;
use super::plan::files_text;
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::cli::progress::Watch;
use crate::durable::RealDisk;
use crate::migration::Error;
use crate::migration::units::{bytes_text, count_text};
use crate::observe::Scope;
use crate::space::generate::GenerateOptions;
use crate::space::generate::write::{GeneratedSpace, generate_space};

/// `haul space generate`
#[derive(Args)]
pub struct GenerateCommand {
    /// Directory of the new space; its last component is the name
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Number of nodes in all files together
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..1 << 62))]
    nodes: u64,
    /// Seed of the contents; the same seed gives the same bytes
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Number of log files
    #[arg(long, value_name = "F", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    files: u32,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl GenerateCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let options = GenerateOptions { nodes: self.nodes, seed: self.seed, files: self.files };
        let watch = Watch::start(self.output)?;
        let made = generate(&watch, &self.directory, &options)?;
        Answer::new(&made).stopped(made.stopped).print(self.output, |table| table.line(text(&made)))
    }
}

/// Generates with a view of the progress.
pub fn generate(watch: &Watch, directory: &Path, options: &GenerateOptions) -> Result<GeneratedSpace, Error> {
    watch.say(format_args!("generating {} {RECORDS_NOUN} in {}", count_text(options.nodes), directory.display()));
    let scope = Scope::of(RECORDS_NOUN);
    watch.run(scope, |control| generate_space(Arc::new(RealDisk), directory, options, control))
}

fn text(made: &GeneratedSpace) -> String {
    let path = made.path.display();
    if made.stopped {
        return format!("{path}: stopped; the logs were removed");
    }
    let (count, bytes) = (count_text(made.records), bytes_text(made.bytes));
    format!("{path}: {count} records, {bytes} in {}", files_text(made.files as usize))
}
