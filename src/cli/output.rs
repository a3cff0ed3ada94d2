//! Standard output: data and nothing else.

use std::io::{self, ErrorKind, Write, stdout};

use anyhow::Context;
use serde::Serialize;

use super::arguments::OutputArgs;
use super::table::Table;
use crate::durable::RealDisk;
use crate::migration::units::count_text;
use crate::migration::{
    Error, Finding, Findings, FindingsCount, FirstFindings, JournalEntry, RunDirectory, escaped_json,
};

/// Findings that the text shows; the document has more.
const FINDINGS_SHOWN_MAX: usize = 20;

/// Prints a result: as one JSON document, or as text.
pub fn print(json_wanted: bool, document: &impl Serialize, text: impl FnOnce() -> String) -> anyhow::Result<()> {
    if json_wanted { json(document) } else { bytes(text().as_bytes()) }
}

/// Prints one JSON document.
pub fn json(document: &impl Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(document).context("cannot render the result")?;
    text.push('\n');
    bytes(escaped_json(&text).as_bytes())
}

/// Prints bytes as they are.
pub fn bytes(bytes: &[u8]) -> anyhow::Result<()> {
    let write_all = || -> io::Result<()> {
        let mut out = stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    };
    match write_all() {
        // A reader that closed the pipe has what it wanted: the command ends as it would have.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to standard output"),
    }
}

/// Lets `write` print what is too large for one text, and returns its result; `None` if the reader closed the pipe.
pub fn stream<T>(write: impl FnOnce(&mut dyn Write) -> Result<T, Error>) -> Result<Option<T>, Error> {
    match write(&mut stdout().lock()) {
        Err(Error::Disk(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(None),
        result => result.map(Some),
    }
}

/// Writes how many findings there are, then the worst of those at hand, a line each: `refused: <place>: <reason>`.
pub fn write_findings(
    table: &mut Table,
    count: &FindingsCount,
    findings: &[Finding],
    place: impl Fn(&Finding) -> String,
) {
    if count.sum() == 0 {
        return table.row("findings", "none");
    }
    table.row("findings", format_args!("{} fatal, {} refused, {} noted", count.fatal, count.refused, count.note));
    // The text shows only a few, so those that cost something come first.
    let mut worst_first: Vec<_> = findings.iter().collect();
    worst_first.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    table.nested(|table| {
        for finding in worst_first.into_iter().take(FINDINGS_SHOWN_MAX) {
            table.line(format_args!("{}: {}: {}", finding.severity, place(finding), finding.reason));
        }
        write_more(table, count.sum(), FINDINGS_SHOWN_MAX);
    });
}

/// Writes the findings of a run, if there are any.
pub fn write_findings_of_run(table: &mut Table, findings: &FirstFindings, place: impl Fn(&Finding) -> String) {
    if findings.count.sum() > 0 {
        write_findings(table, &findings.count, &findings.first, place);
    }
}

/// Says the worst findings of a run that ended because of them.
pub fn say_findings(
    output: OutputArgs,
    directory: &RunDirectory,
    place: impl Fn(&Finding) -> String,
) -> Result<(), Error> {
    let log = Findings::whole(&RealDisk, directory.findings_path())?;
    let mut findings = FirstFindings::read(&RealDisk, &log)?;
    findings.first.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    for finding in findings.first.iter().take(FINDINGS_SHOWN_MAX) {
        output.say(format_args!("{}: {}: {}", finding.severity, place(finding), finding.reason));
    }
    Ok(())
}

/// Says how many of `all` are not shown.
pub fn write_more(table: &mut Table, all: u64, shown: usize) {
    let more = all.saturating_sub(shown as u64);
    if more > 0 {
        table.line(format_args!("… and {} more", count_text(more)));
    }
}

/// Returns an entry of the journal as a line: `2026-11-21T01:18:00.000Z stage-reached published`.
pub fn journal_text(entry: &JournalEntry) -> String {
    let stage = entry.detail.get("stage").and_then(|stage| stage.as_str()).unwrap_or_default();
    format!("{} {} {stage}", entry.at, entry.event).trim_end().to_owned()
}
