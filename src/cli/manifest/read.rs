//! `haul manifest read`: a manifest as another version has it. Nothing is written.
//!
//! Standard output gets the document, with `--json` as well: it is JSON. One that cannot be taken there ends with 65.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;

use super::arguments::StepsArgs;
use crate::cli::arguments::OutputArgs;
use crate::cli::output;
use crate::durable::RealDisk;
use crate::manifest::{Mode, TransformOptions, Transformer, Version, read_migrated};
use crate::migration::exit;

/// `haul manifest read`
#[derive(Args)]
pub struct ReadCommand {
    /// The manifest
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The version to show it at [default: the latest]
    #[arg(long, value_name = "V")]
    target_version: Option<Version>,
    /// Show what the original would have written, wherever that is right
    #[arg(long)]
    compat: bool,
    /// The instant of the history record, in RFC 3339 [default: the present one]
    #[arg(long, value_name = "T")]
    now: Option<Timestamp>,
    #[command(flatten)]
    steps: StepsArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl ReadCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let registry = Arc::new(self.steps.registry()?);
        let target = self.target_version.unwrap_or_else(|| registry.latest());
        let mode = if self.compat { Mode::Compat } else { Mode::Strict };
        let options = TransformOptions { mode, named: true, ..TransformOptions::default() };
        let transformer = Transformer::new(registry, target, self.now.unwrap_or_else(Timestamp::now), options)?;
        let bytes = read_migrated(&RealDisk, &self.file, &transformer)?;
        output::bytes(&bytes)?;
        Ok(exit::OK)
    }
}
