//! Runs migrations in one order, whatever the engine (docs/source-sql.md, "Order of one migration").
//!
//! take the lock → compare all checksums → write "started" to the log → `BEGIN` → run the section → write the ledger
//! row and the outcome → `COMMIT`. If the process is killed, the engine rolls the transaction back; the next run finds
//! "started" without an outcome, reports it, and tries again. A section without a transaction runs statement by
//! statement, and the log records each one before it runs. A section with batches runs page by page, each in a
//! transaction that also moves a cursor.

mod announced;
mod backup;
mod backup_history;
mod chain;
mod file_state;
mod hooks;
mod ledger_admin;
mod log_history;
mod migrate;
mod notices;
mod plan;
mod rehearse;
mod rollback;
mod run_summary;
mod section;
mod seed;
mod session;
mod single_transaction;
mod squashed;
mod takeover;
mod unlock;

use std::any::Any;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

pub use announced::announced;
pub use backup_history::{BackupState, KnownBackup, known_backups};
pub use file_state::{DestructiveStatement, FileState};
pub use ledger_admin::{Repaired, Resolution, Unresolved};
pub use log_history::old_log_rows;
pub use migrate::MigrateRequest;
pub use plan::{ChangedMigration, FilePolicy, PendingMigration, Plan};
pub use rehearse::{RehearsalSummary, Unclear};
pub use rollback::{RollbackRequest, RollbackTo};
pub use run_summary::{PagesDone, RunSummary};
pub use seed::Again;
pub use squashed::SquashedMigration;
pub use takeover::Takeover;
pub use unlock::{require_own_run, unlock};

use super::backup::BackupPolicy;
use super::database::Database;
use super::engine_error::EngineError;
use super::hooks::Hooks;
use super::schema::Schema;
use super::script::Migrations;
use super::state::{LogEntry, Numbers, StateReader, StateWriter, Tables};
use crate::migration::{Error, owner_text, wait_for_lock};
use crate::pipeline::{Control, StopToken};

/// The default time limit of a migration.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

/// Options of a runner.
#[derive(Debug, Clone)]
pub struct RunnerOptions {
    /// The tables that hold the state.
    pub tables: Tables,
    /// The time limit of a section that sets none; `None` is no limit.
    pub timeout: Option<Duration>,
    /// The time limit of a section that builds something concurrently and sets none; `None` is no limit. What is
    /// cancelled there is not rolled back.
    pub concurrent_timeout: Option<Duration>,
    /// How long to wait for another run to end.
    pub lock_wait: Duration,
    /// The maximum number of batch keys per second; `None` is no limit.
    pub rows_per_second: Option<NonZeroU32>,
    /// What to do about applied migrations that have no file.
    pub files: FilePolicy,
    /// What runs before and after the migrations.
    pub hooks: Hooks,
    /// When to make a backup before a run.
    pub backup: BackupPolicy,
    /// The name of this run in the lock and in the log.
    pub owner: String,
}

impl Default for RunnerOptions {
    /// Returns 30 s for a migration, no wait for another run, no backup, and this process as the owner.
    fn default() -> Self {
        Self {
            tables: Tables::default(),
            timeout: Some(TIMEOUT_DEFAULT),
            concurrent_timeout: None,
            lock_wait: Duration::ZERO,
            rows_per_second: None,
            files: FilePolicy::default(),
            hooks: Hooks::default(),
            backup: BackupPolicy::default(),
            owner: owner_text(),
        }
    }
}

/// Runs migrations on a database.
///
/// ```
/// use haul::{
///     Control, DbMigrateRequest, DbRunner, DbRunnerOptions, Dialect, Migrations, Silent, SqliteDatabase, StopToken,
/// };
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let first = "-- Up\nCREATE TABLE people (name TEXT);\n-- Down\nDROP TABLE people;\n"; // or include_str!(…)
/// let migrations = Migrations::from_texts(Dialect::Sqlite, [("001_people.sql", first)])?;
///
/// let directory = tempfile::tempdir()?;
/// let database = SqliteDatabase::open(&directory.path().join("app.db"))?;
/// let mut runner = DbRunner::new(Box::new(database), migrations, DbRunnerOptions::default())?;
/// let stop = StopToken::new();
/// let end = runner.migrate(&DbMigrateRequest::default(), &Control { stop: &stop, observer: &Silent })?;
/// assert_eq!((end.applied, end.failed), (1, 0));
/// # Ok(())
/// # }
/// ```
pub struct Runner {
    database: Box<dyn Database>,
    migrations: Arc<Migrations>,
    options: RunnerOptions,
    /// The numbers of the newest rows of haul's tables.
    numbers: Numbers,
    /// The stop token of the current call.
    stop: StopToken,
    /// True while all sections share one transaction.
    is_joined: bool,
    /// Rows for the log that are written when that transaction was rolled back.
    unlogged: Vec<LogEntry>,
}

