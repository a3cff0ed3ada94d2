//! `haul db migrate --dry-run`: what would run, and with `=execute` whether it would succeed.
//!
//! The JSON document has `database`, `environment`, `would_apply` (a list of [`PendingMigration`]), `repeatables` (a list of [`FileState`]), `hooks` (each with `when` and `name`), `not_exercised` and `first_pages_only`
//! (labels), `unclear` (each with `name`, `error` and `reason`), `rehearsal` (a [`RunSummary`], or null if nothing was executed) and `exit_code`.

use serde::Serialize;

use super::arguments::{LimitArgs, PlaceName, Work, scope};
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::cli::error_output::say_error;
use crate::cli::progress::Watch;
use crate::cli::table::Table;
use crate::db::hooks::HookTime;
use crate::db::runner::{DestructiveStatement, FileState, MigrateRequest, PendingMigration, Plan, RunSummary, Unclear};
use crate::db::script::statement_preview;
use crate::db::{Dialect, Migration, Runner, RunnerOptions};
use crate::migration::exit;

#[derive(Serialize)]
struct DryRunEnd {
    #[serde(flatten)]
    place: PlaceName,
    would_apply: Vec<Shown>,
    repeatables: Vec<ShownFile>,
    hooks: Vec<ShownHook>,
    not_exercised: Vec<String>,
    #[serde(skip)]
    not_exercised_because: &'static str,
    first_pages_only: Vec<String>,
    unclear: Vec<Unclear>,
    rehearsal: Option<RunSummary>,
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    migration: PendingMigration,
    /// The beginning of each statement.
    statement_texts: Vec<String>,
}

#[derive(Serialize)]
struct ShownFile {
    #[serde(flatten)]
    file: FileState,
    /// The beginning of each statement.
    statement_texts: Vec<String>,
}

/// A hook that would run if anything does.
#[derive(Serialize)]
struct ShownHook {
    when: HookTime,
    /// The file with the SQL, or the program.
    name: String,
}

/// Prints what would run. With `execute`, runs it on a copy or in a transaction that is rolled back.
pub fn dry_run(
    work: Work,
    request: &MigrateRequest,
    plan: &Plan,
    execute: bool,
    limits: &LimitArgs,
    output: OutputArgs,
) -> anyhow::Result<u8> {
    let wanted = plan.pending.iter().filter(|pending| request.takes(&pending.version));
    let would_apply: Vec<_> = wanted.map(|pending| shown(&work, pending)).collect();
    let files = plan.files.iter().filter(|file| request.to.is_none() && file.is_pending());
    let repeatables: Vec<_> = files.map(|file| shown_file(&work, file)).collect();
    let hooks = work.place.hooks.iter().filter(|_| !would_apply.is_empty() || !repeatables.is_empty());
    let hooks = hooks.map(|hook| ShownHook { when: hook.when, name: hook.name() }).collect();
    let mut end = DryRunEnd {
        place: work.place.name(),
        would_apply,
        repeatables,
        hooks,
        not_exercised: Vec::new(),
        not_exercised_because: match work.place.target.dialect() {
            Dialect::Sqlite => "it may change another file",
            Dialect::Postgres => "it runs without a transaction",
        },
        first_pages_only: Vec::new(),
        unclear: Vec::new(),
        rehearsal: None,
    };
    if execute {
        let watch = Watch::start(output)?;
        let options = RunnerOptions { hooks: work.place.hooks.without_commands(), ..limits.options(&work.place) };
        let mut runner = Runner::new(work.place.target.rehearse()?, work.migrations, options)?;
        let rehearsal = watch.run(scope(), |control| runner.rehearse(request, control))?;
        end.not_exercised = rehearsal.not_exercised;
        end.first_pages_only = rehearsal.first_pages_only;
        end.unclear = rehearsal.unclear;
        end.rehearsal = Some(rehearsal.end);
    }
    let failure = end.rehearsal.as_ref().and_then(|end| end.failure.as_ref());
    let is_stopped = end.rehearsal.as_ref().is_some_and(|end| end.stopped);
    let answer = Answer::new(&end).exit_if(failure.is_some(), exit::FAILED).exit_if(is_stopped, exit::TEMPORARY);
    let code = answer.print(output, |table| render(table, &end))?;
    if let Some(failure) = failure {
        say_error(&failure.what(), Some(&failure.next));
    }
    Ok(code)
}

fn shown(work: &Work, pending: &PendingMigration) -> Shown {
    let statement_texts = texts(work, work.migrations.get(&pending.version));
    Shown { migration: pending.clone(), statement_texts }
}

fn shown_file(work: &Work, file: &FileState) -> ShownFile {
    let migration = work.migrations.files().iter().find(|migration| migration.label() == file.name);
    ShownFile { file: file.clone(), statement_texts: texts(work, migration) }
}

/// Returns the beginning of each statement.
fn texts(work: &Work, migration: Option<&Migration>) -> Vec<String> {
    let statements = migration.into_iter().flat_map(|migration| migration.up.written_statements());
    let dialect = work.migrations.dialect();
    statements.map(|(line, text)| format!("{line}: {}", statement_preview(dialect, &text))).collect()
}

fn render(table: &mut Table, end: &DryRunEnd) {
    for Shown { migration, statement_texts } in &end.would_apply {
        let how = match (migration.no_transaction, migration.batches) {
            (true, _) => " (without a transaction)",
            (false, 0) => "",
            (false, _) => " (in batches)",
        };
        table.item("pending", format_args!("{}{how}", migration.name), &migration.checksum);
        render_statements(table, statement_texts, &migration.destructive);
    }
    for ShownFile { file, statement_texts } in &end.repeatables {
        table.item(
            "pending",
            format_args!("{} ({})", file.name, file.state),
            file.checksum.as_deref().unwrap_or_default(),
        );
        render_statements(table, statement_texts, &file.destructive);
    }
    for hook in &end.hooks {
        table.item("hook", format_args!("{} {}", hook.when, hook.name), "");
    }
    table.line(format_args!(
        "{}: {} would be applied; nothing was changed",
        end.place,
        end.would_apply.len() + end.repeatables.len()
    ));
    if let Some(run) = &end.rehearsal {
        table.line(format_args!("rehearsed: {} succeeded, {} failed; nothing of it was kept", run.applied, run.failed));
    }
    for name in &end.not_exercised {
        table.line(format_args!("not rehearsed: {name}, because {}", end.not_exercised_because));
    }
    for unclear in &end.unclear {
        table.line(format_args!("unclear: {}, because {}: {}", unclear.name, unclear.reason, unclear.error));
    }
    for name in &end.first_pages_only {
        table.line(format_args!("rehearsed in part: {name}, with the first page of each batch"));
    }
}

fn render_statements(table: &mut Table, texts: &[String], destructive: &[DestructiveStatement]) {
    table.nested(|table| {
        texts.iter().for_each(|statement| table.line(statement));
        for DestructiveStatement { line, what } in destructive {
            table.line(format_args!("line {line} {what}"));
        }
    });
}
