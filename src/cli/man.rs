//! `haul man`: the manual, a page for each command, made from the same definition as the help.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Command};
use clap_mangen::Man;

use super::arguments::OutputArgs;
use super::output;
use crate::durable::{RealDisk, create_directory_durable, replace_file};
use crate::migration::exit;

/// `haul man`
#[derive(Args)]
pub struct ManCommand {
    /// Write a page for each command into this directory; without it, print the page of haul itself
    directory: Option<PathBuf>,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl ManCommand {
    pub fn run(&self, mut haul: Command) -> anyhow::Result<u8> {
        // Names of pages need the names of the commands above, which clap fills in now.
        haul.build();
        match &self.directory {
            None => output::bytes(&page(&haul)?)?,
            Some(directory) => {
                create_directory_durable(&RealDisk, directory)?;
                write_pages(directory, &haul)?;
            }
        }
        Ok(exit::OK)
    }
}

fn write_pages(directory: &Path, command: &Command) -> anyhow::Result<()> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    replace_file(&RealDisk, &directory.join(format!("{name}.1")), &page(command)?)?;
    command
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .try_for_each(|command| write_pages(directory, command))
}

fn page(command: &Command) -> anyhow::Result<Vec<u8>> {
    let mut page = Vec::new();
    let man = Man::new(command.clone()).manual("haul").source(concat!("haul ", env!("CARGO_PKG_VERSION")));
    man.render(&mut page).context("cannot render the page")?;
    Ok(page)
}
