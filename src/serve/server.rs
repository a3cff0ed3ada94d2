//! The life of `haul serve`: a thread that looks, and the runtime that answers.

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{Builder, sleep};
use std::time::{Duration, Instant};

#[cfg(feature = "manifest")]
use tokio::sync::Semaphore;
use tokio::sync::watch;
use tokio::time::timeout;

use super::connections::{Connections, StreamMark};
use super::routes::routes;
use super::site::Site;
use super::snapshot::Snapshot;
#[cfg(feature = "manifest")]
use super::versions::Versions;
use crate::migration::Error;
use crate::observe::found::Watcher;
use crate::observe::metrics::MetricsPrefix;
use crate::pipeline::{NoThread, StopToken};

/// Name of the thread that looks.
const NAME: &str = "haul-look";
/// Time from one look to the next.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How often that thread looks for a stop.
const STOP_INTERVAL: Duration = Duration::from_millis(50);
/// How long answers that are under way are waited for at the end.
const END_PATIENCE: Duration = Duration::from_secs(2);
/// Threads that read reports, at most.
const READERS_MAX: usize = 4;

/// What is served.
#[derive(Debug)]
pub struct Served {
    /// Directories at and below which migrations are looked for.
    pub directories: Vec<PathBuf>,
    /// Roots of trees of manifests whose versions are counted.
    pub manifests: Vec<PathBuf>,
    /// Host names that requests may have besides addresses.
    pub hosts: Vec<String>,
    /// How the names of metrics begin.
    pub prefix: MetricsPrefix,
}

/// Serves on a bound listener until a stop is requested. `begun` is called when the first request can be answered.
///
/// # Errors
/// If the system gives no thread, or the runtime no place for the listener.
pub fn serve(listener: TcpListener, served: Served, stop: &StopToken, begun: impl FnOnce()) -> Result<(), Error> {
    let failed = |error: std::io::Error| Error::Program {
        what: format!("cannot serve: {error}"),
        next: "raise the limit of open files (ulimit -n), then run the same command again".into(),
        temporary: false,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(READERS_MAX)
        .build()
        .map_err(failed)?;
    let site = Site {
        snapshots: look_from_now_on(served.directories, stop.clone())?,
        hosts: served.hosts.into(),
        streams: Site::streams(),
        prefix: served.prefix,
        #[cfg(feature = "manifest")]
        versions: Versions::start(served.manifests, stop.clone())?,
        #[cfg(feature = "manifest")]
        histories: Arc::new(Semaphore::new(1)),
    };
    runtime.block_on(async {
        let connections = Connections::new(listener).map_err(failed)?;
        let service = routes(site.clone()).into_make_service_with_connect_info::<StreamMark>();
        let until = ended(site.snapshots.clone());
        let answers = axum::serve(connections, service).with_graceful_shutdown(until);
        let answers = tokio::spawn(answers.into_future());
        begun();
        ended(site.snapshots).await;
        // A client that does not read its answer is left behind.
        let _ = timeout(END_PATIENCE, answers).await;
        Ok::<_, Error>(())
    })?;
    runtime.shutdown_background();
    Ok(())
}

/// Returns when no snapshot will follow.
async fn ended(mut snapshots: watch::Receiver<Arc<Snapshot>>) {
    while snapshots.changed().await.is_ok() {}
}

/// Looks once, and from then on every second on a thread of its own, until a stop is requested.
fn look_from_now_on(directories: Vec<PathBuf>, stop: StopToken) -> Result<watch::Receiver<Arc<Snapshot>>, Error> {
    let mut watcher = Watcher::new(directories);
    let (sender, snapshots) = watch::channel(Arc::new(Snapshot::default().next(&mut watcher)));
    let look = move || {
        while waited(&stop) {
            let next = sender.borrow().clone().next(&mut watcher);
            sender.send_replace(Arc::new(next));
        }
    };
    Builder::new().name(NAME.into()).spawn(look).map_err(|source| NoThread { name: NAME, source })?;
    Ok(snapshots)
}

/// Waits until the next look. False: a stop is requested.
fn waited(stop: &StopToken) -> bool {
    let until = Instant::now() + LOOK_INTERVAL;
    while Instant::now() < until && !stop.is_requested() {
        sleep(STOP_INTERVAL);
    }
    !stop.is_requested()
}
