//! `haul cas health`: which digests and encodings this haul has.
//!
//! The JSON document is a [`Health`], in the words of the reference.

use clap::Args;

use crate::cli::arguments::OutputArgs;
use crate::cli::output;
use crate::cli::table::Table;
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
        output::print(self.output.json, &health, || Table::render(|table| render(table, &health)))?;
        Ok(if health.hash_available { exit::OK } else { exit::FAILED })
    }
}

fn render(table: &mut Table, health: &Health) {
    table.row("keys are computed by", health.hash_primitive);
    table.row("which", if health.hash_available { "works" } else { "BROKEN" });
    table.row("keys recognised", health.key_algorithms.join(", "));
    table.row("encodings", health.compression_capabilities.join(", "));
    table.row("layout written", health.cas_version);
}
