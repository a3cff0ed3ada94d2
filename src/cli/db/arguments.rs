//! Arguments that the commands of SQL migrations share.

use std::fmt;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::chosen::Chosen;
use crate::cli::command::Answer;
use crate::db::backup::{BackupMode, BackupPolicy};
use crate::db::database::ReadDatabase;
use crate::db::hooks::Hooks;
use crate::db::runner::{DestructiveStatement, FilePolicy, Plan, TIMEOUT_DEFAULT};
use crate::db::script::{
    Examined, Folders, Placeholders, ReadOptions, examine_directory, examine_seeds, require_environment_name,
};
use crate::db::state::Tables;
use crate::db::{Absent, DEFAULT_DATABASE, DbSettings, Dialect, Migrations, Runner, RunnerOptions, Target, Version};
use crate::migration::Error;
use crate::observe::Scope;

/// The name of the records of a run.
const RECORDS_NOUN: &str = "migrations";
/// The longest wait for a server: a year, which a clock can hold.
const WAIT_SECONDS_MAX: u64 = 365 * 86_400;
const DIRECTORY_DEFAULT: &str = "./migrations";
const SEEDS_DEFAULT: &str = "./seeds";

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
    #[command(flatten)]
    placeholders: PlaceholderArgs,
}

/// The values of placeholders.
#[derive(Args)]
pub struct PlaceholderArgs {
    /// Value of the placeholder ${NAME} in the files; may be given more than once
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
    set: Vec<(String, String)>,
}

impl PlaceholderArgs {
    /// Returns the values of placeholders: from the arguments, else the environment, else the settings. Without any of
    /// these there are no placeholders.
    fn values(&self, settings: &DbSettings) -> Result<Placeholders, Error> {
        if self.set.is_empty() && settings.placeholders.is_none() && settings.placeholders_env.is_none() {
            return Ok(Placeholders::default());
        }
        let mut values = settings.placeholders.clone().unwrap_or_default();
        for name in settings.placeholders_env.iter().flatten() {
            let Some(value) = std::env::var_os(name) else { continue };
            let value = value.into_string().map_err(|_| Error::Usage {
                what: format!("the variable {name} is not UTF-8"),
                next: "give it a text, or remove it from placeholders_env in haul.toml".into(),
            })?;
            values.insert(name.clone(), value);
        }
        values.extend(self.set.iter().cloned());
        Placeholders::new(values)
    }
}

/// The seeds and their database.
#[derive(Args)]
pub struct SeedArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// Directory of the seeds [default: haul.toml, or ./seeds]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    placeholders: PlaceholderArgs,
}

impl SeedArgs {
    /// Returns the database, and the seeds for its environment.
    pub fn work(&self) -> Result<Work, Error> {
        let place = self.database.place()?;
        let directory = place.seed_directory(self.dir.as_deref());
        let migrations = place.seeds(&directory, &self.placeholders)?;
        Ok(Work { place, migrations })
    }
}

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
    /// When to make a copy first: auto before data is destroyed, required before any change, or never
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = BackupWhen::Auto, hide_possible_values = true)]
    backup: BackupWhen,
    /// Where to put it [default: next to a SQLite database, the working directory for PostgreSQL]
    #[arg(long, value_name = "DIR")]
    backup_dir: Option<PathBuf>,
    /// After a success, keep only the newest N that haul has made [default: all]
    #[arg(long, value_name = "N")]
    keep: Option<usize>,
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
    /// The role that everything runs as.
    role: Option<String>,
    pub tables: Tables,
    /// Until when to wait for the server.
    wait_until: Instant,
    /// What to do about applied migrations that have no file.
    pub files: FilePolicy,
    /// The environment, such as `staging`.
    pub environment: Option<String>,
    /// What runs before and after migrations; empty for commands that have no hooks.
    pub hooks: Hooks,
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
        let target = match chosen.target(self.database.as_deref())? {
            Some(target) => target,
            None => Target::parse(DEFAULT_DATABASE)?,
        };
        self.place_of(target, chosen)
    }

    /// Returns this database with what else the arguments or the settings say.
    fn place_of(&self, mut target: Target, chosen: Chosen) -> Result<Place, Error> {
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
            target.wait_for_server(wait_until, false)?;
        }
        Ok(Place { target, role, tables, environment, wait_until, files, hooks: Hooks::default(), settings })
    }
}

