//! `haul db repair`: copies the checksums of changed files into the ledger.
//!
//! The JSON document has `database` and `repaired` (a list of [`Repaired`]).

use clap::Args;
use serde::Serialize;

use super::arguments::{LimitArgs, MigrationArgs, scope};
use crate::cli::arguments::{ConsentArgs, OutputArgs};
use crate::cli::command::Answer;
use crate::cli::progress::Watch;
use crate::db::runner::Repaired;

/// `haul db repair`
#[derive(Args)]
pub struct RepairCommand {
    #[command(flatten)]
    migrations: MigrationArgs,
    #[command(flatten)]
    consent: ConsentArgs,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct RepairEnd {
    database: String,
    repaired: Vec<Repaired>,
}

impl RepairCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let work = self.migrations.work()?;
        let changed: Vec<_> = work.plan_to_act()?.changed.into_iter().map(|changed| changed.file).collect();
        if !changed.is_empty() {
            let what = "this records the text of these files as what was applied, although it is not what was run";
            self.consent.confirm_all(what, &changed)?;
        }
        let database = work.place.target.to_string();
        let watch = Watch::start(self.output)?;
        let mut runner = work.runner(&self.limits)?;
        let repaired = watch.run(scope(), |control| runner.repair(control))?;
        let end = RepairEnd { database, repaired };
        Answer::new(&end).print(self.output, |table| {
            for row in &end.repaired {
                table.line(format_args!("{}: {} instead of {}", row.name, row.to, row.from));
            }
            table.line(format_args!("{}: {} repaired", end.database, end.repaired.len()));
        })
    }
}
