//! A report as a page: one file without script and network, for a browser or a printer.

mod charts;
mod sections;

use std::io::{BufReader, Read, Write, copy};
use std::path::Path;

use maud::{DOCTYPE, PreEscaped, html};
use serde::de::IgnoredAny;

use crate::durable::{Attributes, Disk, DiskError, RealDisk, VolatileFile, replace_shared_file};
use crate::migration::report::parts::Grade;
use crate::migration::{Error, report};
use crate::observe::read_at::ReadAt;
use crate::observe::report_document::Document;

/// Name of the page next to the report.
pub const FILE_NAME: &str = "report.html";
/// The style sheet of the page.
pub const STYLE: &str = include_str!("style.css");

/// What the page is part of.
#[derive(Debug, Clone, Copy)]
pub enum Frame<'a> {
    /// Nothing: it is a file that holds all it needs.
    Alone,
    /// A server, which allows no style in a page.
    Served {
        /// Where the server has [`STYLE`].
        style: &'a str,
        /// Where it has an icon.
        icon: &'a str,
        /// The page of the migration.
        migration: &'a str,
    },
}

/// Returns the page of a report of any version. Its memory does not grow with the number of findings.
pub fn page(report: impl Read, frame: Frame<'_>) -> Result<String, serde_json::Error> {
    let document = Document::read(report)?;
    let title =
        format!("{} {}: {}", sections::shown(&document.noun), sections::shown(&document.run_id), document.outcome);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (sections::shown(&title)) }
                @match frame {
                    Frame::Alone => style { (PreEscaped(STYLE)) },
                    Frame::Served { style, icon, .. } => {
                        link rel="stylesheet" href=(style);
                        link rel="icon" href=(icon);
                    },
                }
            }
            body {
                @if let Frame::Served { migration, .. } = frame {
                    nav aria-label="Pages" { a href="/" { "Migrations" } " " a href=(migration) { "This migration" } }
                }
                main {
                    (sections::head(&document))
                    (sections::numbers(&document))
                    (sections::drawn(&document))
                    (sections::outcomes(&document))
                    (sections::attempts(&document))
                    (sections::phases(&document))
                    (sections::stages(&document))
                    (sections::circumstances(&document))
                    (sections::findings(&document))
                    (sections::next(&document))
                }
            }
        }
    };
    Ok(page.into_string())
}

/// The numbers of a report that fit on a screen.
#[derive(Debug)]
pub struct Outline {
    /// Which store.
    pub noun: String,
    /// How the run ended.
    pub outcome: String,
    /// Where the records came from.
    pub source: String,
    /// Where they went.
    pub target: String,
    /// Id of the run.
    pub run_id: String,
    /// Records read.
    pub records_read: u64,
    /// Records by outcome, in the order of the report.
    pub counts: Vec<(String, u64)>,
    /// Seconds that all attempts took.
    pub seconds: f64,
    /// Attempts; 0 in a report of version 1.
    pub attempts: usize,
    /// Bytes written.
    pub target_bytes: u64,
    /// Findings by severity.
    pub findings: Vec<(String, u64)>,
    /// What was expected, and what came of it.
    pub grade: Option<Grade>,
}

/// Returns the outline of the report at `path`.
pub fn outline(disk: &dyn Disk, path: &Path) -> Result<Outline, Error> {
    let document = parsed(disk, path, |report| Document::read(report))?;
    Ok(Outline {
        seconds: document.seconds(),
        attempts: document.attempts.len(),
        noun: document.noun,
        outcome: document.outcome,
        source: document.source,
        target: document.target,
        run_id: document.run_id,
        records_read: document.records_read,
        counts: document.counts.0,
        target_bytes: document.target_bytes,
        findings: document.findings_count.0,
        grade: document.grade,
    })
}

/// Copies the report at `path` to `out`, after it has proved to be one JSON document.
pub fn read_report(disk: &dyn Disk, path: &Path, out: &mut dyn Write) -> Result<(), Error> {
    parsed(disk, path, |report| serde_json::from_reader::<_, IgnoredAny>(report))?;
    let file = disk.open_for_read(path)?;
    let mut reader = ReadAt::new(&*file);
    let copied = copy(&mut reader, out);
    match reader.failed {
        Some(error) => Err(error.into()),
        None => copied
            .map(|_| ())
            .map_err(|source| Error::Disk(DiskError::new("write", Path::new("standard output"), source))),
    }
}

/// Writes the page of the report at `report` to `page_path`, in one durable step. A user who may not read the report may not
/// read the page.
pub fn write_page(disk: &dyn Disk, report: &Path, page_path: &Path) -> Result<(), Error> {
    let page = parsed(disk, report, |report| page(report, Frame::Alone))?;
    let written =
        replace_shared_file(disk, page_path, Attributes::Of(report), |file| file.write_all_at(0, page.as_bytes()));
    Ok(written.map(drop)?)
}

/// Writes the page next to the report in the directory of a run, where there is a report. It is not synced: it can be made
/// again at any time.
pub fn write_next_to_report(directory: &Path) -> Result<(), Error> {
    let report_path = directory.join(report::FILE_NAME);
    if !report_path.is_file() {
        return Ok(());
    }
    let page = parsed(&RealDisk, &report_path, |report| page(report, Frame::Alone))?;
    let path = directory.join(FILE_NAME);
    let written =
        VolatileFile::new(directory, FILE_NAME, report::FILE_NAME).and_then(|file| file.replace(page.as_bytes()));
    written.map_err(|source| DiskError::new("write", &path, source).into())
}

/// Parses the report at `path`.
fn parsed<T>(
    disk: &dyn Disk,
    path: &Path,
    parse: impl FnOnce(&mut BufReader<&mut ReadAt<'_>>) -> Result<T, serde_json::Error>,
) -> Result<T, Error> {
    let file = disk.open_for_read(path)?;
    let mut reader = ReadAt::new(&*file);
    let result = parse(&mut BufReader::new(&mut reader));
    if let Some(error) = reader.failed {
        return Err(error.into());
    }
    result.map_err(|source| Error::State {
        path: path.to_path_buf(),
        what: format!("this is no report of a run: {source}"),
        next: "name the report.json of a run".into(),
        damaged: true,
        source: None,
    })
}

#[cfg(test)]
mod tests;
