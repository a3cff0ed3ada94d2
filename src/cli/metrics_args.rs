//! `--metrics-file` and `--metrics-addr`: the metrics of a run while it lasts, and after it.

#[cfg(feature = "serve")]
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::Builder;
use std::time::Duration;

use clap::Args;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

#[cfg(feature = "serve")]
use super::arguments::time;
use crate::durable::RealDisk;
use crate::migration::Error;
use crate::observe::metrics::{DEFAULT_PREFIX, FILE_INTERVAL, MetricsFile, MetricsPrefix, Recorder};
use crate::observe::{Console, Latest};
use crate::pipeline::{NoThread, StopToken};
#[cfg(feature = "serve")]
use crate::serve::{connections::bind, metrics_server::MetricsServer};

/// Name of the thread that writes the file.
const NAME: &str = "haul-metrics-file";
/// How often the thread looks for a run before the first one has begun.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// How long the end of the process waits for the last version of the file, which a disk may hold up.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// Who gets the metrics of a run.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Metrics")]
pub struct MetricsArgs {
    /// Write metrics to this file every 5 seconds and at the end, for a collector of text files
    #[arg(long, value_name = "FILE.prom")]
    metrics_file: Option<PathBuf>,
    /// Serve metrics over HTTP while the command runs
    #[cfg(feature = "serve")]
    #[arg(long, value_name = "IP:PORT")]
    metrics_addr: Option<SocketAddr>,
    /// Serve them on after the end, until they were scraped once, but no longer than this
    #[cfg(feature = "serve")]
    #[arg(long, value_name = "TIME", requires = "metrics_addr", value_parser = time)]
    metrics_linger: Option<Duration>,
    /// Let other computers scrape: metrics hold the names of stores, and nobody has to log in
    #[cfg(feature = "serve")]
    #[arg(long, requires = "metrics_addr")]
    allow_remote: bool,
    /// A name that scrapes may use for this computer, besides its address and localhost
    #[cfg(feature = "serve")]
    #[arg(long = "allow-host", value_name = "NAME", requires = "metrics_addr")]
    hosts: Vec<String>,
    /// How the names of metrics begin
    #[arg(long, value_name = "PREFIX", default_value = DEFAULT_PREFIX)]
    metrics_prefix: MetricsPrefix,
}

/// Shows the metrics of this process. When it is dropped, they show how the run ended.
#[derive(Default)]
pub struct Metrics {
    _file: Option<FileThread>,
    #[cfg(feature = "serve")]
    _server: Option<Server>,
}

impl MetricsArgs {
    /// Refuses to show the metrics of `what`, of which there are none.
    pub fn refuse(&self, what: &str) -> Result<(), Error> {
        #[cfg(feature = "serve")]
        let is_served = self.metrics_addr.is_some();
        #[cfg(not(feature = "serve"))]
        let is_served = false;
        if self.metrics_file.is_none() && !is_served {
            return Ok(());
        }
        Err(Error::Usage {
            what: format!("there are no metrics of {what}"),
            next: "run without --metrics-file and --metrics-addr".into(),
        })
    }

    /// Begins to show the metrics of what the hub puts into `latest`. Nothing else is begun yet, so that options which do
    /// not fit end the command before it has done anything.
    pub fn start(&self, latest: &Latest, stop: &StopToken) -> Result<Metrics, Error> {
        let recorder = Arc::new(Recorder::new(Arc::new(RealDisk), latest.clone()));
        let file = self.metrics_file.as_deref().map(|path| self.file(path)).transpose()?;
        #[cfg(feature = "serve")]
        let server = self.metrics_addr.map(|address| self.server(address, &recorder, stop)).transpose()?;
        #[cfg(not(feature = "serve"))]
        let _ = stop;
        Ok(Metrics {
            _file: file.map(|file| FileThread::start(file, recorder)).transpose()?,
            #[cfg(feature = "serve")]
            _server: server,
        })
    }

    fn file(&self, path: &Path) -> Result<MetricsFile, Error> {
        MetricsFile::new(Arc::new(RealDisk), path, self.metrics_prefix.clone())
    }

    #[cfg(feature = "serve")]
    fn server(&self, address: SocketAddr, recorder: &Arc<Recorder>, stop: &StopToken) -> Result<Server, Error> {
        let listener = bind(address, self.allow_remote)?;
        let recorder = recorder.clone();
        let source = Arc::new(move || recorder.scraped().unwrap_or_default());
        let hosts = self.hosts.clone().into();
        let server = MetricsServer::start(listener, hosts, self.metrics_prefix.clone(), source)?;
        if address.port() == 0 {
            Console::new().line(&format!("metrics at http://{}/metrics", server.address()));
        }
        Ok(Server { server, linger: self.metrics_linger.unwrap_or_default(), stop: stop.clone() })
    }
}

/// Serves metrics until it is dropped, and a while longer.
#[cfg(feature = "serve")]
struct Server {
    server: MetricsServer,
    linger: Duration,
    stop: StopToken,
}

#[cfg(feature = "serve")]
impl Drop for Server {
    fn drop(&mut self) {
        self.server.linger(self.linger, &self.stop);
    }
}

/// Writes the file again and again. A thread of its own waits for the disk.
struct FileThread {
    end: Option<Sender<()>>,
    /// Closed by the thread when it is gone.
    gone: Receiver<()>,
}

impl FileThread {
    fn start(file: MetricsFile, recorder: Arc<Recorder>) -> Result<Self, Error> {
        let (end, ended) = bounded::<()>(0);
        let (gone_sender, gone) = bounded::<()>(0);
        let work = move || {
            let mut writer = Writer { file, recorder, has_failed: false };
            let mut interval = LOOK_INTERVAL;
            while ended.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                interval = if writer.write() { FILE_INTERVAL } else { LOOK_INTERVAL };
            }
            writer.write();
            drop(gone_sender);
        };
        Builder::new().name(NAME.into()).spawn(work).map_err(|source| NoThread { name: NAME, source })?;
        Ok(Self { end: Some(end), gone })
    }
}

/// Writes what the recorder has.
struct Writer {
    file: MetricsFile,
    recorder: Arc<Recorder>,
    has_failed: bool,
}

impl Writer {
    /// Returns false before the first run: a command that ends there leaves the file of an earlier one alone.
    fn write(&mut self) -> bool {
        let Some(scraped) = self.recorder.scraped() else { return false };
        if let Err(error) = self.file.write(&scraped)
            && !std::mem::replace(&mut self.has_failed, true)
        {
            Console::new().line(&format!("note: the file of metrics is not written: {error}"));
        }
        true
    }
}

impl Drop for FileThread {
    fn drop(&mut self) {
        drop(self.end.take());
        let _ = self.gone.recv_timeout(END_PATIENCE);
    }
}
