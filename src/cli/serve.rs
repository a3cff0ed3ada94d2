//! `haul serve`: pages, JSON and metrics of the migrations below some directories.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::arguments::OutputArgs;
use super::signals::StopOnSignal;
use crate::migration::Error;
use crate::observe::metrics::{DEFAULT_PREFIX, MetricsPrefix};
use crate::pipeline::StopToken;
use crate::serve::connections::bind;
use crate::serve::{Served, serve};

/// The arguments of the command.
#[derive(Args)]
pub struct Serve {
    /// Where to look for migrations: three levels deep
    #[arg(long = "data-dir", value_name = "DIR", required = true)]
    directories: Vec<PathBuf>,
    /// Trees of manifests whose versions are counted
    #[arg(long, value_name = "ROOT")]
    manifests: Vec<PathBuf>,
    /// Where to listen
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:7480")]
    listen: SocketAddr,
    /// Let other computers read everything: nobody has to log in
    #[arg(long)]
    allow_remote: bool,
    /// A name that browsers may use for this computer, besides its address and localhost
    #[arg(long = "allow-host", value_name = "NAME")]
    hosts: Vec<String>,
    /// How the names of metrics begin
    #[arg(long, value_name = "PREFIX", default_value = DEFAULT_PREFIX)]
    metrics_prefix: MetricsPrefix,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl Serve {
    /// Runs the command until it is stopped, and returns its exit code.
    pub fn run(self) -> anyhow::Result<u8> {
        for directory in self.directories.iter().chain(&self.manifests) {
            if !directory.is_dir() {
                return Err(Error::Usage {
                    what: format!("{} is not a directory", directory.display()),
                    next: "give the directory of a store, or one above it".into(),
                }
                .into());
            }
        }
        let listener = bind(self.listen, self.allow_remote)?;
        let address = listener.local_addr()?;
        let stop = StopToken::new();
        let _signals = StopOnSignal::install(stop.clone())?;
        let served = Served {
            directories: self.directories,
            manifests: self.manifests,
            hosts: self.hosts,
            prefix: self.metrics_prefix,
        };
        let output = self.output;
        serve(listener, served, &stop, || output.say(format_args!("serving http://{address}/; to end, press Ctrl-C")))?;
        Ok(0)
    }
}
