//! `haul db repair`: copies the checksums of changed files into the ledger.
//!
//! The JSON document has `database`, `environment`, `repaired` (a list of [`Repaired`]) and `log_replaced`. On tenants it is
//! that of [`migrate`](super::migrate) on tenants; `recorded` has what was replaced.

use clap::{ArgGroup, Args};
use serde::Serialize;

use super::arguments::{LimitArgs, MigrationArgs, PlaceName, Work, scope, version};
use super::tenants::{self, Repairs, TenantArgs, TenantWork};
use crate::cli::arguments::{ConsentArgs, OutputArgs};
use crate::cli::command::Answer;
use crate::cli::progress::Watch;
use crate::db::Version;
use crate::db::runner::{ChangedMigration, Repaired};
use crate::migration::Error;

/// `haul db repair`
#[derive(Args)]
#[command(group(ArgGroup::new("which").args(["version", "all", "lost_log"])))]
pub struct RepairCommand {
    #[command(flatten)]
    migrations: MigrationArgs,
    /// The migration whose changed file counts as what was applied
    #[arg(long, value_name = "VERSION", value_parser = version)]
    version: Option<Version>,
    /// All migrations whose files were changed
    #[arg(long)]
    all: bool,
    /// Create an empty log if the table of the log is gone
    #[arg(long)]
    lost_log: bool,
    #[command(flatten)]
    consent: ConsentArgs,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    tenants: TenantArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct RepairEnd {
    #[serde(flatten)]
    database: PlaceName,
    repaired: Vec<Repaired>,
    log_replaced: bool,
}

impl RepairCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        if self.tenants.are_given() {
            return self.run_on_tenants();
        }
        let work = self.migrations.work()?;
        let database = work.place.name();
        if self.lost_log {
            let what = "an empty log is created: what it said about earlier attempts is lost";
            self.consent.confirm(format_args!("{}: {what}", work.place.name()))?;
        } else {
            self.confirm(&work)?;
        }
        let watch = Watch::start(self.output)?;
        let mut runner = work.runner(&self.limits)?;
        let mut end = RepairEnd { database, repaired: Vec::new(), log_replaced: false };
        watch.run(scope(), |control| {
            match self.lost_log {
                true => end.log_replaced = runner.replace_lost_log(control)?,
                false => end.repaired = runner.repair(self.version.as_ref(), control)?,
            }
            Ok::<_, Error>(())
        })?;
        Answer::new(&end).print(self.output, |table| {
            for row in &end.repaired {
                table.line(format_args!("{}: {} instead of {}", row.name, row.to, row.from));
            }
            match (self.lost_log, end.log_replaced) {
                (true, true) => table.line(format_args!("{}: an empty log was created", end.database)),
                (true, false) => table.line(format_args!("{}: no log is lost; nothing to do", end.database)),
                _ => table.line(format_args!("{}: {} repaired", end.database, end.repaired.len())),
            }
        })
    }

    fn run_on_tenants(&self) -> anyhow::Result<u8> {
        let work = TenantWork::new(&self.tenants, &self.migrations)?;
        let Some(work) = work else { return tenants::nothing_to_do(self.output, "repaired") };
        if self.lost_log {
            return tenants::replace_lost_logs(&work, &self.consent, &self.limits, self.output);
        }
        let repairs = Repairs { version: self.version.as_ref(), all: self.all };
        tenants::repair(&work, &repairs, &self.consent, &self.limits, self.output)
    }

    /// Shows what would never run, and asks.
    fn confirm(&self, work: &Work) -> Result<(), Error> {
        let plan = work.plan_to_act()?;
        let changed = plan.to_repair(self.version.as_ref())?;
        if changed.is_empty() {
            return Ok(());
        }
        let lines = changed.iter().flat_map(|changed| {
            let statements = changed.statements(&work.migrations);
            std::iter::once(changed.replacement()).chain(statements)
        });
        let lines: Vec<_> = lines.collect();
        if self.version.is_none() && !self.all {
            return Err(Error::Usage {
                what: format!("these are applied, and their files were changed: {}", names(&changed)),
                next: "name one with --version VERSION, or add --all".into(),
            });
        }
        let what = "this records the text of these files as what was applied, although it is not what was run";
        self.consent.confirm_all(format_args!("{}: {what}", work.place.name()), &lines)
    }
}

fn names(changed: &[&ChangedMigration]) -> String {
    changed.iter().map(|changed| changed.name.as_str()).collect::<Vec<_>>().join(", ")
}
