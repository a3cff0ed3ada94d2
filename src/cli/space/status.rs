//! `haul space status`: where a space stands. Changes nothing, also while a run is active.
//!
//! The JSON document is a [`Status`] and, beside its fields, `records`: how many the last checkpoint holds.

use std::fmt::Write;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::arguments::{RECORDS_NOUN, SpaceArgs};
use crate::cli::arguments::OutputArgs;
use crate::cli::journal::journal_text;
use crate::cli::output;
use crate::durable::RealDisk;
use crate::migration::exit;
use crate::migration::units::{bytes_text, count_text};
use crate::space::status::{Status, StoreStatus, status};

/// `haul space status`
#[derive(Args)]
pub struct StatusCommand {
    #[command(flatten)]
    space: SpaceArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    status: &'a Status,
    records: u64,
}

impl StatusCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let paths = self.space.locate()?;
        let status = status(Arc::new(RealDisk), &paths)?;
        let records = status.state.run.as_ref().map_or(0, |run| run.records);
        output::print(self.output.json, &Document { status: &status, records }, || {
            output::text_of(|text| render(text, &status))
        })?;
        Ok(exit::OK)
    }
}

fn render(text: &mut String, status: &Status) -> std::fmt::Result {
    let mut line = |name: &str, value: &str| writeln!(text, "{name:<12} {value}");
    line("space", &status.space)?;
    match (&status.live, &status.pointer_problem) {
        (Some(live), _) => line("live", live)?,
        (None, problem) => line("live", &format!("unknown: {}", problem.as_deref().unwrap_or("no pointer")))?,
    }
    if let Some(owner) = &status.state.lock_holder {
        line("active run", owner)?;
    }
    match (&status.state.run, &status.state.checkpoint_problem) {
        (Some(run), _) => {
            line("last run", &format!("{}, {} records, {}", run.stage, count_text(run.records), run.details.store))?;
            if run.details.fatal_findings > 0 {
                line("", &format!("{} findings under a policy fail", count_text(run.details.fatal_findings)))?;
            }
        }
        (None, Some(problem)) => line("last run", &format!("unknown: {problem}"))?,
        (None, None) => line("last run", "none")?,
    }
    for store in &status.stores {
        line("store", &store_text(store))?;
    }
    if status.staging_bytes > 0 {
        line("staging", &bytes_text(status.staging_bytes))?;
    }
    for entry in &status.state.journal {
        line("journal", &journal_text(entry))?;
    }
    line("next", &status.next)
}

fn store_text(store: &StoreStatus) -> String {
    let what = match (&store.nodes, &store.problem) {
        (Some(nodes), _) => format!("{} {RECORDS_NOUN}", count_text(*nodes)),
        (None, problem) => problem.clone().unwrap_or_default(),
    };
    let live = if store.live { ", live" } else { "" };
    format!("{}: {what}, {}{live}", store.name, bytes_text(store.bytes))
}
