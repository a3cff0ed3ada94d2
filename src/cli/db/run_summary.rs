//! The end of a run, as people and programs read it.

use std::fmt::Write;

use serde::Serialize;

use crate::cli::command_line::quoted;
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::db::runner::{PagesDone, RunSummary};
use crate::migration::exit;
use crate::migration::units::{bytes_text, count_text};
use crate::observe::Console;

#[derive(Serialize)]
struct Document<'a> {
    database: String,
    #[serde(flatten)]
    end: &'a RunSummary,
    exit_code: u8,
}

/// Prints the end of a run and returns its exit code. `verb` is what was done to a migration: `applied`, `reverted`.
pub fn finish(watch: &Watch, json: bool, database: &str, verb: &str, end: &RunSummary) -> anyhow::Result<u8> {
    let document = Document { database: database.to_owned(), end, exit_code: exit_code(end) };
    output::print(json, &document, || text(&document, verb))?;
    if let Some(failure) = &end.failure {
        let console = Console::new();
        console.line(&format!("error: {}", failure.what()));
        if let Some(text) = &failure.text {
            console.line(&format!("statement: {text}"));
        }
        console.line(&format!("next: {}", failure.next));
    } else if end.stopped {
        watch.say_stopped();
    }
    Ok(document.exit_code)
}

/// What went wrong decides; a run that was stopped, or whose database was in use, is to be run again.
fn exit_code(end: &RunSummary) -> u8 {
    match &end.failure {
        Some(failure) if failure.temporary => exit::TEMPORARY,
        Some(_) => exit::FAILED,
        None if end.stopped => exit::TEMPORARY,
        None => exit::OK,
    }
}

fn text(document: &Document<'_>, verb: &str) -> String {
    let mut text = String::new();
    render(&mut text, document, verb).expect("a string takes any text");
    text
}

fn render(text: &mut String, document: &Document<'_>, verb: &str) -> std::fmt::Result {
    let end = document.end;
    for detail in &end.details {
        writeln!(text, "{:<10}{:<50}{:>9} ms", detail.status, detail.name, detail.duration_ms)?;
        if let Some(PagesDone { rows, pages, longest_page_us }) = &detail.pages {
            let (rows, pages) = (count_text(*rows), count_text(*pages));
            writeln!(text, "          {rows} rows in {pages} pages, the longest took {} ms", longest_page_us / 1000)?;
        }
    }
    if let Some(backup) = &end.backup {
        writeln!(text, "backup    {}, {}, BLAKE3 {}", backup.file, bytes_text(backup.bytes), backup.digest)?;
        writeln!(text, "restore   stop what uses the database, then: {}", shell_text(&backup.restore))?;
    }
    write!(text, "{}: ", document.database)?;
    match (end.applied, end.details.is_empty() && !end.stopped) {
        (_, true) => write!(text, "nothing to do")?,
        (count, false) => write!(text, "{count} {verb}")?,
    }
    if end.failed > 0 {
        write!(text, ", {} failed", end.failed)?;
    }
    if !end.pending.is_empty() {
        write!(text, ", {} pending", end.pending.len())?;
    }
    writeln!(text)
}

/// Commands as a shell takes them, each only if the one before succeeded.
fn shell_text(commands: &[Vec<String>]) -> String {
    let text = |words: &Vec<String>| words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
    commands.iter().map(text).collect::<Vec<_>>().join(" && ")
}
