//! `haul space`: Engram memory spaces.

mod arguments;
mod dry_run;
mod migrate;
mod plan;
mod verify;

use clap::Subcommand;

use super::arguments::OutputArgs;

/// What to do with a space.
#[derive(Subcommand)]
pub enum Verb {
    /// Show what a migration would read and need; reads only
    Plan(plan::PlanCommand),
    /// Migrate a space; run the same command again to go on after a stop
    Migrate(migrate::MigrateCommand),
    /// Read the live store again and compare every digest
    Verify(verify::VerifyCommand),
}

impl Verb {
    /// How the result is to be shown.
    pub fn output(&self) -> OutputArgs {
        match self {
            Self::Plan(command) => command.output,
            Self::Migrate(command) => command.output,
            Self::Verify(command) => command.output,
        }
    }

    /// Does it and returns the exit code.
    pub fn run(self) -> anyhow::Result<u8> {
        match self {
            Self::Plan(command) => command.run(),
            Self::Migrate(command) => command.run(),
            Self::Verify(command) => command.run(),
        }
    }
}
