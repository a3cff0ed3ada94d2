//! `haul db create-database`: creates the database, if it does not exist.
//!
//! The JSON document has `database`, `environment` and `created`.

use clap::Args;
use serde::Serialize;

use super::arguments::{DatabaseArgs, PlaceName};
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;

/// `haul db create-database`
#[derive(Args)]
pub struct CreateDatabaseCommand {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct CreateEnd {
    #[serde(flatten)]
    database: PlaceName,
    created: bool,
}

impl CreateDatabaseCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let place = self.database.place()?;
        let end = CreateEnd { database: place.name(), created: place.target.create()? };
        Answer::new(&end).print(self.output, |table| {
            let how = if end.created { "created" } else { "exists; nothing to do" };
            table.line(format_args!("{}: {how}", end.database));
        })
    }
}
