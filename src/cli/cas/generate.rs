//! `haul cas generate`: generates a store of any generation.
//!
//! The JSON document is a [`GeneratedStore`] with `exit_code`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;

use super::arguments::RECORDS_NOUN;
use crate::cas::format::layout::Layout;
use crate::cas::generate::write::{GeneratedStore, generate_store};
use crate::cas::generate::{CONTENT_BYTES_MAX, CONTENT_BYTES_MIN, GenerateOptions, GenerationMix};
use crate::cli::arguments::{OutputArgs, one_of};
use crate::cli::command::Answer;
use crate::cli::progress::Watch;
use crate::durable::RealDisk;
use crate::migration::Error;
use crate::migration::units::{bytes_text, count_text};
use crate::observe::Scope;

/// `haul cas generate`
#[derive(Args)]
pub struct GenerateCommand {
    /// Root of the new store
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Number of contents, all different
    #[arg(long, value_name = "N")]
    objects: u64,
    /// The writer: a version, the flat layout of the documents, or all versions in one tree
    #[arg(long, value_name = "G", default_value = "v0.2", value_parser = one_of::<GenerationMix>(&GenerationMix::NAMES))]
    generation: GenerationMix,
    /// Where to store objects [default: flat for generation flat, else ab-cd]
    #[arg(long, value_name = "WHERE", value_parser = one_of::<Layout>(&Layout::NAMES))]
    layout: Option<Layout>,
    /// Shortest content
    #[arg(long, value_name = "BYTES", default_value_t = 64, value_parser = size_bytes())]
    size_bytes_min: u64,
    /// Longest content; every doubling of the size is equally likely
    #[arg(long, value_name = "BYTES", default_value_t = 16_384, value_parser = size_bytes())]
    size_bytes_max: u64,
    /// Seed of the contents; the same seed gives the same bytes
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Share of objects stored as zstd, from 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    zstd_share: f64,
    /// Share of contents that a mixed store has twice, under keys of two algorithms, from 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    duplicate_share: f64,
    /// Time of the first object, for generations that store it; each content is one second later
    #[arg(long, value_name = "UNIX", default_value_t = 1_704_067_200)]
    created_at: u64,
    /// Number of threads that generate contents [default: one per processor]
    #[arg(long, value_name = "N")]
    parallel_workers: Option<NonZeroUsize>,
    #[command(flatten)]
    pub output: OutputArgs,
}

fn size_bytes() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(CONTENT_BYTES_MIN..=CONTENT_BYTES_MAX)
}

impl GenerateCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let watch = Watch::start(self.output)?;
        let made = self.generate(&watch)?;
        Answer::new(&made).stopped(made.stopped).print(self.output, |table| table.line(text(&made)))
    }

    fn generate(&self, watch: &Watch) -> Result<GeneratedStore, Error> {
        let options = GenerateOptions {
            objects: self.objects,
            size_bytes_min: self.size_bytes_min,
            size_bytes_max: self.size_bytes_max,
            seed: self.seed,
            generation: self.generation,
            layout: self.layout.unwrap_or(self.generation.layout()),
            zstd_share: self.zstd_share,
            duplicate_share: self.duplicate_share,
            created_at: self.created_at,
        };
        let directory = &self.directory;
        watch.say(format_args!("generating {} {RECORDS_NOUN} in {}", count_text(self.objects), directory.display()));
        let available = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let workers = self.parallel_workers.unwrap_or_else(available);
        let scope = Scope::of(RECORDS_NOUN);
        watch.run(scope, |control| generate_store(&RealDisk, directory, &options, workers, control))
    }
}

fn text(made: &GeneratedStore) -> String {
    let path = made.path.display();
    if made.stopped {
        return format!("{path}: stopped; the objects were removed");
    }
    let (count, bytes) = (count_text(made.totals.objects), bytes_text(made.totals.stored_bytes));
    format!("{path}: {count} objects of generation {}, {bytes}", made.generation)
}
