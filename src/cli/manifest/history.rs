//! `haul manifest history`: what was done to one file.
//!
//! The JSON document is a [`FileHistory`].

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::arguments::{RootArgs, below};
use crate::cli::arguments::OutputArgs;
use crate::cli::output;
use crate::durable::RealDisk;
use crate::manifest::file_history::{FileHistory, file_history};
use crate::manifest::migrate::ledger::{LedgerEntry, LedgerLine};
use crate::migration::exit;

/// `haul manifest history`
#[derive(Args)]
pub struct HistoryCommand {
    #[command(flatten)]
    root: RootArgs,
    /// The file, relative to the root
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl HistoryCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let file = below(&self.root.root, &self.file)?;
        let history = file_history(&RealDisk, &self.root.root, &file)?;
        output::print(self.output.json, &history, || output::text_of(|text| render(text, &history)))?;
        Ok(exit::OK)
    }
}

fn render(text: &mut String, history: &FileHistory) -> std::fmt::Result {
    writeln!(text, "{}", history.file)?;
    writeln!(text, "sha256  {}", history.sha256.as_deref().unwrap_or("not there"))?;
    for record in &history.records {
        let field = |key: &str| record[key].as_str().unwrap_or("?");
        writeln!(text, "{}  {} → {}", field("applied_at"), field("from_version"), field("to_version"))?;
        let changes = record["changes"].as_array().into_iter().flatten().flat_map(|hop| hop.as_array());
        for change in changes.flatten().filter_map(Value::as_str) {
            writeln!(text, "  {change}")?;
        }
    }
    history.ledger.iter().try_for_each(|line| render_line(text, line))
}

fn render_line(text: &mut String, line: &LedgerLine) -> std::fmt::Result {
    let (number, run) = (line.number, &line.run);
    match &line.entry {
        LedgerEntry::Written(written) => {
            let (from, to, backup) = (&written.from, &written.to, &written.backup);
            writeln!(text, "line {number}, run {run}: written, {from} → {to}, backup {backup}")
        }
        LedgerEntry::Withdrawn { line, .. } => {
            writeln!(text, "line {number}, run {run}: line {line} did not come about")
        }
        LedgerEntry::Restored { line, .. } => writeln!(text, "line {number}, run {run}: line {line} taken back"),
        LedgerEntry::Removed { line, .. } => writeln!(text, "line {number}, run {run}: backup of line {line} removed"),
        LedgerEntry::Began { .. } | LedgerEntry::Ended { .. } | LedgerEntry::Verified => Ok(()),
    }
}
