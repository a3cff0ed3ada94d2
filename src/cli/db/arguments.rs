//! Arguments that the commands of SQL migrations share.

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::chosen::Chosen;
use crate::cli::command::Answer;
use crate::db::backup::{BackupMode, BackupPolicy};
use crate::db::runner::{FilePolicy, Plan, TIMEOUT_DEFAULT};
use crate::db::script::{Examined, Folders, examine_directory};
use crate::db::state::Tables;
use crate::db::{Absent, DEFAULT_DATABASE, DbSettings, Dialect, Migrations, Runner, RunnerOptions, Target, Version};
use crate::migration::Error;
use crate::observe::Scope;

/// The name of the records of a run.
const RECORDS_NOUN: &str = "migrations";
/// The longest wait for a server: a year, which a clock can hold.
const WAIT_SECONDS_MAX: u64 = 365 * 86_400;
const DIRECTORY_DEFAULT: &str = "./migrations";

/// The database.
#[derive(Args)]
pub struct DatabaseArgs {
    /// The database: sqlite:PATH, postgres://… or 'host=… dbname=…' [default: DATABASE_URL, or
    /// haul.toml, or sqlite:./haul.db]
    #[arg(long, value_name = "URL")]
    database: Option<String>,
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

/// The migrations and their database.
#[derive(Args)]
pub struct MigrationArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// Directory of the migration files [default: haul.toml, or ./migrations]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Read the folders in it too, with those of Prisma and Diesel
    #[arg(long)]
    recursive: bool,
}

/// What to do about applied migrations that have no file.
#[derive(Args)]
#[command(next_help_heading = "Files")]
pub struct FileArgs {
    /// What an applied migration without a file is: an error, or ignored [default: haul.toml, or error]
    #[arg(long, value_name = "HOW", value_enum, hide_possible_values = true)]
    missing: Option<Absent>,
    /// The same for one above all files, as after a return to an older release [default: haul.toml, or error]
    #[arg(long, value_name = "HOW", value_enum, hide_possible_values = true)]
    newer: Option<Absent>,
}

impl FileArgs {
    /// Sets in `work` what was chosen.
    pub fn apply(&self, work: Work) -> Work {
        let files = work.place.files;
        let ignores = |chosen: Option<Absent>, set: bool| chosen.map_or(set, |how| how == Absent::Ignore);
        let files = FilePolicy {
            ignores_missing: ignores(self.missing, files.ignores_missing),
            ignores_newer: ignores(self.newer, files.ignores_newer),
        };
        Work { place: Place { files, ..work.place }, ..work }
    }
}

/// The limits of a run.
#[derive(Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// Seconds that a migration may take, unless its file says otherwise; 0 means no limit [default: 30]
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// If another run holds the lock, wait for it this long
    #[arg(long, value_name = "SECONDS", default_value_t = 0, alias = "lock-timeout")]
    wait: u64,
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

impl ValueEnum for Absent {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Error, Self::Ignore]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(if *self == Self::Error { "error" } else { "ignore" }))
    }
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
    /// The environment that was chosen.
    environment: Option<String>,
    /// Until when to wait for the server.
    wait_until: Instant,
    /// What to do about applied migrations that have no file.
    files: FilePolicy,
    settings: DbSettings,
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

/// What a command works on.
pub struct Work {
    pub place: Place,
    pub migrations: Migrations,
}

impl DatabaseArgs {
    fn chosen(&self) -> Result<Chosen, Error> {
        Chosen::read(self.env.as_deref())
    }

    /// Returns what the arguments, the environment or the settings say; the first of them wins.
    pub fn place(&self) -> Result<Place, Error> {
        let chosen = self.chosen()?;
        let mut target = match chosen.target(self.database.as_deref())? {
            Some(target) => target,
            None => Target::parse(DEFAULT_DATABASE)?,
        };
        let (environment, settings) = chosen.into_parts();
        if let Some(role) = self.role.as_ref().or(settings.role.as_ref()) {
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
            target.wait_for_server(wait_until, false)?;
        }
        Ok(Place { target, tables, environment, wait_until, files, settings })
    }
}

impl MigrationArgs {
    /// Returns the database, and the migrations in its SQL.
    pub fn work(&self) -> Result<Work, Error> {
        let place = self.database.place()?;
        let directory = self.directory(&place.settings);
        let folders = self.folders(&place.settings);
        let migrations = examine_directory(place.target.dialect(), &directory, folders)?.into_migrations()?;
        Ok(Work { place, migrations })
    }

    /// Returns the migrations that can be read, and what is wrong with the others. Opens no database. Without a dialect,
    /// a database must be named, if only to say which one.
    pub fn examine(&self, dialect: Option<Dialect>) -> Result<Examined, Error> {
        let chosen = self.database.chosen()?;
        let settings = chosen.settings();
        let directory = self.directory(settings);
        let named = if dialect.is_some() { None } else { chosen.target(self.database.database.as_deref())? };
        let dialect = match (dialect, named) {
            (Some(dialect), _) => dialect,
            (None, Some(target)) => target.dialect(),
            // That there is no directory is said first; this needs no dialect.
            (None, None) if !directory.is_dir() => Dialect::Sqlite,
            (None, None) => {
                return Err(Error::Usage {
                    what: "it is not known whether the files are for SQLite or PostgreSQL".into(),
                    next: "add --dialect sqlite or --dialect postgres, or name the database in haul.toml".into(),
                });
            }
        };
        examine_directory(dialect, &directory, self.folders(settings))
    }

    fn folders(&self, settings: &DbSettings) -> Folders {
        if self.recursive || settings.recursive { Folders::Read } else { Folders::Refuse }
    }

    /// Returns the directory of the migrations, which need not exist.
    pub fn directory_alone(&self) -> Result<PathBuf, Error> {
        Ok(self.directory(self.database.chosen()?.settings()))
    }

    fn directory(&self, settings: &DbSettings) -> PathBuf {
        self.dir.clone().or_else(|| settings.dir.clone()).unwrap_or_else(|| DIRECTORY_DEFAULT.into())
    }
}

impl Place {
    /// Returns the name of the database, and that of the environment.
    pub fn name(&self) -> PlaceName {
        PlaceName { database: self.target.to_string(), environment: self.environment.clone() }
    }

    /// Returns the patterns of objects that `drift` leaves out.
    pub fn ignored(&self) -> &[String] {
        &self.settings.ignore
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

    /// Lets the database be created if it does not exist.
    pub fn creating(mut self, may_create: bool) -> Self {
        if may_create {
            self.place.target = self.place.target.creating();
        }
        self
    }

    /// Returns true if versions below the highest applied one may run.
    pub fn allows_out_of_order(&self) -> bool {
        self.place.settings.allow_out_of_order
    }

    /// Returns what a run is about to do. Completes what a run that was killed left open.
    pub fn plan_to_act(&self) -> Result<Plan, Error> {
        self.place.target.recover()?;
        if self.place.wait_until > Instant::now() {
            self.place.target.wait_for_server(self.place.wait_until, true)?;
        }
        self.plan()
    }

    /// Returns what a run would do.
    pub fn plan(&self) -> Result<Plan, Error> {
        let mut database = self.place.target.open_read_only()?;
        let plan = Plan::make(&mut *database, &self.place.tables, &self.migrations);
        let mut plan = plan.map_err(|error| error.at(&self.place.target.to_string()))?;
        plan.allow(self.place.files);
        Ok(plan)
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
            lock_wait: Duration::from_secs(self.wait),
            rows_per_second: self.rate_limit,
            files: place.files,
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
