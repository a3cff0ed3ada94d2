//! `haul space estimate`: what a migration needs, and how long it takes on this machine.
//!
//! The JSON document is an [`Estimate`].

use std::sync::Arc;

use clap::Args;

use super::arguments::{PolicyArgs, RECORDS_NOUN, ReaderArgs, SpaceArgs, options};
use crate::cli::arguments::{OutputArgs, ResourceArgs};
use crate::cli::command::Answer;
use crate::cli::estimate_text::{needed_text, time_text};
use crate::cli::table::Table;
use crate::durable::RealDisk;
use crate::migration::units::{bytes_text, count_text};
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
        self.output.say(format_args!("measuring the disks of {}", paths.root().display()));
        let options = options(&self.policies, &self.resources, &self.reader);
        let estimate = estimate(Arc::new(RealDisk), &paths, &options)?;
        Answer::new(&estimate).print(self.output, |table| render(table, &estimate))
    }
}

fn render(table: &mut Table, estimate: &Estimate) {
    let plan = &estimate.plan;
    let rate = |bytes: Option<u64>| bytes.map_or("unknown".to_owned(), |bytes| format!("{}/s", bytes_text(bytes)));
    let (records, bytes) = (count_text(plan.records_estimated), bytes_text(plan.source_bytes));
    table.row("records", format_args!("about {records} in {bytes}"));
    let sample = bytes_text(estimate.sample_bytes);
    table.row("reading", format_args!("{}, from {sample}", rate(estimate.read_bytes_per_second)));
    match &estimate.write_problem {
        Some(problem) => table.row("writing", format_args!("not measured: {problem}")),
        None => table.row("writing", format_args!("{}, from the same sample", rate(estimate.write_bytes_per_second))),
    }
    table.row("time", time_text(estimate.seconds_expected));
    if let Some(nodes) = estimate.nodes_per_second {
        table.row("rate", format_args!("about {} {RECORDS_NOUN}/s", count_text(nodes)));
    }
    table.row("disk", needed_text(estimate.space_needed_bytes, Some(estimate.free_bytes), bytes_text));
    table.row("memory", format_args!("{} for data in flight", bytes_text(estimate.memory_bytes)));
}
