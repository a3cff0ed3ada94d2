//! `haul cas status`: where a target stands. Changes nothing, also while a run is active.
//!
//! The JSON document is a [`Status`].

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::arguments::TargetArgs;
use super::generations::write_generations;
use crate::cas::options::CasRules;
use crate::cas::outcome::Counts;
use crate::cas::status::{Holds, RunDetails, Status, status};
use crate::cli::arguments::OutputArgs;
use crate::cli::journal::journal_text;
use crate::cli::output;
use crate::durable::RealDisk;
use crate::migration::units::{bytes_text, count_text};
use crate::migration::{RunStatus, exit};
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
        output::print(self.output.json, &status, || output::text_of(|text| render(text, &status)))?;
        Ok(exit::OK)
    }
}

fn render(text: &mut String, status: &Status) -> std::fmt::Result {
    line(text, "target", &format!("{}: {}", status.target, target_text(status)))?;
    if let Some(owner) = &status.state.lock_holder {
        line(text, "active run", owner)?;
    }
    match (&status.state.run, &status.state.checkpoint_problem) {
        (Some(run), _) => render_run(text, run)?,
        (None, Some(problem)) => line(text, "last run", &format!("unknown: {problem}"))?,
        (None, None) => line(text, "last run", "none")?,
    }
    if let Some(age_ms) = status.state.checkpoint_age_ms {
        line(text, "checkpoint", &format!("{} ago", duration_text(Duration::from_millis(age_ms))))?;
    }
    for kept in &status.kept {
        let bytes = kept.bytes.map_or(String::new(), |bytes| format!(", {}", bytes_text(bytes)));
        line(text, "kept", &format!("{}: {}{bytes}", kept.path.display(), kept.what))?;
    }
    for entry in &status.state.journal {
        line(text, "journal", &journal_text(entry))?;
    }
    line(text, "next", &status.next)
}

fn line(text: &mut String, name: &str, value: &str) -> std::fmt::Result {
    writeln!(text, "{name:<12} {value}")
}

fn render_run(text: &mut String, run: &RunStatus<CasRules, Counts, RunDetails>) -> std::fmt::Result {
    line(text, "last run", &format!("{}, {} found", run.stage, count_text(run.records)))?;
    line(text, "placement", &run.rules.placement.to_string())?;
    let RunDetails { source, generations, source_bytes, stored_bytes, .. } = &run.details;
    if let Some(source) = source {
        line(text, "source", source)?;
    }
    line(text, "durability", &run.durability.to_string())?;
    line(text, "blobs", &format!("{} read, {} stored", bytes_text(*source_bytes), bytes_text(*stored_bytes)))?;
    for count in run.counts.to_string().lines() {
        writeln!(text, "  {count}")?;
    }
    write_generations(text, generations)
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
        (Holds::Store, Some(false)) => "a store, and not as the run has sealed it",
        (Holds::Store, None) => "a store",
    };
    text.into()
}
