//! `haul space export`: the live nodes of a store as a log that Engram reads.
//!
//! The JSON document is an [`ExportEnd`] with `space` (path) and `exit_code`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::arguments::{SpaceArgs, scope};
use crate::cli::arguments::{OutputArgs, WaitArgs};
use crate::cli::command::Answer;
use crate::cli::progress::Watch;
use crate::cli::table::Table;
use crate::durable::RealDisk;
use crate::migration::units::{bytes_text, count_text};
use crate::space::export::{ExportEnd, export};
use crate::space::options::MigrateOptions;

/// `haul space export`
#[derive(Args)]
pub struct ExportCommand {
    #[command(flatten)]
    space: SpaceArgs,
    /// Directory to write wal/ to; it must be empty or not exist yet
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// The store to export [default: the live one, else that of the last run]
    #[arg(long, value_name = "NAME")]
    store: Option<String>,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl ExportCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let paths = self.space.locate()?;
        let watch = Watch::start(self.output)?;
        watch.say(format_args!("exporting {} to {}", paths.root().display(), self.to.display()));
        let end = watch.run_when_free(self.wait, scope(&MigrateOptions::default()), |control| {
            export(Arc::new(RealDisk), &paths, self.store.as_deref(), &self.to, control)
        })?;
        let answer = Answer::new(&end).path("space", paths.root()).stopped(end.stopped);
        answer.print(self.output, |table| render(table, &end))
    }
}

fn render(table: &mut Table, end: &ExportEnd) {
    let path = end.path.display();
    if end.stopped {
        return table.line(format_args!("{path}: stopped; the log was removed"));
    }
    let (count, bytes) = (count_text(end.records), bytes_text(end.bytes));
    table.line(format_args!("{path}: {count} records of {}, {bytes}", end.store));
    if end.memories > 0 {
        let memories = count_text(end.memories);
        table.line(format_args!("{memories} of them are memories, which Engram ignores when it reads the log"));
    }
}
