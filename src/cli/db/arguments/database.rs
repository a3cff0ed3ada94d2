//! The database, as it is named.

use std::time::{Duration, Instant};

use clap::Args;

use super::chosen::Chosen;
use super::place::Place;
use super::server_wait::wait_for_server;
use crate::db::hooks::Hooks;
use crate::db::runner::FilePolicy;
use crate::db::state::Tables;
use crate::db::{Absent, DEFAULT_DATABASE, Target};
use crate::migration::Error;

/// The longest wait for a server: a year, which a clock can hold.
const WAIT_SECONDS_MAX: u64 = 365 * 86_400;

/// The database.
#[derive(Args)]
pub struct DatabaseArgs {
    /// The database: sqlite:PATH, postgres://… or 'host=… dbname=…' [default: DATABASE_URL, or
    /// haul.toml, or sqlite:./haul.db]
    #[arg(long, value_name = "URL")]
    pub(super) database: Option<String>,
    /// Environment in haul.toml [default: HAUL_ENV]
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
    /// PostgreSQL: role to run everything as [default: haul.toml]
    #[arg(long, value_name = "NAME")]
    role: Option<String>,
    /// PostgreSQL: if the server is not up yet, wait this long
    #[arg(long, value_name = "SECONDS", default_value_t = 0, hide_default_value = true)]
    wait_for_server: u64,
    /// Name of the table that records what is applied, also SCHEMA.NAME [default: haul_migrations]
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
}

impl DatabaseArgs {
    /// Returns this database, whatever others are named.
    pub fn place_of(&self, target: Target) -> Result<Place, Error> {
        self.place_with(target, self.chosen()?)
    }

    pub(super) fn chosen(&self) -> Result<Chosen, Error> {
        Chosen::read(self.env.as_deref())
    }

    /// Returns what the arguments, the environment or the settings say; the first of them wins.
    pub fn place(&self) -> Result<Place, Error> {
        let chosen = self.chosen()?;
        let target = match chosen.target(self.database.as_deref())? {
            Some(target) => target,
            None => Target::parse(DEFAULT_DATABASE)?,
        };
        self.place_with(target, chosen)
    }

    /// Returns this database with what else the arguments or the settings say.
    fn place_with(&self, mut target: Target, chosen: Chosen) -> Result<Place, Error> {
        let (environment, settings) = chosen.into_parts();
        let role = self.role.clone().or_else(|| settings.role.clone());
        if let Some(role) = &role {
            target = target.with_role(role)?;
        }
        let wait_until = Instant::now() + Duration::from_secs(self.wait_for_server.min(WAIT_SECONDS_MAX));
        let tables = match self.table.as_ref().or(settings.table.as_ref()) {
            Some(name) => Tables::named(name)?,
            None => Tables::default(),
        };
        tables.require_fit(target.dialect())?;
        let ignores = |how: Option<Absent>| how == Some(Absent::Ignore);
        let files = FilePolicy { ignores_missing: ignores(settings.missing), ignores_newer: ignores(settings.newer) };
        if self.wait_for_server > 0 {
            wait_for_server(&target, wait_until, false)?;
        }
        Ok(Place { target, role, tables, environment, wait_until, files, hooks: Hooks::default(), settings })
    }
}
