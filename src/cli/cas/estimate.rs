//! `haul cas estimate`: what a migration needs, and how long it takes on this machine.
//!
//! The JSON document is an [`Estimate`].

use std::fmt::{self, Write};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::arguments::{LinkArgs, MoveArgs, RECORDS_NOUN, ResultArgs, scope};
use super::plan::needed_text;
use crate::cas::migrate::estimate::{Estimate, SAMPLE_OBJECTS, estimate};
use crate::cas::options::MigrateOptions;
use crate::cas::paths::TargetPaths;
use crate::cli::arguments::{OutputArgs, ResourceArgs};
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::durable::RealDisk;
use crate::migration::exit;
use crate::migration::units::{bytes_text, count_text};
use crate::observe::duration_text;

/// `haul cas estimate`
#[derive(Args)]
pub struct EstimateCommand {
    #[command(flatten)]
    places: MoveArgs,
    /// Objects that are read, and written beside the target, to find out how fast that is; the same ones every time
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
        let options = MigrateOptions { link: self.link.link, ..self.result.options(&self.resources) };
        let watch = Watch::start(self.output.progress)?;
        watch.say(&format!("measuring the disk of {}", self.places.target.display()));
        let (disk, sample) = (Arc::new(RealDisk), self.sample);
        let estimate = watch
            .run(scope(&options), |control| estimate(disk, &self.places.source, &paths, &options, sample, control))?;
        output::print(self.output.json, &estimate, || output::text_of(|text| render(text, &estimate)))?;
        Ok(exit::OK)
    }
}

fn render(text: &mut String, estimate: &Estimate) -> fmt::Result {
    let plan = &estimate.plan;
    let count = |count: Option<u64>| count.map_or("unknown".to_owned(), count_text);
    let mut line = |name: &str, value: String| writeln!(text, "{name:<14} {value}");
    line(RECORDS_NOUN, format!("{} in {}", count_text(plan.objects), bytes_text(plan.object_bytes)))?;
    let bytes = estimate.read_bytes_per_second.map_or("unknown".to_owned(), bytes_text);
    let objects = count(estimate.read_objects_per_second);
    let sample = count_text(estimate.sample_objects);
    line("reading", format!("{objects} {RECORDS_NOUN}/s, {bytes}/s a thread, from {sample} of them"))?;
    match &estimate.write_problem {
        Some(problem) => line("writing", format!("not measured: {problem}"))?,
        None => {
            let (files, directories) = (count(estimate.files_per_second), count(estimate.directories_per_second));
            line("writing", format!("{files} files/s, {directories} directories/s, from the same"))?;
        }
    }
    match estimate.seconds_expected.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
        Some(time) => line("time", format!("about {}", duration_text(time)))?,
        None => line("time", "unknown".into())?,
    }
    if let Some(objects) = estimate.objects_per_second {
        line("rate", format!("about {} {RECORDS_NOUN}/s", count_text(objects)))?;
    }
    let (files, directories) = (count_text(plan.target_files), count_text(plan.target_directories));
    line("store", format!("at most {files} files, in about {directories} directories"))?;
    line("disk", needed_text(estimate.space_needed_bytes, Some(estimate.free_bytes), bytes_text))?;
    line("inodes", needed_text(estimate.inodes_needed, estimate.free_inodes, count_text))?;
    line("memory", format!("{} for what is in flight", bytes_text(estimate.memory_bytes)))
}
