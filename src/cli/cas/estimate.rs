//! `haul cas estimate`: what a migration needs, and how long it takes on this machine.
//!
//! The JSON document is an [`Estimate`].

use std::num::NonZeroU64;
use std::sync::Arc;

use clap::Args;

use super::arguments::{LinkArgs, RECORDS_NOUN, ResultArgs, SourceTargetArgs, scope};
use crate::cas::migrate::estimate::{Estimate, SAMPLE_OBJECTS, estimate};
use crate::cas::options::MigrateOptions;
use crate::cas::paths::TargetPaths;
use crate::cli::arguments::{OutputArgs, ResourceArgs};
use crate::cli::command::Answer;
use crate::cli::estimate_text::{needed_text, time_text};
use crate::cli::progress::Watch;
use crate::cli::table::Table;
use crate::durable::RealDisk;
use crate::migration::units::{bytes_text, count_text};

/// `haul cas estimate`
#[derive(Args)]
pub struct EstimateCommand {
    #[command(flatten)]
    places: SourceTargetArgs,
    /// Number of objects to read, and to write next to the target, to measure the speed; the same ones every time
    #[arg(long, value_name = "N", default_value_t = SAMPLE_OBJECTS)]
    sample: NonZeroU64,
    #[command(flatten)]
    result: ResultArgs,
    #[command(flatten)]
    link: LinkArgs,
    #[command(flatten)]
    resources: ResourceArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl EstimateCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let paths = TargetPaths::new(&self.places.target)?;
        let options = MigrateOptions { link: self.link.linking(), ..self.result.options(&self.resources) };
        let watch = Watch::start(self.output)?;
        watch.say(format_args!("measuring the disk of {}", self.places.target.display()));
        let (disk, sample) = (Arc::new(RealDisk), self.sample);
        let estimate = watch
            .run(scope(&options), |control| estimate(disk, &self.places.source, &paths, &options, sample, control))?;
        Answer::new(&estimate).print(self.output, |table| render(table, &estimate))
    }
}

fn render(table: &mut Table, estimate: &Estimate) {
    let plan = &estimate.plan;
    let count = |count: Option<u64>| count.map_or("unknown".to_owned(), count_text);
    table.row(RECORDS_NOUN, format_args!("{} in {}", count_text(plan.objects), bytes_text(plan.object_bytes)));
    let bytes = estimate.read_bytes_per_second.map_or("unknown".to_owned(), bytes_text);
    let objects = count(estimate.read_objects_per_second);
    let sample = count_text(estimate.sample_objects);
    table.row("reading", format_args!("{objects} {RECORDS_NOUN}/s, {bytes}/s per thread, from a sample of {sample}"));
    match &estimate.write_problem {
        Some(problem) => table.row("writing", format_args!("not measured: {problem}")),
        None => {
            let (files, directories) = (count(estimate.files_per_second), count(estimate.directories_per_second));
            table.row("writing", format_args!("{files} files/s, {directories} directories/s, from the same sample"));
        }
    }
    table.row("time", time_text(estimate.seconds_expected));
    if let Some(objects) = estimate.objects_per_second {
        table.row("rate", format_args!("about {} {RECORDS_NOUN}/s", count_text(objects)));
    }
    let (files, directories) = (count_text(plan.target_files), count_text(plan.target_directories));
    table.row("store", format_args!("at most {files} files, in about {directories} directories"));
    table.row("disk", needed_text(estimate.space_needed_bytes, Some(estimate.free_bytes), bytes_text));
    table.row("inodes", needed_text(estimate.inodes_needed, estimate.free_inodes, count_text));
    table.row("memory", format_args!("{} for data in flight", bytes_text(estimate.memory_bytes)));
}
