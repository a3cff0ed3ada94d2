//! `haul space publish`: makes a store the live one that was sealed, verified or rolled back before.
//!
//! The JSON document is that of `haul space migrate`.

use std::sync::Arc;

use clap::Args;

use super::arguments::{EmptyArgs, EngineArgs, ReaderArgs, SpaceArgs, scope};
use super::migrate::finish;
use crate::cli::arguments::{OutputArgs, ResourceArgs, WaitArgs};
use crate::cli::metrics_args::MetricsArgs;
use crate::cli::progress::Watch;
use crate::durable::RealDisk;
use crate::space::options::MigrateOptions;
use crate::space::publish::publish;

/// `haul space publish`
#[derive(Args)]
pub struct PublishCommand {
    #[command(flatten)]
    space: SpaceArgs,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    empty: EmptyArgs,
    #[command(flatten)]
    resources: ResourceArgs,
    #[command(flatten)]
    reader: ReaderArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    metrics: MetricsArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl PublishCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let paths = self.space.locate()?;
        let (engine_stopped, allow_empty) = (self.engine.engine_stopped, self.empty.allow_empty);
        let options = MigrateOptions { engine_stopped, allow_empty, ..self.reader.options(&self.resources) };
        let watch = Watch::start(self.output)?.with_metrics(&self.metrics)?;
        watch.say(format_args!("publishing {}", paths.root().display()));
        let end = watch.run_when_free(self.wait, scope(&options), |control| {
            publish(Arc::new(RealDisk), &paths, &options, control)
        })?;
        finish(&paths, &end, self.output)
    }
}
