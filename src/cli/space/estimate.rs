//! `haul space estimate`: what a migration needs, and how long it takes on this machine.
//!
//! The JSON document is an [`Estimate`](crate::estimate::Estimate).

use std::sync::Arc;

use clap::Args;

use super::arguments::{PolicyArgs, RECORDS_NOUN, ReadBack, ReaderArgs, SpaceArgs, options, scope};
use crate::cli::arguments::{OutputArgs, ResourceArgs};
use crate::cli::estimate_args::{EstimateArgs, print};
use crate::cli::progress::Watch;
use crate::durable::{Disk, RealDisk};
use crate::migration::Durability;
use crate::space::migrate::probe::SpaceProbe;
use crate::space::options::MigrateOptions;

/// `haul space estimate`
#[derive(Args)]
pub struct EstimateCommand {
    #[command(flatten)]
    space: SpaceArgs,
    #[command(flatten)]
    estimate: EstimateArgs,
    /// How much of the store the migration reads back
    #[arg(long, value_enum, default_value_t = ReadBack::Blocks, value_name = "DEPTH")]
    verify: ReadBack,
    #[command(flatten)]
    policies: PolicyArgs,
    #[command(flatten)]
    resources: ResourceArgs,
    #[command(flatten)]
    reader: ReaderArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl EstimateCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        if let Some(code) = self.estimate.print_history(self.output)? {
            return Ok(code);
        }
        let paths = self.space.locate()?;
        let options = options(&self.policies, &self.resources, &self.reader);
        let options = MigrateOptions { verify_depth: self.verify.into(), ..options };
        let watch = Watch::start(self.output)?;
        watch.say(format_args!("measuring the disk of {}", paths.root().display()));
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let estimate = watch.run(scope(&options), |control| {
            let probe = SpaceProbe::open(disk.clone(), &paths, &options)?;
            let how = ("space", &options.run, Durability::Group);
            self.estimate.estimate(&*disk, &probe, probe.plan(), how, control)
        })?;
        print(&estimate, RECORDS_NOUN, self.output)
    }
}
