//! `haul space plan`: what a migration would read and need.
//!
//! The JSON document is a [`Plan`] and, beside its fields, `free_bytes`: what this user may still write to the file
//! system of the space.

use std::fmt::Write;

use clap::Args;
use serde::Serialize;

use super::arguments::{PolicyArgs, ReaderArgs, SpaceArgs, options};
use crate::cli::arguments::{OutputArgs, ResourceArgs};
use crate::cli::output;
use crate::durable::{Disk, RealDisk};
use crate::migration::units::{bytes_text, count_text};
use crate::migration::{Error, exit};
use crate::space::log::source::WalSource;
use crate::space::migrate::plan::{Plan, check_directory, plan};
use crate::space::options::MigrateOptions;
use crate::space::paths::SpacePaths;

/// `haul space plan`
#[derive(Args)]
pub struct PlanCommand {
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

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    plan: &'a Plan,
    free_bytes: u64,
}

impl PlanCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let paths = self.space.locate()?;
        let plan = plan_of(&paths, &options(&self.policies, &self.resources, &self.reader))?;
        let free_bytes = RealDisk.free_bytes(paths.root()).map_err(Error::from)?;
        let document = Document { plan: &plan, free_bytes };
        output::print(self.output.json, &document, || text(&paths, &plan, free_bytes))?;
        Ok(exit::OK)
    }
}

/// Plans the migration of a space.
pub fn plan_of(paths: &SpacePaths, options: &MigrateOptions) -> Result<Plan, Error> {
    check_directory(paths.root())?;
    plan(paths, &WalSource::open(&paths.log(), options.reader)?, options)
}

/// `3 log files`.
pub fn files_text(count: usize) -> String {
    if count == 1 { "1 log file".to_owned() } else { format!("{} log files", count_text(count as u64)) }
}

fn text(paths: &SpacePaths, plan: &Plan, free_bytes: u64) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        writeln!(text, "{name:<15} {value}").expect("a string takes any text");
    };
    line("space", paths.root().display().to_string());
    if !plan.valid_space_name {
        line("", "note: Engram takes no directory of this name for a space".into());
    }
    line("source", format!("{}, {}", files_text(plan.files.len()), bytes_text(plan.source_bytes)));
    if !plan.linked.is_empty() {
        line("", format!("note: {} of them are symbolic links", plan.linked.len()));
    }
    for other in &plan.others {
        line("not read", format!("{} ({})", other.name, bytes_text(other.len_bytes)));
    }
    line("records", format!("about {}", count_text(plan.records_estimated)));
    line("store", format!("about {}", bytes_text(plan.target_bytes_estimated)));
    line("disk", format!("{} needed, {} free", bytes_text(plan.space_needed_bytes), bytes_text(free_bytes)));
    line("memory budget", bytes_text(plan.memory_budget_bytes));
    line("policies", plan.policies.to_string());
    line("digest", plan.digest.clone());
    text
}
