//! The end of a run, for people and programs.

use super::arguments::PlaceName;
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::cli::error_output::say_error;
use crate::cli::table::Table;
use crate::db::runner::{PagesDone, RunSummary};
use crate::migration::shell_word;
use crate::migration::units::{bytes_text, count_text};
use crate::observe::Console;

/// Prints the end of a run and returns its exit code. `verb` is what was done to a migration, as in `applied`.
pub fn finish(output: OutputArgs, place: &PlaceName, verb: &str, end: &RunSummary) -> anyhow::Result<u8> {
    let answer = place.in_answer(Answer::new(end));
    let answer = match &end.failure {
        Some(_) => answer.exit(end.exit_code()),
        None => answer.stopped(end.stopped),
    };
    let code = answer.print(output, |table| render(table, place, verb, end))?;
    if let Some(failure) = &end.failure {
        say_error(&failure.what(), None);
        if let Some(text) = &failure.text {
            Console::new().line(&format!("statement: {text}"));
        }
        Console::new().line(&format!("next: {}", failure.next));
    }
    Ok(code)
}

fn render(table: &mut Table, place: &PlaceName, verb: &str, end: &RunSummary) {
    for detail in &end.details {
        table.item(detail.status, &detail.name, format_args!("{:>8} ms", detail.duration_ms));
        if let Some(PagesDone { rows, pages, longest_page_us }) = &detail.pages {
            let (rows, pages, longest_ms) = (count_text(*rows), count_text(*pages), longest_page_us / 1000);
            table.item("", format_args!("{rows} rows in {pages} pages, the longest took {longest_ms} ms"), "");
        }
    }
    if let Some(backup) = &end.backup {
        let bytes = bytes_text(backup.bytes);
        table.row("backup", format_args!("{}, {bytes}, BLAKE3 {}", backup.file, backup.digest));
        table.row("restore", format_args!("stop what uses the database, then: {}", shell_text(&backup.restore)));
    }
    let mut sum = match (end.applied, end.details.is_empty() && !end.stopped) {
        (_, true) => "nothing to do".to_owned(),
        (count, false) => format!("{count} {verb}"),
    };
    for (count, what) in [(end.failed as usize, "failed"), (end.pending.len(), "pending")] {
        if count > 0 {
            sum.push_str(&format!(", {count} {what}"));
        }
    }
    table.line(format_args!("{place}: {sum}"));
}

/// Returns commands in the words of a shell, each of which runs only if the one before succeeded.
fn shell_text(commands: &[Vec<String>]) -> String {
    let text = |words: &Vec<String>| words.iter().map(shell_word).collect::<Vec<_>>().join(" ");
    commands.iter().map(text).collect::<Vec<_>>().join(" && ")
}
