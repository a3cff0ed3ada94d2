//! `haul upgrade plan`: phase 0.
//!
//! The JSON document is a [`Plan`] with `plan_file` (path), `digest` and `exit_code`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::request::RequestArgs;
use super::text::render_plan;
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::cli::command_line::same_with_verb;
use crate::cli::progress::Watch;
use crate::durable::RealDisk;
use crate::migration::{Error, exit};
use crate::observe::Scope;
use crate::upgrade::layout::Layout;
use crate::upgrade::plan::{self, Plan, write_dated_plan};
use crate::upgrade::request::UpgradeRequest;

/// `haul upgrade plan`
#[derive(Args)]
pub struct PlanCommand {
    #[command(flatten)]
    request: RequestArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl PlanCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let request = self.request.request()?;
        let watch = Watch::start(self.output)?;
        let plan = assess(&watch, &request)?;
        let file = keep(&request.directory, &plan)?;
        let next = match plan.blocks.first() {
            Some(block) => block.next.clone(),
            None => format!("{}; rows that are written meanwhile need a new plan", same_with_verb("run")),
        };
        let answer = Answer::new(&plan).path("plan_file", &file).with("digest", plan.digest_text());
        answer.exit(exit_code(&plan)).next(next).print(self.output, |table| {
            render_plan(table, &plan);
            table.row("plan", file.display());
        })
    }
}

/// Makes the plan with a view of the progress.
pub fn assess(watch: &Watch, request: &UpgradeRequest) -> Result<Plan, Error> {
    watch.run(Scope::of("rows"), |control| plan::assess(request, &RealDisk, control))
}

/// Writes the plan for people, and returns where it is.
pub fn keep(directory: &Path, plan: &Plan) -> Result<PathBuf, Error> {
    write_dated_plan(&RealDisk, &Layout::of(directory), plan)
}

/// Returns the exit code of a plan: that of the first thing that blocks it.
pub fn exit_code(plan: &Plan) -> u8 {
    plan.blocks.first().map_or(exit::OK, |block| block.exit_code)
}
