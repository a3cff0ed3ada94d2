//! `haul manifest estimate`: what a migration needs, and how long it takes on this machine.
//!
//! The JSON document is an [`Estimate`](crate::estimate::Estimate).

use std::sync::Arc;

use clap::Args;

use super::arguments::{DurabilityArg, RECORDS_NOUN, ResultArgs, scope};
use super::root::RootArgs;
use crate::cli::arguments::{OutputArgs, ResourceArgs};
use crate::cli::estimate_args::{EstimateArgs, print};
use crate::cli::progress::Watch;
use crate::durable::{Disk, RealDisk};
use crate::manifest::migrate::probe::ManifestProbe;
use crate::manifest::run_options::MigrateOptions;

/// `haul manifest estimate`
#[derive(Args)]
pub struct EstimateCommand {
    #[command(flatten)]
    root: RootArgs,
    #[command(flatten)]
    estimate: EstimateArgs,
    #[command(flatten)]
    result: ResultArgs,
    /// When the migration makes written data durable
    #[arg(long, value_enum, default_value_t = DurabilityArg::Group, value_name = "WHEN", help_heading = "Tuning")]
    durability: DurabilityArg,
    #[command(flatten)]
    resources: ResourceArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl EstimateCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        if let Some(code) = self.estimate.print_history(self.output)? {
            return Ok(code);
        }
        let root = self.root.tree()?;
        let options = self.result.options(root, &self.resources)?;
        let options = MigrateOptions { durability: self.durability.into(), ..options };
        let watch = Watch::start(self.output)?;
        watch.say(format_args!("measuring the disk of {}", root.display()));
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let estimate = watch.run(scope(&self.resources), |control| {
            let probe = ManifestProbe::open(disk.clone(), root, &options, control)?;
            let how = ("manifest", &options.run, options.durability);
            self.estimate.estimate(&*disk, &probe, probe.plan(), how, control)
        })?;
        print(&estimate, RECORDS_NOUN, self.output)
    }
}
