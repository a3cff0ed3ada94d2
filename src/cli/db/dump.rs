//! `haul db dump`: the schema of a database as text. Changes nothing.
//!
//! The JSON document has `database`, `digest` (BLAKE3-256 of the text) and `text`.

use clap::Args;
use serde::Serialize;

use super::arguments::DatabaseArgs;
use crate::cli::arguments::OutputArgs;
use crate::cli::output;
use crate::db::Schema;
use crate::migration::exit;

/// `haul db dump`
#[derive(Args)]
pub struct DumpCommand {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Document {
    database: String,
    #[serde(flatten)]
    schema: Schema,
}

impl DumpCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let place = self.database.place()?;
        let database = place.target.to_string();
        let schema = Schema::read(&mut *place.target.open_read_only()?, &place.tables);
        let document = Document { schema: schema.map_err(|error| error.at(&database))?, database };
        output::print(self.output.json, &document, || document.schema.text.clone())?;
        Ok(exit::OK)
    }
}
