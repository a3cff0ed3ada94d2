//! `haul db repair`: copies the checksums of changed files into the ledger.
//!
//! The JSON document has `database`, `environment`, `repaired` (a list of [`Repaired`]) and `log_replaced`.

use clap::{ArgGroup, Args};
use serde::Serialize;

use super::arguments::{LimitArgs, MigrationArgs, PlaceName, Work, scope, version};
use crate::cli::arguments::{ConsentArgs, OutputArgs};
use crate::cli::command::Answer;
use crate::cli::progress::Watch;
use crate::db::Version;
use crate::db::runner::{ChangedMigration, Repaired};
use crate::db::script::statement_preview;
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

    /// Shows what would never run, and asks.
    fn confirm(&self, work: &Work) -> Result<(), Error> {
        let plan = work.plan_to_act()?;
        let changed = plan.to_repair(self.version.as_ref())?;
        if changed.is_empty() {
            return Ok(());
        }
        let lines: Vec<_> = changed.iter().flat_map(|changed| shown(work, changed)).collect();
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

fn shown(work: &Work, changed: &ChangedMigration) -> Vec<String> {
    let ChangedMigration { name, file, applied_checksum, checksum, .. } = changed;
    let mut lines = vec![format!("{name} ({file}): {checksum} instead of {applied_checksum}")];
    let statements = work.migrations.get(&changed.version).into_iter().flat_map(|found| found.up.written_statements());
    let dialect = work.migrations.dialect();
    lines.extend(statements.map(|(line, text)| {
        format!("  not run, unless the old text had it: {line}: {}", statement_preview(dialect, &text))
    }));
    lines
}
