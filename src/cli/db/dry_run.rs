//! `haul db migrate --dry-run`: what would run, and with `=execute` whether it would succeed.
//!
//! The JSON document has `database`, `would_apply` (a list of [`PendingMigration`]), `not_exercised` and `first_pages_only` (labels), `rehearsal`
//! (a [`RunSummary`](crate::db::runner::RunSummary), or null if nothing was executed) and `exit_code`.

use std::fmt::Write;

use serde::Serialize;

use super::arguments::{CourseArgs, Work, scope};
use crate::cli::arguments::OutputArgs;
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::db::runner::{MigrateRequest, PendingMigration, Plan, RunSummary};
use crate::db::{Runner, script::statement_preview};
use crate::migration::exit;
use crate::observe::Console;

#[derive(Serialize)]
struct Document {
    database: String,
    would_apply: Vec<Shown>,
    not_exercised: Vec<String>,
    first_pages_only: Vec<String>,
    rehearsal: Option<RunSummary>,
    exit_code: u8,
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    migration: PendingMigration,
    /// How each statement begins.
    statement_texts: Vec<String>,
}

/// Prints what would run. With `execute`, runs it where it does not stay.
pub fn dry_run(
    work: Work,
    request: &MigrateRequest,
    plan: &Plan,
    execute: bool,
    course: &CourseArgs,
    output: OutputArgs,
) -> anyhow::Result<u8> {
    let wanted = plan.pending.iter().filter(|pending| request.takes(&pending.version));
    let would_apply: Vec<_> = wanted.map(|pending| shown(&work, pending)).collect();
    let database = work.place.target.to_string();
    let mut document = Document {
        database,
        would_apply,
        not_exercised: Vec::new(),
        first_pages_only: Vec::new(),
        rehearsal: None,
        exit_code: exit::OK,
    };
    if execute {
        let watch = Watch::start(output.progress)?;
        let options = course.options(&work.place);
        let mut runner = Runner::new(work.place.target.rehearse()?, work.migrations, options)?;
        let rehearsal = watch.run(scope(), |control| runner.rehearse(request, control))?;
        document.not_exercised = rehearsal.not_exercised;
        document.first_pages_only = rehearsal.first_pages_only;
        if rehearsal.end.failure.is_some() {
            document.exit_code = exit::FAILED;
        } else if rehearsal.end.stopped {
            document.exit_code = exit::TEMPORARY;
        }
        document.rehearsal = Some(rehearsal.end);
    }
    output::print(output.json, &document, || text(&document))?;
    if let Some(failure) = document.rehearsal.as_ref().and_then(|end| end.failure.as_ref()) {
        Console::new().line(&format!("error: {}", failure.what()));
        Console::new().line(&format!("next: {}", failure.next));
    }
    Ok(document.exit_code)
}

fn shown(work: &Work, pending: &PendingMigration) -> Shown {
    let migration = work.migrations.get(&pending.version);
    let statements = migration.into_iter().flat_map(|migration| migration.up.statements());
    let dialect = work.migrations.dialect();
    let statement_texts =
        statements.map(|(line, text)| format!("{line}: {}", statement_preview(dialect, text))).collect();
    Shown { migration: pending.clone(), statement_texts }
}

fn text(document: &Document) -> String {
    let mut text = String::new();
    render(&mut text, document).expect("a string takes any text");
    text
}

fn render(text: &mut String, document: &Document) -> std::fmt::Result {
    for shown in &document.would_apply {
        let migration = &shown.migration;
        let how = match (migration.no_transaction, migration.batches) {
            (true, _) => " (without a transaction)",
            (false, 0) => "",
            (false, _) => " (in batches)",
        };
        writeln!(text, "{}{how}  {}", migration.name, migration.checksum)?;
        for statement in &shown.statement_texts {
            writeln!(text, "  {statement}")?;
        }
        for destructive in &migration.destructive {
            writeln!(text, "  line {} {}", destructive.line, destructive.what)?;
        }
    }
    writeln!(text, "{}: {} would be applied; nothing was changed", document.database, document.would_apply.len())?;
    if let Some(end) = &document.rehearsal {
        writeln!(text, "executed where nothing stays: {} succeeded, {} failed", end.applied, end.failed)?;
    }
    for name in &document.not_exercised {
        writeln!(text, "not exercised: {name}, since it runs without a transaction")?;
    }
    for name in &document.first_pages_only {
        writeln!(text, "exercised in part: {name}, with the first page of each batch")?;
    }
    Ok(())
}
