//! The report of a migration, as it lies on disk.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::site::{Site, not_found};
use super::stream;
use crate::durable::open_state_file;
use crate::migration::RunDirectory;

/// Length of the pieces in which a report is sent.
const PIECE_BYTES: u64 = 64 << 10;

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
