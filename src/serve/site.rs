//! What all answers share.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::sync::{Semaphore, watch};

use super::guard::AllowedHosts;
use super::snapshot::Snapshot;
#[cfg(feature = "manifest")]
use super::versions::Versions;
use crate::observe::metrics::MetricsPrefix;

/// Streams that may be open at a time.
const STREAMS_MAX: usize = 16;

/// What every answer is made from.
#[derive(Clone)]
pub struct Site {
    /// The newest snapshot.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// Host names that requests may have besides addresses.
    pub hosts: AllowedHosts,
    /// A permit for each stream.
    pub streams: Arc<Semaphore>,
    /// How the names of metrics begin.
    pub prefix: MetricsPrefix,
    /// The versions of manifests.
    #[cfg(feature = "manifest")]
    pub versions: Arc<Versions>,
}

impl Site {
    /// Returns a permit for each stream that may be open.
    pub fn streams() -> Arc<Semaphore> {
        Arc::new(Semaphore::new(STREAMS_MAX))
    }

    /// Returns the newest snapshot.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshots.borrow().clone()
    }
}

/// Returns the answer to an address that leads nowhere.
pub fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "there is nothing here\n").into_response()
}
