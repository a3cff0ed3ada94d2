//! The report of a migration, as it lies on disk and as a page.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::PathBuf;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::page::ICON_ADDRESS;
use super::site::{Site, not_found};
use super::stream;
use crate::durable::open_state_file;
use crate::migration::RunDirectory;
use crate::migration::units::bytes_text;
use crate::observe::report_page::{Frame, page};

/// Length of the pieces in which a report is sent.
const PIECE_BYTES: u64 = 64 << 10;
/// The longest report of which a page is made while somebody waits for it.
const PAGE_OF_BYTES_MAX: u64 = 64 << 20;
/// Where the style sheet of a report is.
pub const STYLE_ADDRESS: &str = "/assets/report.css";

/// Returns where the report of a migration is, if it has one.
fn report_path(site: &Site, id: &str) -> Option<PathBuf> {
    let snapshot = site.snapshot();
    let found = snapshot.find(id).filter(|found| found.report.is_some())?;
    Some(RunDirectory::new(&found.path).report_path())
}

/// Opens the report of a migration, away from the thread that answers.
async fn opened(site: &Site, id: &str) -> Option<File> {
    let path = report_path(site, id)?;
    spawn_blocking(move || open_state_file(&path).ok()).await.ok()?
}

/// Answers with the report, however long it is.
pub async fn report_json(State(site): State<Site>, Path(id): Path<String>) -> Response {
    let Some(mut file) = opened(&site, &id).await else { return not_found() };
    let (sender, pieces) = mpsc::channel(1);
    spawn_blocking(move || {
        loop {
            let mut piece = Vec::new();
            let read = (&mut file).take(PIECE_BYTES).read_to_end(&mut piece);
            // A client that has gone, or a disk that fails: what has come so far is no JSON, which the client sees.
            if read.is_err() || piece.is_empty() || sender.blocking_send(Bytes::from(piece)).is_err() {
                return;
            }
        }
    });
    ([(header::CONTENT_TYPE, "application/json")], stream::body(pieces)).into_response()
}

/// Answers with the report as a page.
pub async fn report_page(State(site): State<Site>, Path(id): Path<String>) -> Response {
    let Some(file) = opened(&site, &id).await else { return not_found() };
    match spawn_blocking(move || page_of(file, &id)).await {
        Ok(Ok(page)) => ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response(),
        Ok(Err(why)) => no_page(&why),
        Err(_) => no_page("nothing could be made of it"),
    }
}

fn page_of(file: File, id: &str) -> Result<String, String> {
    let len_bytes = file.metadata().map_err(|error| error.to_string())?.len();
    if len_bytes > PAGE_OF_BYTES_MAX {
        let len = bytes_text(len_bytes);
        return Err(format!("it is {len} long; `haul report --html FILE` makes a page of it, however long it is"));
    }
    let migration = format!("/m/{id}");
    let frame = Frame::Served { style: STYLE_ADDRESS, icon: ICON_ADDRESS, migration: &migration };
    // It may grow while it is read.
    page(BufReader::new(file.take(PAGE_OF_BYTES_MAX)), frame).map_err(|error| error.to_string())
}

fn no_page(why: &str) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("the report cannot be shown: {why}\n")).into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests lay out files")]

    use super::*;

    #[test]
    fn a_report_that_is_too_long_or_none_has_a_reason_and_no_page() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("report.json");
        let page_of_path = || page_of(File::open(&path).unwrap(), "0123456789abcdef");
        std::fs::write(&path, r#"{"run_id":"r","noun":"cas","outcome":"published"}"#).unwrap();
        assert!(page_of_path().unwrap().contains("cas migration"));
        std::fs::write(&path, "[]").unwrap();
        assert!(page_of_path().is_err());
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(PAGE_OF_BYTES_MAX + 1).unwrap();
        assert!(page_of_path().unwrap_err().contains("haul report --html"));
    }
}
