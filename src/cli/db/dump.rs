//! `haul db dump`: the schema of a database as text. Changes nothing.
//!
//! The JSON document has `database`, `environment`, `digest` (BLAKE3-256 of the text) and `text`.

use std::io::{IsTerminal, stdout};

use clap::Args;

use super::arguments::DatabaseArgs;
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::db::Schema;

/// `haul db dump`
#[derive(Args)]
pub struct DumpCommand {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl DumpCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let place = self.database.place()?;
        let schema = Schema::read(&mut *place.target.open_read_only()?, &place.tables);
        let schema = schema.map_err(|error| error.at(&place.target.to_string()))?;
        let answer = place.name().in_answer(Answer::new(&schema));
        answer.print(self.output, |table| match stdout().is_terminal() {
            // What is read on a terminal is not run; what is run needs each name as it is.
            true => table.lines(&schema.text),
            false => table.text(&schema.text),
        })
    }
}
