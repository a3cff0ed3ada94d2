//! `haul cas health`: which digests and encodings this haul has.

use std::fmt::Write;

use clap::Args;

use crate::cli::arguments::OutputArgs;
use crate::cli::output;
use crate::migration::exit;
use crate::requiem::health::{Health, health};

/// `haul cas health`
#[derive(Args)]
pub struct HealthCommand {
    #[command(flatten)]
    pub output: OutputArgs,
}

impl HealthCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let health = health();
        output::print(self.output.json, &health, || text(&health))?;
        Ok(if health.hash_available { exit::OK } else { exit::FAILED })
    }
}

fn text(health: &Health) -> String {
    let mut text = String::new();
    let available = if health.hash_available { "works" } else { "BROKEN" };
    for (name, value) in [
        ("keys are made by", health.hash_primitive.to_owned()),
        ("which", available.to_owned()),
        ("keys recognised", health.key_algorithms.join(", ")),
        ("encodings", health.compression_capabilities.join(", ")),
        ("layout written", health.cas_version.to_owned()),
    ] {
        writeln!(text, "{name:<20}{value}").expect("a string takes any text");
    }
    text
}
