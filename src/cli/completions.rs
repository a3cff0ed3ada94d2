//! `haul completions`: prints what makes a shell complete the words of haul.

use clap::{Args, Command};
use clap_complete::{Shell, generate};

use super::arguments::OutputArgs;
use super::output;
use crate::migration::exit;

/// `haul completions`
#[derive(Args)]
pub struct CompletionsCommand {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl CompletionsCommand {
    pub fn run(&self, mut haul: Command) -> anyhow::Result<u8> {
        let mut script = Vec::new();
        generate(self.shell, &mut haul, "haul", &mut script);
        output::bytes(&script)?;
        Ok(exit::OK)
    }
}
