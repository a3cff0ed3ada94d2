//! `haul space plan`: what a migration would read and need.
//!
//! The JSON document is a [`Plan`] with `free_bytes`: what this user may still write to the file system of the space. With
//! `--all` it is that of [`all_spaces`](super::all_spaces).

use clap::Args;
use serde::Serialize;

use super::all_spaces::{OneEnd, each_space};
use super::arguments::{EmptyArgs, EngineArgs, PolicyArgs, RECORDS_NOUN, ReaderArgs, SpacesArgs, options};
use crate::cli::arguments::{OutputArgs, ResourceArgs};
use crate::cli::command::Answer;
use crate::cli::estimate_text::needed_text;
use crate::cli::progress::Watch;
use crate::cli::table::Table;
use crate::durable::{Disk, RealDisk};
use crate::migration::units::{bytes_text, count_text};
use crate::migration::{Error, exit};
use crate::pipeline::StopToken;
use crate::space::engine::check_engine_is_stopped;
use crate::space::log::source::WalSource;
use crate::space::migrate::plan::{Plan, check_directory, check_pointer, plan};
use crate::space::only_copy::check_log;
use crate::space::options::MigrateOptions;
use crate::space::paths::SpacePaths;

/// `haul space plan`
#[derive(Args)]
pub struct PlanCommand {
    #[command(flatten)]
    space: SpacesArgs,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    empty: EmptyArgs,
    #[command(flatten)]
    policies: PolicyArgs,
    #[command(flatten)]
    resources: ResourceArgs,
    #[command(flatten)]
    reader: ReaderArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl PlanCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        if self.space.all {
            let (directory, spaces) = self.space.every()?;
            let one = |paths: &SpacePaths| OneEnd::of(paths, self.plan(paths), |end| (exit::OK, sum_text(end)));
            return each_space(&StopToken::new(), (directory, &spaces), one, self.output);
        }
        let paths = self.space.locate()?;
        let end = self.plan(&paths)?;
        Answer::new(&end).print(self.output, |table| render(table, &paths, &end.plan, end.free_bytes))
    }

    fn plan(&self, paths: &SpacePaths) -> Result<PlanEnd, Error> {
        let plan = plan_of(paths, &options(&self.policies, &self.resources, &self.reader))?;
        check_pointer(&RealDisk, paths)?;
        check_log(&RealDisk, paths, self.empty.allow_empty)?;
        if !self.engine.engine_stopped {
            check_engine_is_stopped(paths, |text| self.output.say(format_args!("note: {text}")))?;
        }
        Ok(PlanEnd { plan, free_bytes: RealDisk.free_bytes(paths.root())? })
    }
}

#[derive(Serialize)]
struct PlanEnd {
    #[serde(flatten)]
    plan: Plan,
    free_bytes: u64,
}

/// Says the plan of a space in a line.
fn sum_text(PlanEnd { plan, free_bytes }: &PlanEnd) -> String {
    let (records, bytes) = (count_text(plan.records_estimated), bytes_text(plan.source_bytes));
    let needed = needed_text(plan.space_needed_bytes, Some(*free_bytes), bytes_text);
    format!("about {records} {RECORDS_NOUN}, {bytes}; disk {needed}")
}

/// Plans the migration of a space.
pub fn plan_of(paths: &SpacePaths, options: &MigrateOptions) -> Result<Plan, Error> {
    check_directory(paths.root())?;
    plan(paths, &WalSource::open(&paths.log(), options.reader)?, options)
}

/// Says totals and settings before the work begins.
pub fn say_plan(watch: &Watch, plan: &Plan, options: &MigrateOptions) {
    let (records, bytes) = (count_text(plan.records_estimated), bytes_text(plan.source_bytes));
    watch.say(format_args!("total    about {records} {RECORDS_NOUN}, {bytes} in {}", files_text(plan.files.len())));
    watch.say(format_args!(
        "batch size {} | memory budget {} | rate limit {} | workers {}",
        count_text(options.run.batch_records),
        bytes_text(options.run.memory_budget_bytes),
        options.run.rate_limit.map_or("none".to_owned(), |rate| format!("{}/s", count_text(rate.get().into()))),
        options.run.parallel_workers
    ));
}

/// `3 log files`
pub fn files_text(count: usize) -> String {
    if count == 1 { "1 log file".to_owned() } else { format!("{} log files", count_text(count as u64)) }
}

fn render(table: &mut Table, paths: &SpacePaths, plan: &Plan, free_bytes: u64) {
    table.row("space", paths.root().display());
    if !plan.valid_space_name {
        table.row("", "note: Engram takes no directory of this name for a space");
    }
    table.row("source", format_args!("{}, {}", files_text(plan.files.len()), bytes_text(plan.source_bytes)));
    if !plan.linked.is_empty() {
        table.row("", format_args!("note: {} of them are symbolic links", plan.linked.len()));
    }
    for other in &plan.others {
        table.row("not read", format_args!("{} ({})", other.name, bytes_text(other.len_bytes)));
    }
    table.row("records", format_args!("about {}", count_text(plan.records_estimated)));
    table.row("store", format_args!("about {}", bytes_text(plan.target_bytes_estimated)));
    table.row("disk", needed_text(plan.space_needed_bytes, Some(free_bytes), bytes_text));
    table.row("memory budget", bytes_text(plan.memory_budget_bytes));
    table.row("policies", plan.policies);
    table.row("digest", &plan.digest);
}
