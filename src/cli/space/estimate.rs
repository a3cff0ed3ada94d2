//! `haul space estimate`: what a migration needs, and how long it takes on this machine.
//!
//! The JSON document is an [`Estimate`].

use std::fmt::Write;
use std::sync::Arc;

use clap::Args;

use super::arguments::{PolicyArgs, RECORDS_NOUN, ReaderArgs, SpaceArgs, options};
use crate::cli::arguments::{OutputArgs, ResourceArgs};
use crate::cli::output;
use crate::durable::RealDisk;
use crate::migration::exit;
use crate::migration::units::{bytes_text, count_text};
use crate::observe::{Console, duration_text};
use crate::space::migrate::estimate::{Estimate, estimate};

/// `haul space estimate`
#[derive(Args)]
pub struct EstimateCommand {
    #[command(flatten)]
    space: SpaceArgs,
    #[command(flatten)]
    policies: PolicyArgs,
    #[command(flatten)]
    resources: ResourceArgs,
    #[command(flatten)]
    reader: ReaderArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl EstimateCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let paths = self.space.locate()?;
        if self.output.progress.is_spoken() {
            Console::new().line(&format!("measuring the disks of {}", paths.root().display()));
        }
        let options = options(&self.policies, &self.resources, &self.reader);
        let estimate = estimate(Arc::new(RealDisk), &paths, &options)?;
        output::print(self.output.json, &estimate, || output::text_of(|text| render(text, &estimate)))?;
        Ok(exit::OK)
    }
}

fn render(text: &mut String, estimate: &Estimate) -> std::fmt::Result {
    let plan = &estimate.plan;
    let rate = |bytes: Option<u64>| bytes.map_or("unknown".to_owned(), |bytes| format!("{}/s", bytes_text(bytes)));
    let mut line = |name: &str, value: String| writeln!(text, "{name:<14} {value}");
    line("records", format!("about {} in {}", count_text(plan.records_estimated), bytes_text(plan.source_bytes)))?;
    let sample = bytes_text(estimate.sample_bytes);
    line("reading", format!("{}, from {sample}", rate(estimate.read_bytes_per_second)))?;
    match &estimate.write_problem {
        Some(problem) => line("writing", format!("not measured: {problem}"))?,
        None => line("writing", format!("{}, from the same", rate(estimate.write_bytes_per_second)))?,
    }
    match estimate.seconds_expected.and_then(|seconds| std::time::Duration::try_from_secs_f64(seconds).ok()) {
        Some(time) => line("time", format!("about {}", duration_text(time)))?,
        None => line("time", "unknown".into())?,
    }
    if let Some(nodes) = estimate.nodes_per_second {
        line("rate", format!("about {} {RECORDS_NOUN}/s", count_text(nodes)))?;
    }
    let (needed, free) = (bytes_text(estimate.space_needed_bytes), bytes_text(estimate.free_bytes));
    let verdict = if estimate.fits { "" } else { ": not enough" };
    line("disk", format!("{needed} needed, {free} free{verdict}"))?;
    line("memory", format!("{} for what is in flight", bytes_text(estimate.memory_bytes)))
}
