//! `haul manifest history`: what was done to one file.
//!
//! The JSON document is a [`FileHistory`].

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::arguments::below;
use super::root::FirstRootArgs;
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::cli::table::Table;
use crate::durable::RealDisk;
use crate::manifest::file_history::{FileHistory, file_history};
use crate::manifest::migrate::ledger::{LedgerEntry, LedgerLine};

/// `haul manifest history`
#[derive(Args)]
pub struct HistoryCommand {
    #[command(flatten)]
    root: FirstRootArgs,
    /// The file, relative to the root
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl HistoryCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let file = below(self.root.with_runs()?, &self.file)?;
        let history = file_history(&RealDisk, self.root.with_runs()?, &file)?;
        Answer::new(&history).print(self.output, |table| render(table, &history))
    }
}

fn render(table: &mut Table, history: &FileHistory) {
    table.line(&history.file);
    table.row("sha256", history.sha256.as_deref().unwrap_or("not there"));
    for record in &history.records {
        let field = |key: &str| record[key].as_str().unwrap_or("?");
        table.line(format_args!("{}  {} → {}", field("applied_at"), field("from_version"), field("to_version")));
        let changes = record["changes"].as_array().into_iter().flatten().flat_map(|hop| hop.as_array());
        let changes = changes.flatten().filter_map(Value::as_str);
        table.nested(|table| changes.for_each(|change| table.line(change)));
    }
    for line in &history.ledger {
        if let Some(what) = entry_text(line) {
            table.line(format_args!("line {}, run {}: {what}", line.number, line.run));
        }
    }
}

/// Describes an entry of the ledger that is about a file.
fn entry_text(line: &LedgerLine) -> Option<String> {
    match &line.entry {
        LedgerEntry::Written(written) => {
            let (from, to, backup) = (&written.from, &written.to, &written.backup);
            Some(format!("written, {from} → {to}, backup {backup}"))
        }
        LedgerEntry::Withdrawn { line, .. } => Some(format!("line {line} was not carried out")),
        LedgerEntry::Restored { line, .. } => Some(format!("line {line} rolled back")),
        LedgerEntry::Removed { line, .. } => Some(format!("backup of line {line} removed")),
        LedgerEntry::Accepted { .. } => Some("accepted as it was".to_owned()),
        LedgerEntry::Began { .. } | LedgerEntry::Ended { .. } | LedgerEntry::Verified { .. } => None,
    }
}