impl Runner {
    /// Creates a runner. It is an error if the migrations are in another SQL dialect than the database. Several runners
    /// may share the migrations.
    pub fn new(
        database: Box<dyn Database>,
        migrations: impl Into<Arc<Migrations>>,
        options: RunnerOptions,
    ) -> Result<Self, Error> {
        let migrations = migrations.into();
        if database.dialect() != migrations.dialect() {
            return Err(Error::Usage {
                what: format!(
                    "the migrations are read as {}, the database is {}",
                    migrations.dialect(),
                    database.dialect()
                ),
                next: "read them in the dialect of the database".into(),
            });
        }
        options.tables.require_fit(database.dialect())?;
        let stop = StopToken::new();
        let numbers = Numbers::default();
        Ok(Self { database, migrations, options, numbers, stop, is_joined: false, unlogged: Vec::new() })
    }

    /// Returns the database, or nothing if it is of another type.
    pub fn into_database<D: Database>(self) -> Option<D> {
        let database: Box<dyn Any> = self.database;
        database.downcast().ok().map(|database| *database)
    }

    /// Compares the migrations with the ledger. Only reads.
    pub fn plan(&mut self) -> Result<Plan, Error> {
        let plan = Plan::make(&mut *self.database, &self.options.tables, &self.migrations);
        let mut plan = plan.map_err(|error| self.error(error))?;
        plan.allow(self.options.files);
        Ok(plan)
    }

    /// Does `work` while no other run works on the database.
    fn locked<T>(
        &mut self,
        control: &Control<'_>,
        work: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.alone(control, |runner| {
            // The tables are created under the lock: two first runs at once must not both create them.
            runner.note_place(control)?;
            runner.state(|state| state.create())?;
            let result = work(runner);
            // The schema is stored after a failure too, because a section without a transaction keeps what it did.
            let kept = runner.keep_schema();
            // The migrations are applied by now, and a missing schema only weakens `drift`, which reports it. After an
            // error, the message would be about the same.
            if let (Ok(_), Err(error)) = (&result, kept) {
                control.note(format!("the schema after this run was not kept: {error}"));
            }
            result
        })
    }

    /// Does `work` under the lock, with haul's tables as they are.
    fn alone<T>(
        &mut self,
        control: &Control<'_>,
        work: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.stop = control.stop.clone();
        self.take_lock(control)?;
        // Others may have written before the lock was taken.
        self.numbers.forget();
        let result = work(self);
        // A lock that cannot be released ends with its session.
        let _ = self.database.unlock();
        result
    }

    /// Says where haul's tables are if that is not where this session would look for them.
    fn note_place(&mut self, control: &Control<'_>) -> Result<(), Error> {
        let found = self.options.tables.find(&mut *self.database);
        if let Some(schema) = found.map_err(|error| self.error(error))? {
            control.note(format!("the ledger is {schema}.{}", self.options.tables.ledger()));
        }
        Ok(())
    }

    /// Stores the current schema if migrations ran since it was last stored.
    fn keep_schema(&mut self) -> Result<(), EngineError> {
        let mut reader = StateReader::new(&mut *self.database, &self.options.tables);
        let log_id = reader.newest_log_id()?;
        if reader.kept_schema()?.is_some_and(|kept| kept.log_id == log_id) {
            return Ok(());
        }
        let schema = Schema::read(&mut *self.database, &self.options.tables)?;
        self.try_state(|state| state.create_schemas())?;
        self.state_transaction(|state| state.keep_schema(log_id, &schema))
    }

    fn take_lock(&mut self, control: &Control<'_>) -> Result<(), Error> {
        let (name, owner) = (self.options.tables.lock_name(), &self.options.owner);
        let database = &mut self.database;
        // The lock is tried again and again, because a wait in the engine could neither name the holder nor see a request
        // to stop.
        wait_for_lock(
            self.options.lock_wait,
            control.stop,
            |note| control.note(note),
            || database.try_lock(&name, owner)?.map_err(|holder| Error::Locked { owner: holder.owner }),
        )
    }

    /// Changes the ledger or the log.
    fn state<T>(&mut self, work: impl FnOnce(&mut StateWriter<'_>) -> Result<T, EngineError>) -> Result<T, Error> {
        let place = self.database.place();
        self.try_state(work).map_err(|error| error.at(&place))
    }

    fn try_state<T>(
        &mut self,
        work: impl FnOnce(&mut StateWriter<'_>) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        let (tables, owner) = (&self.options.tables, &self.options.owner);
        let result = work(&mut StateWriter::new(&mut *self.database, tables, owner, &mut self.numbers));
        if result.is_err() {
            self.numbers.forget();
        }
        result
    }

    /// Rolls back the open transaction, if there is one.
    fn roll_back(&mut self) -> Result<(), EngineError> {
        self.numbers.forget();
        self.database.rollback()
    }

    /// Changes the ledger and the log in one transaction.
    fn state_transaction<T>(
        &mut self,
        work: impl FnOnce(&mut StateWriter<'_>) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        if self.is_joined {
            return self.try_state(work);
        }
        self.database.begin()?;
        let result = self.try_state(work);
        let result = result.and_then(|value| self.database.commit().map(|()| value));
        if result.is_err() {
            // The connection failed, so the engine rolls back by itself.
            let _ = self.roll_back();
        }
        result
    }

    fn append(&mut self, entry: &LogEntry) -> Result<i64, Error> {
        self.state(|state| state.append(entry))
    }

    fn error(&self, error: EngineError) -> Error {
        error.at(&self.database.place())
    }
}
