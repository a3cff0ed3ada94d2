//! `haul manifest status`: the state of a tree. Changes nothing, also while a run is active.
//!
//! The JSON document is a [`Status`] with `root`.

use std::path::Path;

use clap::Args;

use super::arguments::RootArgs;
use super::text::write_counts;
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::cli::output::journal_text;
use crate::cli::table::Table;
use crate::durable::RealDisk;
use crate::manifest::outcome::Counts;
use crate::manifest::run_options::ManifestRules;
use crate::manifest::status::{RunDetails, Status, status};
use crate::migration::{RunStatus, Stage};

/// `haul manifest status`
#[derive(Args)]
pub struct StatusCommand {
    #[command(flatten)]
    root: RootArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl StatusCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let root = self.root.existing()?;
        let status = status(&RealDisk, root)?;
        Answer::new(&status).path("root", root).print(self.output, |table| render(table, root, &status))
    }
}

fn render(table: &mut Table, root: &Path, status: &Status) {
    table.row("root", root.display());
    if let Some(owner) = &status.state.lock_holder {
        table.row("active run", owner);
    }
    match (&status.state.run, &status.state.checkpoint_problem) {
        (Some(run), _) => render_run(table, run),
        (None, Some(problem)) => table.row("last run", format_args!("unknown: {problem}")),
        (None, None) => table.row("last run", "none"),
    }
    for entry in &status.state.journal {
        table.row("journal", journal_text(entry));
    }
    table.row("next", &status.next);
}

fn render_run(table: &mut Table, run: &RunStatus<ManifestRules, Counts, RunDetails>) {
    let how = if run.stage == Stage::Running { "; the same command resumes it" } else { "" };
    table.row("last run", format_args!("{}, {}{how}", run.run_id, run.stage));
    table.row("target version", run.rules.target_version);
    write_counts(table, run.records, &run.counts);
}
