//! Where a command works: the database, its tables and the settings.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;

use super::placeholders::PlaceholderArgs;
use crate::cli::command::Answer;
use crate::db::hooks::Hooks;
use crate::db::runner::FilePolicy;
use crate::db::script::{examine_seeds, require_environment_name};
use crate::db::state::Tables;
use crate::db::{DbSettings, Migrations, Target};
use crate::migration::Error;

const SEEDS_DEFAULT: &str = "./seeds";

/// The database, its tables and the settings of the directory.
pub struct Place {
    pub target: Target,
    /// The role that everything runs as.
    pub(super) role: Option<String>,
    pub tables: Tables,
    /// Until when to wait for the server.
    pub(super) wait_until: Instant,
    /// What to do about applied migrations that have no file.
    pub files: FilePolicy,
    /// The environment, such as `staging`.
    pub environment: Option<String>,
    /// What runs before and after migrations; empty for commands that have no hooks.
    pub hooks: Hooks,
    pub(super) settings: DbSettings,
}

/// The name of the database, and that of the environment.
#[derive(Serialize)]
pub struct PlaceName {
    pub database: String,
    pub environment: Option<String>,
}

impl PlaceName {
    /// Adds both to an answer.
    pub fn in_answer<'a, E: Serialize>(&self, answer: Answer<'a, E>) -> Answer<'a, E> {
        answer.with("database", self.database.as_str()).with("environment", self.environment.as_deref())
    }
}

impl fmt::Display for PlaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.environment {
            Some(environment) => write!(f, "{environment}, {}", self.database),
            None => f.write_str(&self.database),
        }
    }
}

impl Place {
    /// Lets everything on another database run as the same role.
    pub fn in_role(&self, target: Target) -> Result<Target, Error> {
        self.role.iter().try_fold(target, |target, role| target.with_role(role))
    }

    /// Returns the directory of the seeds, which need not exist.
    pub(super) fn seed_directory(&self, named: Option<&Path>) -> PathBuf {
        named.or(self.settings.seeds.as_deref()).unwrap_or(Path::new(SEEDS_DEFAULT)).to_path_buf()
    }

    /// Returns the seeds in a directory for the environment of the database.
    pub(super) fn seeds(&self, directory: &Path, placeholders: &PlaceholderArgs) -> Result<Migrations, Error> {
        let environment = self.environment.as_deref();
        environment.map_or(Ok(()), require_environment_name)?;
        let placeholders = placeholders.values(&self.settings)?;
        Ok(examine_seeds(self.target.dialect(), directory, environment, &placeholders)?.into_migrations()?)
    }

    /// Returns the name of the database, and that of the environment.
    pub fn name(&self) -> PlaceName {
        PlaceName { database: self.target.to_string(), environment: self.environment.clone() }
    }

    /// Returns the patterns of objects that `drift` leaves out.
    pub fn ignored(&self) -> &[String] {
        &self.settings.ignore
    }
}
