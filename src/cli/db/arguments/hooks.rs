//! Whether hooks run.

use clap::Args;

use super::place::Place;
use super::work::Work;
use crate::db::Migrations;
use crate::db::hooks::Hooks;
use crate::migration::Error;

/// Whether hooks run.
#[derive(Args)]
pub struct HookArgs {
    /// Run no hooks of haul.toml
    #[arg(long)]
    no_hooks: bool,
}

impl HookArgs {
    /// Reads the hooks of `haul.toml` into `work`, unless they are not wanted.
    pub fn apply(&self, mut work: Work) -> Result<Work, Error> {
        work.place.hooks = self.read(&work.place, &work.migrations)?;
        Ok(work)
    }

    /// Reads the hooks of `haul.toml`, unless they are not wanted.
    pub fn read(&self, place: &Place, migrations: &Migrations) -> Result<Hooks, Error> {
        match self.no_hooks {
            true => Ok(Hooks::default()),
            false => Ok(Hooks::read(migrations.dialect(), &place.settings.hooks, migrations.placeholders())?),
        }
    }
}
