//! `haul cas estimate`: what a migration needs, and how long it takes on this machine.
//!
//! The JSON document is an [`Estimate`](crate::estimate::Estimate).

use std::sync::Arc;

use clap::Args;

use super::arguments::{DurabilityArg, LinkArgs, RECORDS_NOUN, ReadBackArg, ResultArgs, SourceTargetArgs, scope};
use crate::cas::migrate::probe::CasProbe;
use crate::cas::options::MigrateOptions;
use crate::cas::paths::TargetPaths;
use crate::cli::arguments::{OutputArgs, ResourceArgs};
use crate::cli::estimate_args::{EstimateArgs, print};
use crate::cli::progress::Watch;
use crate::durable::{Disk, RealDisk};

/// `haul cas estimate`
#[derive(Args)]
pub struct EstimateCommand {
    #[command(flatten)]
    places: SourceTargetArgs,
    #[command(flatten)]
    estimate: EstimateArgs,
    /// How much of the store the migration reads back
    #[arg(long, value_enum, default_value_t = ReadBackArg::Index, value_name = "DEPTH")]
    verify: ReadBackArg,
    /// When the migration makes written data durable
    #[arg(long, value_enum, default_value_t = DurabilityArg::Group, value_name = "WHEN", help_heading = "Tuning")]
    durability: DurabilityArg,
    #[command(flatten)]
    result: ResultArgs,
    #[command(flatten)]
    link: LinkArgs,
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
        let paths = TargetPaths::new(&self.places.target)?;
        let options = MigrateOptions {
            link: self.link.linking(),
            durability: self.durability.into(),
            read_back: self.verify.into(),
            ..self.result.options(&self.resources)
        };
        let watch = Watch::start(self.output)?;
        watch.say(format_args!("measuring the disk of {}", self.places.target.display()));
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let estimate = watch.run(scope(&options), |control| {
            let probe = CasProbe::open(disk.clone(), &self.places.source, &paths, &options, control)?;
            let how = ("cas", &options.run, options.durability);
            self.estimate.estimate(&*disk, &probe, probe.plan(), how, control)
        })?;
        print(&estimate, RECORDS_NOUN, self.output)
    }
}
