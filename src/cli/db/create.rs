//! `haul db create`: writes the file of a new migration.
//!
//! The JSON document has `file` (path).

use clap::Args;
use serde::Serialize;

use super::arguments::MigrationArgs;
use crate::cli::arguments::OutputArgs;
use crate::cli::output;
use crate::db::create;
use crate::durable::RealDisk;
use crate::migration::exit;

/// `haul db create`
#[derive(Args)]
pub struct CreateCommand {
    #[command(flatten)]
    migrations: MigrationArgs,
    /// What the migration does; the file's name is made of it
    #[arg(long, value_name = "NAME")]
    name: String,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Document {
    file: String,
}

impl CreateCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let path = create(&RealDisk, &self.migrations.directory_alone()?, &self.name)?;
        let document = Document { file: path.display().to_string() };
        output::print(self.output.json, &document, || format!("{}\n", document.file))?;
        Ok(exit::OK)
    }
}
