//! `haul db repair`: takes the checksums of changed files over into the ledger.
//!
//! The JSON document has `database` and `repaired`, a list of [`Repaired`].

use clap::Args;
use serde::Serialize;

use super::arguments::{CourseArgs, MigrationArgs, scope};
use crate::cli::arguments::OutputArgs;
use crate::cli::confirm::confirm;
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::db::runner::Repaired;
use crate::migration::exit;

/// `haul db repair`
#[derive(Args)]
pub struct RepairCommand {
    #[command(flatten)]
    migrations: MigrationArgs,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    course: CourseArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Document {
    database: String,
    repaired: Vec<Repaired>,
}

impl RepairCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let work = self.migrations.work()?;
        let changed: Vec<_> = work.plan_to_act()?.changed.into_iter().map(|changed| changed.file).collect();
        if !changed.is_empty() {
            let what = "this takes the text of these files for what was applied, though it is not what was run";
            confirm(&format!("{what}:\n  {}", changed.join("\n  ")), self.yes)?;
        }
        let database = work.place.target.to_string();
        let watch = Watch::start(self.output.progress)?;
        let mut runner = work.runner(&self.course)?;
        let repaired = watch.run(scope(), |control| runner.repair(control))?;
        let document = Document { database, repaired };
        output::print(self.output.json, &document, || text(&document))?;
        Ok(exit::OK)
    }
}

fn text(document: &Document) -> String {
    let rows: String =
        document.repaired.iter().map(|row| format!("{}: {} instead of {}\n", row.name, row.to, row.from)).collect();
    format!("{rows}{}: {} repaired\n", document.database, document.repaired.len())
}
