//! `haul space ls`: the spaces of a data directory. Changes nothing.
//!
//! The JSON document has `data_dir` and `spaces`, a list of [`SpaceEntry`].

use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::arguments::{DataArgs, RECORDS_NOUN};
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::cli::table::Table;
use crate::durable::{Disk, RealDisk};
use crate::migration::units::count_text;
use crate::space::data_directory::{SpaceEntry, entry, spaces};

/// `haul space ls`
#[derive(Args)]
pub struct LsCommand {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct List {
    spaces: Vec<SpaceEntry>,
}

impl LsCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let found = spaces(&self.data.data_dir)?;
        let list = List { spaces: found.iter().map(|paths| entry(&disk, paths)).collect() };
        Answer::new(&list).path("data_dir", &self.data.data_dir).print(self.output, |table| {
            list.spaces.iter().for_each(|entry| render(table, entry));
            let (count, directory) = (count_text(list.spaces.len() as u64), self.data.data_dir.display());
            table.line(format_args!("{directory}: {count} spaces"));
        })
    }
}

fn render(table: &mut Table, entry: &SpaceEntry) {
    table.line(&entry.name);
    table.nested(|table| {
        let nodes = entry.nodes.map_or(String::new(), |nodes| format!(", {} {RECORDS_NOUN}", count_text(nodes)));
        table.row("live", format_args!("{}{nodes}", entry.live.as_deref().unwrap_or("unknown")));
        table.bytes("log", entry.log_bytes);
        match (entry.stage, entry.records) {
            (Some(stage), Some(records)) => {
                table.row("last run", format_args!("{stage}, {} records", count_text(records)));
            }
            _ => table.row("last run", "none"),
        }
        entry.problem.iter().for_each(|problem| table.row("problem", problem));
        table.row("next", &entry.next);
    });
}
