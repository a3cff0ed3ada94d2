//! `haul manifest history`: what was done to one file.
//!
//! The JSON document is a [`FileHistory`].

use std::path::PathBuf;

use clap::Args;

use super::arguments::below;
use super::root::FirstRootArgs;
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::cli::table::Table;
use crate::durable::RealDisk;
use crate::manifest::file_history::{FileHistory, Moment, file_history};

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
    for Moment { at, line, what, changes } in history.moments() {
        match line {
            Some((number, run)) => table.line(format_args!("line {number}, run {run}: {what}")),
            None => table.line(format_args!("{}  {what}", at.unwrap_or_default())),
        }
        table.nested(|table| changes.iter().for_each(|change| table.line(change)));
    }
}
