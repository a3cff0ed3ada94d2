//! `haul db create`: writes the file of a new migration.
//!
//! The JSON document has `file` (path).

use clap::Args;

use super::arguments::MigrationArgs;
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::db::create;
use crate::durable::RealDisk;

/// `haul db create`
#[derive(Args)]
pub struct CreateCommand {
    #[command(flatten)]
    migrations: MigrationArgs,
    /// What the migration does; it becomes part of the file name
    #[arg(long, value_name = "NAME")]
    name: String,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl CreateCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let path = create(&RealDisk, &self.migrations.directory_alone()?, &self.name)?;
        Answer::new(&()).path("file", &path).print(self.output, |table| table.line(path.display()))
    }
}
