//! `haul db baseline`: declares migrations applied without running them.
//!
//! The JSON document has `database` and `declared`, a list of labels.

use clap::Args;
use serde::Serialize;

use super::arguments::{CourseArgs, MigrationArgs, scope, version};
use crate::cli::arguments::OutputArgs;
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::db::Version;
use crate::migration::exit;

/// `haul db baseline`
#[derive(Args)]
pub struct BaselineCommand {
    #[command(flatten)]
    migrations: MigrationArgs,
    /// The highest version that the schema already has
    #[arg(value_name = "VERSION", value_parser = version)]
    version: Version,
    #[command(flatten)]
    course: CourseArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Document {
    database: String,
    declared: Vec<String>,
}

impl BaselineCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let work = self.migrations.work()?;
        let database = work.place.target.to_string();
        let watch = Watch::start(self.output.progress)?;
        let mut runner = work.runner(&self.course)?;
        let declared = watch.run(scope(), |control| runner.baseline(&self.version, control))?;
        let document = Document { database, declared };
        output::print(self.output.json, &document, || text(&document))?;
        Ok(exit::OK)
    }
}

fn text(document: &Document) -> String {
    let names: String = document.declared.iter().map(|name| format!("declared {name}\n")).collect();
    format!("{names}{}: {} declared applied, none was run\n", document.database, document.declared.len())
}
