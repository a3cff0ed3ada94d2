//! `haul cas status`: the state of a target. Changes nothing, also while a run is active.
//!
//! The JSON document is a [`Status`].

use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::arguments::TargetArgs;
use super::generations::write_generations;
use crate::cas::options::CasRules;
use crate::cas::outcome::Counts;
use crate::cas::status::{Holds, RunDetails, Status, status};
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::cli::output::journal_text;
use crate::cli::table::Table;
use crate::durable::RealDisk;
use crate::migration::RunStatus;
use crate::migration::units::{bytes_text, count_text};
use crate::observe::duration_text;

/// `haul cas status`
#[derive(Args)]
pub struct StatusCommand {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl StatusCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let status = status(Arc::new(RealDisk), &self.target.paths()?)?;
        Answer::new(&status).print(self.output, |table| render(table, &status))
    }
}

fn render(table: &mut Table, status: &Status) {
    table.row("target", format_args!("{}: {}", status.target, target_text(status)));
    if let Some(owner) = &status.state.lock_holder {
        table.row("active run", owner);
    }
    match (&status.state.run, &status.state.checkpoint_problem) {
        (Some(run), _) => render_run(table, run),
        (None, Some(problem)) => table.row("last run", format_args!("unknown: {problem}")),
        (None, None) => table.row("last run", "none"),
    }
    if let Some(age_ms) = status.state.checkpoint_age_ms {
        table.row("checkpoint", format_args!("{} ago", duration_text(Duration::from_millis(age_ms))));
    }
    for kept in &status.kept {
        let bytes = kept.bytes.map_or(String::new(), |bytes| format!(", {}", bytes_text(bytes)));
        table.row("kept", format_args!("{}: {}{bytes}", kept.path.display(), kept.what));
    }
    for entry in &status.state.journal {
        table.row("journal", journal_text(entry));
    }
    table.row("next", &status.next);
}

fn render_run(table: &mut Table, run: &RunStatus<CasRules, Counts, RunDetails>) {
    table.row("last run", format_args!("{}, {} found", run.stage, count_text(run.records)));
    table.row("placement", run.rules.placement);
    let RunDetails { source, generations, source_bytes, stored_bytes, .. } = &run.details;
    if let Some(source) = source {
        table.row("source", source);
    }
    table.row("durability", run.durability);
    table.row("blobs", format_args!("{} read, {} stored", bytes_text(*source_bytes), bytes_text(*stored_bytes)));
    table.outcomes(&run.counts);
    write_generations(table, generations);
}

fn target_text(status: &Status) -> String {
    if let Some(problem) = &status.target_problem {
        return problem.clone();
    }
    let text = match (status.holds, status.is_as_sealed) {
        (Holds::Nothing, _) => "nothing",
        (Holds::EmptyDirectory, _) => "an empty directory",
        (Holds::NoDirectory, _) => "not a directory",
        (Holds::Directory, _) => "a directory without an index",
        (Holds::Store, Some(true)) => "the store of the run",
        (Holds::Store, Some(false)) => "a store, but not as the run sealed it",
        (Holds::Store, None) => "a store",
    };
    text.into()
}
