//! `haul manifest status`: where a tree stands.
//!
//! The JSON document is a [`Status`] and `root`.

use std::fmt::Write;

use clap::Args;
use serde::Serialize;

use super::arguments::RootArgs;
use super::text::write_counts;
use crate::cli::arguments::OutputArgs;
use crate::cli::journal::journal_text;
use crate::cli::output;
use crate::durable::RealDisk;
use crate::manifest::outcome::Counts;
use crate::manifest::run_options::ManifestRules;
use crate::manifest::status::{RunDetails, Status, status};
use crate::migration::{RunStatus, Stage, exit};

/// `haul manifest status`
#[derive(Args)]
pub struct StatusCommand {
    #[command(flatten)]
    root: RootArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Document<'a> {
    root: String,
    #[serde(flatten)]
    status: &'a Status,
}

impl StatusCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let status = status(&RealDisk, &self.root.root)?;
        let document = Document { root: self.root.root.display().to_string(), status: &status };
        output::print(self.output.json, &document, || output::text_of(|text| render(text, &document)))?;
        Ok(exit::OK)
    }
}

fn render(text: &mut String, document: &Document<'_>) -> std::fmt::Result {
    let (status, next) = (&document.status.state, &document.status.next);
    if let Some(holder) = &status.lock_holder {
        writeln!(text, "{}: a run is active: {holder}", document.root)?;
    }
    match (&status.run, &status.checkpoint_problem) {
        (Some(run), _) => render_run(text, &document.root, run)?,
        (None, Some(problem)) => writeln!(text, "{}: the last run is unknown: {problem}", document.root)?,
        (None, None) => writeln!(text, "{}: no run so far", document.root)?,
    }
    status.journal.iter().try_for_each(|entry| writeln!(text, "{}", journal_text(entry)))?;
    writeln!(text, "next    {}", next)
}

fn render_run(text: &mut String, root: &str, run: &RunStatus<ManifestRules, Counts, RunDetails>) -> std::fmt::Result {
    let how = if run.stage == Stage::Running { "; the same command continues it" } else { "" };
    writeln!(text, "{root}: {}{how}", run.stage)?;
    writeln!(text, "run     {}", run.run_id)?;
    writeln!(text, "{:<28}{:>18}", "target version", run.rules.target_version.to_string())?;
    write_counts(text, run.records, &run.counts)
}