impl MigrationArgs {
    /// Returns the database, and the migrations in its SQL.
    pub fn work(&self) -> Result<Work, Error> {
        self.read(self.place()?)
    }

    /// Returns the database.
    pub fn place(&self) -> Result<Place, Error> {
        self.database.place()
    }

    /// Returns this database, whatever others are named.
    pub fn place_of(&self, target: Target) -> Result<Place, Error> {
        self.database.place_of(target, self.database.chosen()?)
    }

    /// Reads the migrations in the SQL of a database.
    pub fn read(&self, place: Place) -> Result<Work, Error> {
        let directory = self.directory(&place.settings);
        let options = self.read_options(&place.settings)?;
        let migrations = examine_directory(place.target.dialect(), &directory, options)?.into_migrations()?;
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
        examine_directory(dialect, &directory, self.read_options(settings)?)
    }

    /// Returns the seeds that `seed` would find without arguments; none if there is no directory.
    pub fn seeds(&self, place: &Place) -> Result<Option<Migrations>, Error> {
        let directory = place.seed_directory(None);
        if directory.is_dir() { place.seeds(&directory, &self.placeholders).map(Some) } else { Ok(None) }
    }

    fn read_options(&self, settings: &DbSettings) -> Result<ReadOptions, Error> {
        let folders = if self.recursive || settings.recursive { Folders::Read } else { Folders::Refuse };
        Ok(ReadOptions { folders, placeholders: self.placeholders.values(settings)? })
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
    /// Lets everything on another database run as the same role.
    pub fn in_role(&self, target: Target) -> Result<Target, Error> {
        self.role.iter().try_fold(target, |target, role| target.with_role(role))
    }

    /// Returns the directory of the seeds, which need not exist.
    fn seed_directory(&self, named: Option<&Path>) -> PathBuf {
        named.or(self.settings.seeds.as_deref()).unwrap_or(Path::new(SEEDS_DEFAULT)).to_path_buf()
    }

    /// Returns the seeds in a directory for the environment of the database.
    fn seeds(&self, directory: &Path, placeholders: &PlaceholderArgs) -> Result<Migrations, Error> {
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
        self.plan_of(&mut *self.place.target.open_read_only()?)
    }

    /// Returns what a run would do, by a database that is open already.
    pub fn plan_of(&self, database: &mut dyn ReadDatabase) -> Result<Plan, Error> {
        let plan = Plan::make(database, &self.place.tables, &self.migrations);
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
        BackupPolicy { mode, directory: self.backup_dir.clone(), keep: self.keep }
    }

    /// Returns what to say about the backup before data is destroyed.
    pub fn consent_text(&self) -> &'static str {
        if self.policy().is_due(true) { "a backup is made first" } else { "no backup is made" }
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
            hooks: place.hooks.clone(),
            ..RunnerOptions::default()
        }
    }
}

/// Returns what the view of a run needs to know.
pub fn scope() -> Scope {
    Scope::of(RECORDS_NOUN)
}

/// Parses the value of a placeholder. An error does not quote it, because it may be a secret.
fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err("write NAME=VALUE".into()),
    }
}

/// Returns what the view of a run on tenants needs to know.
pub fn scope_of_tenants() -> Scope {
    Scope::of("tenants")
}

/// Names the statements of a file that destroy data.
pub fn destructive_lines(file: &str, statements: &[DestructiveStatement]) -> Vec<String> {
    statements.iter().map(|statement| format!("{file}:{} {}", statement.line, statement.what)).collect()
}

/// Parses a version.
pub fn version(text: &str) -> Result<Version, String> {
    text.parse().map_err(|error: crate::db::NotAVersion| error.to_string())
}
