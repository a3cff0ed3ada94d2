//! The end of a run on tenants, for people and programs.

use crate::cli::arguments::OutputArgs;
use crate::cli::command::{Answer, say_stopped};
use crate::cli::error_output::say_error;
use crate::cli::table::Table;
use crate::db::tenants::{Outcome, OutcomeCounts, TenantRun, TenantsSummary};
use crate::migration::exit;
use crate::observe::Console;

/// The maximum number of failures that are shown one by one; the document has all of them.
const FAILURES_SHOWN_MAX: usize = 10;

/// Prints the end of a run and returns its exit code. `verb` is what was done to a migration, as in `applied`.
pub fn finish(output: OutputArgs, verb: &str, end: &TenantsSummary) -> anyhow::Result<u8> {
    let code = Answer::new(end).exit(end.exit_code()).print(output, |table| render(table, verb, end))?;
    let is_wrong = |run: &&TenantRun| matches!(run.outcome, Outcome::Failed | Outcome::Locked);
    let wrong: Vec<_> = end.tenants.iter().filter(is_wrong).collect();
    for run in wrong.iter().take(FAILURES_SHOWN_MAX) {
        say_failure(run);
    }
    let console = Console::new();
    if let Some(more) = wrong.len().checked_sub(FAILURES_SHOWN_MAX).filter(|more| *more > 0) {
        console.line(&format!("{more} more tenants have failed; --json lists all of them"));
    }
    if end.stopped && code == exit::TEMPORARY {
        return Ok(say_stopped());
    }
    if code != exit::OK {
        console.line(
            "next: remove the causes and run the same command again: it goes on with the tenants that are not done",
        );
    }
    Ok(code)
}

/// Prints the end of a command that has no tenants and accepts that.
pub fn nothing_to_do(output: OutputArgs, verb: &str) -> anyhow::Result<u8> {
    finish(output, verb, &TenantsSummary::default())
}

fn say_failure(run: &TenantRun) {
    let error = run.error.as_deref().unwrap_or_default();
    say_error(&format!("{}: {error}", run.tenant), None);
    let failure = run.run.as_ref().and_then(|run| run.failure.as_ref());
    if let Some(text) = failure.and_then(|failure| failure.text.as_ref()) {
        Console::new().line(&format!("statement: {text}"));
    }
    if let Some(next) = &run.next {
        Console::new().line(&format!("next: {next}"));
    }
}

fn render(table: &mut Table, verb: &str, end: &TenantsSummary) {
    for run in &end.tenants {
        let what = match (&run.run, run.outcome) {
            (_, Outcome::Pending) => "was not begun".to_owned(),
            (Some(of), _) => format!("{} {verb}", of.applied),
            (None, Outcome::Done | Outcome::NothingToDo) => format!("{} {verb}", run.recorded.len()),
            (None, _) => String::new(),
        };
        let state = if run.outcome == Outcome::NothingToDo { "no work" } else { run.outcome.name() };
        table.item(state, &run.tenant, format_args!("{what:<16}{:>8} ms", run.duration_ms));
        run.recorded.iter().for_each(|change| table.item("", change, ""));
        let backup = run.run.as_ref().and_then(|run| run.backup.as_ref());
        if let Some(backup) = backup {
            table.item("", format_args!("backup {}, BLAKE3 {}", backup.file, backup.digest), "");
        }
    }
    let OutcomeCounts { total, done, nothing_to_do, failed, locked, stopped, pending } = end.counts;
    let mut sum = format!("{total} tenants: {done} done, {nothing_to_do} with nothing to do");
    for (count, what) in
        [(failed, "failed"), (locked, "in use by another run"), (stopped, "stopped"), (pending, "not begun")]
    {
        if count > 0 {
            sum.push_str(&format!(", {count} {what}"));
        }
    }
    table.line(format_args!("{sum}; {} migrations {verb}", end.applied));
}
