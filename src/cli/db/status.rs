//! `haul db status`: shows what is applied, pending, changed and missing. Changes nothing.
//!
//! The JSON document is a [`Plan`] with `database`, `environment`, `encryption`, `seeds` (as its `repeatables`), `lock`, `ledger_schema`, `other_ledgers` and `exit_code`.

use clap::Args;
use serde::Serialize;

use super::arguments::{FileArgs, MigrationArgs, PlaceName};
use super::tenants::{self, TenantArgs, TenantWork};
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::cli::table::Table;
use crate::db::database::{Encryption, LockHolder};
use crate::db::foreign_ledgers::Others;
use crate::db::runner::{FileState, Plan};
use crate::migration::exit;

/// `haul db status`
#[derive(Args)]
pub struct StatusCommand {
    #[command(flatten)]
    migrations: MigrationArgs,
    /// Exit with 1 if something is pending, and with 65 if something is changed or missing
    #[arg(long)]
    exit_code: bool,
    /// Also show headers, checksums, gaps, and how earlier attempts ended
    #[arg(long)]
    verbose: bool,
    #[command(flatten)]
    files: FileArgs,
    #[command(flatten)]
    tenants: TenantArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Status {
    #[serde(flatten)]
    name: PlaceName,
    encryption: Option<Encryption>,
    #[serde(flatten)]
    plan: Plan,
    seeds: Vec<FileState>,
    lock: Option<LockHolder>,
    /// The schema of the ledger, if new tables would be created in another.
    ledger_schema: Option<String>,
    other_ledgers: Vec<(String, &'static str)>,
}

impl StatusCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        if self.tenants.are_given() {
            let work = TenantWork::new(&self.tenants, &self.migrations, &self.files)?;
            let Some(work) = work else { return tenants::nothing_to_do(self.output, "applied") };
            return tenants::status(&work, self.exit_code, self.output);
        }
        let work = self.files.apply(self.migrations.work()?);
        let place = work.place.target.to_string();
        // Everything is read in one transaction, so that a run in between gives no mixture.
        let mut database = work.place.target.open_read_only()?;
        let plan = work.plan_of(&mut *database)?;
        let seeds = match self.migrations.seeds(&work.place)? {
            Some(seeds) => {
                Plan::make(&mut *database, &work.place.tables, &seeds).map_err(|error| error.at(&place))?.files
            }
            None => Vec::new(),
        };
        let lock = database.lock_holder(work.place.tables.ledger())?;
        let tables = &work.place.tables;
        let ledger_schema = tables.find(&mut *database).map_err(|error| error.at(&place))?;
        let ledger_name = tables.ledger().to_owned();
        let others = Others::find(&mut *database, tables).map_err(|error| error.at(&place))?;
        let others = others.ledgers.into_iter().filter(|ledger| !ledger.is_of_haul());
        let other_ledgers = others.map(|ledger| (ledger.table, ledger.runner)).collect();
        let status = Status {
            name: work.place.name(),
            encryption: database.encryption(),
            plan,
            seeds,
            lock,
            ledger_schema,
            other_ledgers,
        };
        drop(database);
        let answer = Answer::new(&status).exit_if(self.exit_code, exit_code(&status.plan));
        answer.print(self.output, |table| render(table, &status, &ledger_name, self.verbose))
    }
}

fn exit_code(plan: &Plan) -> u8 {
    if !plan.changed.is_empty() || !plan.replaced.is_empty() || !plan.missing.is_empty() {
        exit::BAD_DATA
    } else if plan.pending.is_empty() && plan.pending_files().is_empty() {
        exit::OK
    } else {
        exit::FAILED
    }
}

fn render(table: &mut Table, status: &Status, ledger_name: &str, verbose: bool) {
    let plan = &status.plan;
    for row in &plan.applied {
        table.item(plan.state_of(row), &row.name, &row.applied_at);
        for replaced in plan.replaced.iter().filter(|replaced| replaced.version == row.version) {
            table.item("", replaced.replaced_text(), "");
        }
        if verbose {
            let (checksum, by, ms) = (&row.checksum, &row.applied_by, row.duration_ms);
            table.item("", format_args!("{checksum} by {by} in {ms} ms"), "");
        }
    }
    for pending in &plan.pending {
        let how = if pending.out_of_order { " (out of order)" } else { "" };
        table.item("pending", format_args!("{}{how}", pending.name), "");
        pending.earlier_attempt.iter().for_each(|earlier| table.item("", earlier, ""));
        pending.fault.iter().for_each(|fault| table.item("", format_args!("cannot run: {fault}"), ""));
        if verbose {
            pending.header.iter().for_each(|line| table.item("", format_args!("-- {line}"), ""));
        }
    }
    plan.files.iter().chain(&status.seeds).for_each(|file| render_file(table, file, verbose));
    if verbose {
        plan.gaps.iter().for_each(|(from, to)| table.item("gap", format_args!("between {from} and {to}"), ""));
    }
    if let Some(schema) = &status.ledger_schema {
        table.item("note", format_args!("the ledger is {schema}.{ledger_name}"), "");
    }
    for squashed in &plan.squashed {
        let (name, count) = (&squashed.name, squashed.replaces.len());
        let what =
            format!("{name} is in the place of {count} applied migrations; the next `haul db migrate` records that");
        table.item("note", what, "");
    }
    for half in &plan.half_squashed {
        table.item("note", half.what(), "");
    }
    for build in &plan.unfinished_builds {
        table.item("note", format_args!("{}; `{}`", build.what(), build.remedy), "");
    }
    for (ledger, runner) in &status.other_ledgers {
        let what = format!("the table {ledger} is the ledger of {runner}; haul leaves it as it is");
        table.item("note", what, "");
    }
    match status.encryption {
        Some(Encryption::Tls) => table.item("session", "encrypted with TLS", ""),
        Some(Encryption::Off) => table.item("session", "not encrypted", ""),
        Some(Encryption::Socket) | None => {}
    }
    status.lock.iter().for_each(|lock| table.item("lock", &lock.owner, ""));
    let [applied, pending] = [plan.applied.len(), plan.pending.len() + plan.pending_files().len()];
    let [changed, missing] = [plan.changed.len() + plan.replaced.len(), plan.missing.len()];
    let sums = format!("{applied} applied, {pending} pending, {changed} changed, {missing} missing");
    table.line(format_args!("{}: {sums}", status.name));
}

/// Shows a file without a version. One that was changed is to run again, which is no error.
fn render_file(table: &mut Table, file: &FileState, verbose: bool) {
    let (state, how) = match file.state {
        "new" => ("pending", ""),
        "changed" => ("pending", " (changed)"),
        state => (state, ""),
    };
    table.item(state, format_args!("{}{how}", file.name), file.applied_at.as_deref().unwrap_or_default());
    file.fault.iter().for_each(|fault| table.item("", format_args!("cannot run: {fault}"), ""));
    if let Some(checksum) = file.checksum.as_ref().filter(|_| verbose) {
        table.item("", checksum, "");
    }
}
