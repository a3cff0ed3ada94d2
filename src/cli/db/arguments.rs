//! Arguments that the commands of SQL migrations share.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::db::backup::{BackupMode, BackupPolicy};
use crate::db::runner::{Plan, TIMEOUT_DEFAULT};
use crate::db::script::{Examined, examine_directory, read_directory};
use crate::db::state::Tables;
use crate::db::{
    DEFAULT_DATABASE, DbSettings, Dialect, Migrations, Runner, RunnerOptions, SETTINGS_FILE, Target, Version,
};
use crate::migration::Error;
use crate::observe::Scope;

/// The name of the records of a run.
const RECORDS_NOUN: &str = "migrations";
/// The environment variable that names the database.
const DATABASE_VARIABLE: &str = "DATABASE_URL";
const DIRECTORY_DEFAULT: &str = "./migrations";

/// The database.
#[derive(Args)]
pub struct DatabaseArgs {
    /// The database: sqlite:PATH or postgres://… [default: DATABASE_URL, or haul.toml, or sqlite:./haul.db]
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Name of the table that records what is applied [default: haul_migrations]
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
}

/// The migrations and their database.
#[derive(Args)]
pub struct MigrationArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// Directory of the migration files [default: haul.toml, or ./migrations]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// The limits of a run.
#[derive(Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// Seconds that a migration may take, unless its file says otherwise; 0 means no limit [default: 30]
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// Seconds to wait for another run to end
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    lock_timeout: u64,
    /// Maximum number of rows of batches per second [default: no limit]
    #[arg(long, value_name = "ROWS")]
    rate_limit: Option<NonZeroU32>,
}

/// Whether to copy the database first.
#[derive(Args)]
#[command(next_help_heading = "Backup")]
pub struct BackupArgs {
    /// When to make a copy first: auto copies SQLite before data is destroyed, required copies any before any change
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = BackupWhen::Auto, hide_possible_values = true)]
    backup: BackupWhen,
    /// Where to put it [default: next to a SQLite database, the working directory for PostgreSQL]
    #[arg(long, value_name = "DIR")]
    backup_dir: Option<PathBuf>,
}

/// When to make a copy.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq)]
enum BackupWhen {
    Required,
    Auto,
    Never,
}

/// The database, its tables and the settings of the directory.
pub struct Place {
    pub target: Target,
    pub tables: Tables,
    settings: DbSettings,
}

/// What a command works on.
pub struct Work {
    pub place: Place,
    pub migrations: Migrations,
}

impl DatabaseArgs {
    /// Returns what the arguments, the environment or the settings say; the first of them wins.
    pub fn place(&self) -> Result<Place, Error> {
        let settings = DbSettings::read(Path::new(SETTINGS_FILE))?;
        // An empty variable is one that a script has cleared.
        let from_environment = std::env::var(DATABASE_VARIABLE).ok().filter(|url| !url.is_empty());
        let url = self.database.clone().or(from_environment).or_else(|| settings.database.clone());
        let target = Target::parse(url.as_deref().unwrap_or(DEFAULT_DATABASE))?;
        let tables = match self.table.as_ref().or(settings.table.as_ref()) {
            Some(name) => Tables::named(name)?,
            None => Tables::default(),
        };
        Ok(Place { target, tables, settings })
    }
}

impl MigrationArgs {
    /// Returns the database, and the migrations in its SQL.
    pub fn work(&self) -> Result<Work, Error> {
        let place = self.database.place()?;
        let directory = self.directory(&place.settings);
        let migrations = read_directory(place.target.dialect(), &directory)?;
        Ok(Work { place, migrations })
    }

    /// Returns the migrations that can be read, and what is wrong with the others. Opens no database.
    pub fn examine(&self) -> Result<Examined, Error> {
        let place = self.database.place()?;
        examine_directory(place.target.dialect(), &self.directory(&place.settings))
    }

    /// Returns the directory of the migrations, which need not exist.
    pub fn directory_alone(&self) -> Result<PathBuf, Error> {
        Ok(self.directory(&DbSettings::read(Path::new(SETTINGS_FILE))?))
    }

    fn directory(&self, settings: &DbSettings) -> PathBuf {
        self.dir.clone().or_else(|| settings.dir.clone()).unwrap_or_else(|| DIRECTORY_DEFAULT.into())
    }
}

impl Work {
    /// Opens the database for a run that changes nothing of what others have stored.
    pub fn runner(self, limits: &LimitArgs) -> Result<Runner, Error> {
        self.runner_with(limits, BackupPolicy::default())
    }

    /// Opens the database for a run that may begin with a backup.
    pub fn runner_with(self, limits: &LimitArgs, backup: BackupPolicy) -> Result<Runner, Error> {
        let options = RunnerOptions { backup, ..limits.options(&self.place) };
        Runner::new(self.place.target.open()?, self.migrations, options)
    }

    /// Returns what a run is about to do. Completes what a run that was killed left open.
    pub fn plan_to_act(&self) -> Result<Plan, Error> {
        self.place.target.recover()?;
        self.plan()
    }

    /// Returns what a run would do.
    pub fn plan(&self) -> Result<Plan, Error> {
        let mut database = self.place.target.open_read_only()?;
        let plan = Plan::make(&mut *database, &self.place.tables, &self.migrations);
        plan.map_err(|error| error.at(&self.place.target.to_string()))
    }
}

impl BackupArgs {
    /// Returns what a run does.
    pub fn policy(&self) -> BackupPolicy {
        let mode = match self.backup {
            BackupWhen::Required => BackupMode::Required,
            BackupWhen::Auto => BackupMode::Auto,
            BackupWhen::Never => BackupMode::Never,
        };
        BackupPolicy { mode, directory: self.backup_dir.clone() }
    }

    /// Returns what to say about the backup before data is destroyed.
    pub fn consent_text(&self, dialect: Dialect) -> &'static str {
        match (self.policy().is_due(dialect, true), self.backup) {
            (true, _) => "a backup is made first",
            (false, BackupWhen::Never) => "no backup is made",
            (false, _) => "no backup is made without --backup required",
        }
    }
}

impl LimitArgs {
    /// Returns the options of a run.
    pub fn options(&self, place: &Place) -> RunnerOptions {
        let given = self.timeout.or(place.settings.timeout_s).map(Duration::from_secs);
        let timeout = given.unwrap_or(TIMEOUT_DEFAULT);
        RunnerOptions {
            tables: place.tables.clone(),
            timeout: Some(timeout).filter(|timeout| !timeout.is_zero()),
            concurrent_timeout: given.filter(|timeout| !timeout.is_zero()),
            lock_wait: Duration::from_secs(self.lock_timeout),
            rows_per_second: self.rate_limit,
            ..RunnerOptions::default()
        }
    }
}

/// Returns what the view of a run needs to know.
pub fn scope() -> Scope {
    Scope::of(RECORDS_NOUN)
}

/// Parses a version.
pub fn version(text: &str) -> Result<Version, String> {
    text.parse().map_err(|error: crate::db::NotAVersion| error.to_string())
}
