//! `haul db status`: what is applied, pending, changed and missing. Changes nothing.
//!
//! The JSON document is a [`Plan`] and, beside its fields, `database`, `lock`, `other_ledgers` and `exit_code`.

use std::fmt::Write;

use clap::Args;
use serde::Serialize;

use super::arguments::MigrationArgs;
use crate::cli::arguments::OutputArgs;
use crate::cli::output;
use crate::db::database::LockHolder;
use crate::db::foreign_ledgers;
use crate::db::runner::Plan;
use crate::migration::exit;

/// `haul db status`
#[derive(Args)]
pub struct StatusCommand {
    #[command(flatten)]
    migrations: MigrationArgs,
    /// End with 1 if something is pending, and with 65 if something is changed or missing
    #[arg(long)]
    exit_code: bool,
    /// Also show headers, checksums, gaps, and how earlier attempts ended
    #[arg(long)]
    verbose: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Document {
    database: String,
    #[serde(flatten)]
    plan: Plan,
    lock: Option<LockHolder>,
    other_ledgers: Vec<(&'static str, &'static str)>,
    exit_code: u8,
}

impl StatusCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let work = self.migrations.work()?;
        let plan = work.plan()?;
        let place = work.place.target.to_string();
        let mut database = work.place.target.open_read_only()?;
        let lock = database.lock_holder(work.place.tables.ledger())?;
        let other_ledgers = foreign_ledgers(&mut *database).map_err(|error| error.at(&place))?;
        let exit_code = if self.exit_code { exit_code(&plan) } else { exit::OK };
        let document = Document { database: place, plan, lock, other_ledgers, exit_code };
        output::print(self.output.json, &document, || text(&document, self.verbose))?;
        Ok(exit_code)
    }
}

fn exit_code(plan: &Plan) -> u8 {
    if !plan.changed.is_empty() || !plan.missing.is_empty() {
        exit::BAD_DATA
    } else if plan.pending.is_empty() {
        exit::OK
    } else {
        exit::FAILED
    }
}

fn text(document: &Document, verbose: bool) -> String {
    let mut text = String::new();
    render(&mut text, document, verbose).expect("a string takes any text");
    text
}

fn render(text: &mut String, document: &Document, verbose: bool) -> std::fmt::Result {
    let plan = &document.plan;
    for row in &plan.applied {
        let is_changed = plan.changed.iter().any(|changed| changed.version == row.version);
        let is_missing = plan.missing.iter().any(|missing| missing.version == row.version);
        let state = if is_changed {
            "changed"
        } else if is_missing {
            "missing"
        } else {
            "applied"
        };
        writeln!(text, "{state:<9}{:<50} {}", row.name, row.applied_at)?;
        if verbose {
            writeln!(text, "           {} by {} in {} ms", row.checksum, row.applied_by, row.duration_ms)?;
        }
    }
    for pending in &plan.pending {
        let how = if pending.out_of_order { " (out of order)" } else { "" };
        writeln!(text, "pending  {}{how}", pending.name)?;
        if let Some(earlier) = &pending.earlier_attempt {
            writeln!(text, "           {earlier}")?;
        }
        if verbose {
            pending.header.iter().try_for_each(|line| writeln!(text, "           -- {line}"))?;
        }
    }
    if verbose {
        plan.gaps.iter().try_for_each(|(from, to)| writeln!(text, "gap      between {from} and {to}"))?;
    }
    for (table, runner) in &document.other_ledgers {
        writeln!(text, "note     the table {table} looks like that of {runner}; haul leaves it as it is")?;
    }
    if let Some(lock) = &document.lock {
        writeln!(text, "lock     {}", lock.owner)?;
    }
    let counts = [
        (plan.applied.len(), "applied"),
        (plan.pending.len(), "pending"),
        (plan.changed.len(), "changed"),
        (plan.missing.len(), "missing"),
    ];
    let counts: Vec<_> = counts.iter().map(|(count, what)| format!("{count} {what}")).collect();
    writeln!(text, "{}: {}", document.database, counts.join(", "))
}
