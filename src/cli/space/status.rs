//! `haul space status`: the state of a space. Changes nothing, also while a run is active.
//!
//! The JSON document is a [`Status`] with `records`, the count of the last checkpoint. With `--all` it is that of
//! [`all_spaces`](super::all_spaces).

use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::all_spaces::{OneEnd, each_space};
use super::arguments::{RECORDS_NOUN, SpacesArgs};
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::cli::output::journal_text;
use crate::cli::table::Table;
use crate::durable::RealDisk;
use crate::migration::units::{bytes_text, count_text};
use crate::migration::{Error, exit};
use crate::pipeline::StopToken;
use crate::space::paths::SpacePaths;
use crate::space::status::{Status, StoreStatus, status};

/// `haul space status`
#[derive(Args)]
pub struct StatusCommand {
    #[command(flatten)]
    space: SpacesArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl StatusCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        if self.space.all {
            let (directory, spaces) = self.space.every()?;
            let one = |paths: &SpacePaths| OneEnd::of(paths, StatusEnd::of(paths), |end| (exit::OK, sum_text(end)));
            return each_space(&StopToken::new(), (directory, &spaces), one, self.output);
        }
        let end = StatusEnd::of(&self.space.locate()?)?;
        Answer::new(&end).print(self.output, |table| render(table, &end.status))
    }
}

#[derive(Serialize)]
struct StatusEnd {
    #[serde(flatten)]
    status: Status,
    records: u64,
}

impl StatusEnd {
    fn of(paths: &SpacePaths) -> Result<Self, Error> {
        let status = status(Arc::new(RealDisk), paths)?;
        let records = status.state.run.as_ref().map_or(0, |run| run.records);
        Ok(Self { status, records })
    }
}

/// Says the state of a space in a line.
fn sum_text(StatusEnd { status, records }: &StatusEnd) -> String {
    let live = status.live.as_deref().unwrap_or("unknown");
    let run = match (&status.state.lock_holder, &status.state.run, &status.state.checkpoint_problem) {
        (Some(owner), ..) => format!("active run: {owner}"),
        (None, Some(run), _) => format!("last run {}, {} records", run.stage, count_text(*records)),
        (None, None, Some(problem)) => format!("last run unknown: {problem}"),
        (None, None, None) => "no run".to_owned(),
    };
    format!("live: {live}; {run}; next: {}", status.next)
}

fn render(table: &mut Table, status: &Status) {
    table.row("space", &status.space);
    match (&status.live, &status.pointer_problem) {
        (Some(live), _) => table.row("live", live),
        (None, problem) => {
            table.row("live", format_args!("unknown: {}", problem.as_deref().unwrap_or("no pointer")));
        }
    }
    if let Some(owner) = &status.state.lock_holder {
        table.row("active run", owner);
    }
    match (&status.state.run, &status.state.checkpoint_problem) {
        (Some(run), _) => {
            table.row(
                "last run",
                format_args!("{}, {} records, {}", run.stage, count_text(run.records), run.details.store),
            );
            if run.details.fatal_findings > 0 {
                table.row("", format_args!("{} findings under a policy fail", count_text(run.details.fatal_findings)));
            }
        }
        (None, Some(problem)) => table.row("last run", format_args!("unknown: {problem}")),
        (None, None) => table.row("last run", "none"),
    }
    for store in &status.stores {
        table.row("store", store_text(store));
    }
    if status.staging_bytes > 0 {
        table.row("staging", bytes_text(status.staging_bytes));
    }
    for entry in &status.state.journal {
        table.row("journal", journal_text(entry));
    }
    table.row("next", &status.next);
}

fn store_text(store: &StoreStatus) -> String {
    let nodes = store.nodes.map(|nodes| format!("{} {RECORDS_NOUN}", count_text(nodes)));
    let what: Vec<_> = nodes.into_iter().chain(store.problem.clone()).collect();
    let what = what.join(", ");
    let live = if store.live { ", live" } else { "" };
    format!("{}: {what}, {}{live}", store.name, bytes_text(store.bytes))
}
