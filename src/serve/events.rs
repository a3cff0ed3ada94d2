//! `/events`: what changes, as server-sent events.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::Instant;

use super::connections::StreamMark;
use super::query::value;
use super::site::Site;
use super::snapshot::Snapshot;
use super::stream;

/// How long a stream is silent at most.
const COMMENT_INTERVAL: Duration = Duration::from_secs(15);
/// What a browser is asked for: to come back two seconds after the end of a stream.
const RETRY: &[u8] = b"retry: 2000\n\n";
const COMMENT: &[u8] = b": still here\n\n";

/// Answers with all changes from now on, and those since a snapshot that the client has seen.
pub async fn events(
    State(site): State<Site>,
    ConnectInfo(mark): ConnectInfo<StreamMark>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let Ok(place) = site.streams.clone().try_acquire_owned() else {
        let wait = [(header::RETRY_AFTER, "5")];
        return (StatusCode::SERVICE_UNAVAILABLE, wait, "too many streams are open\n").into_response();
    };
    let last_id = headers.get("last-event-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let since = last_id.or_else(|| value(query.as_deref(), "since"));
    // A snapshot of an earlier process has any number: then everything is new.
    let newest = site.snapshots.borrow().number;
    let since = since.and_then(|id| id.parse::<u64>().ok()).filter(|&since| since <= newest).unwrap_or(0);
    mark.set();
    let (sender, pieces) = mpsc::channel(1);
    tokio::spawn(feed(site.snapshots.clone(), since, sender, place));
    ([(header::CONTENT_TYPE, "text/event-stream")], stream::body(pieces)).into_response()
}

/// Feeds a stream until its client is gone, or the server ends.
async fn feed(
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    mut since: u64,
    sender: mpsc::Sender<Bytes>,
    _place: OwnedSemaphorePermit,
) {
    let mut piece = Bytes::from_static(RETRY);
    let mut sent_at = Instant::now();
    snapshots.mark_changed();
    loop {
        if !piece.is_empty() {
            if sender.send(piece).await.is_err() {
                return;
            }
            sent_at = Instant::now();
        }
        // The sender of the snapshots is dropped at the end.
        if snapshots.changed().await.is_err() || sender.is_closed() {
            return;
        }
        let snapshot = snapshots.borrow_and_update().clone();
        let is_news = since == 0 || snapshot.has_news_since(since);
        piece = match is_news {
            true => snapshot.news_since(since),
            false if sent_at.elapsed() >= COMMENT_INTERVAL => Bytes::from_static(COMMENT),
            false => Bytes::new(),
        };
        since = snapshot.number;
    }
}
