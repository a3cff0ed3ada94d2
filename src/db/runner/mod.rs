//! Runs migrations: one life for each, whatever the engine (requiem.md B4).
//!
//! take the lock → compare all checksums → write "started" to the log → `BEGIN` → run the section → write the row of the
//! ledger and the outcome → `COMMIT`. What a process was killed in is rolled back by the engine; the next run finds
//! "started" without an outcome, says so, and tries again. A section without a transaction is run statement by statement,
//! and the log knows which one was reached. A section with batches is run page by page, each in a transaction that also moves
//! a cursor.

mod backup;
mod batched;
mod end;
mod ledger_admin;
mod migrate;
mod non_transactional;
mod pages;
mod plan;
mod rehearse;
mod rollback;
mod task;
mod transaction;
mod unlock;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

pub use end::{Detail, Failure, Kept, PagesDone, RunEnd};
pub use ledger_admin::{Repaired, Settlement};
pub use migrate::MigrateRequest;
pub use plan::{ChangedMigration, DestructiveStatement, PendingMigration, Plan};
pub use rehearse::RehearsalEnd;
pub use rollback::{RollbackRequest, RollbackTo};
use task::Task;
pub use unlock::unlock;

use super::Database;
use super::backup::BackupPolicy;
use super::engine_error::EngineError;
use super::schema::Schema;
use super::script::Migrations;
use super::state::{LogEntry, StateReader, StateWriter, Tables};
use crate::migration::{Error, owner_text};
use crate::pipeline::{Control, Event, StopToken};

/// The time limit of a migration that sets none.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
/// The longest wait for a lock of the database, unless the limit of the section is shorter.
const LOCK_TIMEOUT_MAX: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// How migrations are run.
#[derive(Debug, Clone)]
pub struct RunnerOptions {
    /// Where the state is kept.
    pub tables: Tables,
    /// The time limit of a section that sets none; `None` is none.
    pub timeout: Option<Duration>,
    /// How long to wait for another run to end.
    pub lock_wait: Duration,
    /// The most keys of batches a second; `None` is no limit.
    pub rows_per_second: Option<NonZeroU32>,
    /// When a backup is made before a run.
    pub backup: BackupPolicy,
    /// Who runs them, for the lock and the log.
    pub owner: String,
}

impl Default for RunnerOptions {
    /// 30 s for a migration, no wait for another run, no backup, and this process as the owner.
    fn default() -> Self {
        Self {
            tables: Tables::default(),
            timeout: Some(TIMEOUT_DEFAULT),
            lock_wait: Duration::ZERO,
            rows_per_second: None,
            backup: BackupPolicy::default(),
            owner: owner_text(),
        }
    }
}

/// Migrations and the database that they are run on.
///
/// ```
/// use haul::db::runner::MigrateRequest;
/// use haul::db::sqlite::SqliteDatabase;
/// use haul::db::{Dialect, Migrations, Runner, RunnerOptions};
/// use haul::pipeline::{Control, Silent, StopToken};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let first = "-- Up\nCREATE TABLE people (name TEXT);\n-- Down\nDROP TABLE people;\n"; // or include_str!(…)
/// let migrations = Migrations::from_texts(Dialect::Sqlite, [("001_people.sql", first)])?;
///
/// let directory = tempfile::tempdir()?;
/// let database = SqliteDatabase::open(&directory.path().join("app.db"))?;
/// let mut runner = Runner::new(Box::new(database), migrations, RunnerOptions::default())?;
/// let stop = StopToken::new();
/// let end = runner.migrate(&MigrateRequest::default(), &Control { stop: &stop, observer: &Silent })?;
/// assert_eq!((end.applied, end.failed), (1, 0));
/// # Ok(())
/// # }
/// ```
pub struct Runner {
    database: Box<dyn Database>,
    migrations: Arc<Migrations>,
    options: RunnerOptions,
    /// That of the call under way.
    stop: StopToken,
}

impl Runner {
    /// A runner; migrations in another SQL than the database's are an error.
    pub fn new(database: Box<dyn Database>, migrations: Migrations, options: RunnerOptions) -> Result<Self, Error> {
        if database.dialect() != migrations.dialect() {
            return Err(Error::Usage {
                what: format!(
                    "the migrations are read as {}, the database is {}",
                    migrations.dialect(),
                    database.dialect()
                ),
                next: "read them as what the database is".into(),
            });
        }
        Ok(Self { database, migrations: Arc::new(migrations), options, stop: StopToken::new() })
    }

    /// How the migrations stand to the database. Reads only.
    pub fn plan(&mut self) -> Result<Plan, Error> {
        let plan = Plan::make(&mut *self.database, &self.options.tables, &self.migrations);
        plan.map_err(|error| self.error(error))
    }

    /// Does something while no other run does.
    fn locked<T>(
        &mut self,
        control: &Control<'_>,
        work: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.stop = control.stop.clone();
        self.take_lock(control.stop)?;
        let result = self.state(|state| state.create()).and_then(|()| work(self));
        self.keep_schema(control);
        // A lock that cannot be given back is gone with its session.
        let _ = self.database.unlock();
        result
    }

    /// Keeps the schema as it is now, if migrations were run since it was last kept. It is not worth failing for: what
    /// holds the schema against an older one says so.
    fn keep_schema(&mut self, control: &Control<'_>) {
        let mut keep = || {
            let mut reader = StateReader::new(&mut *self.database, &self.options.tables);
            let log_id = reader.newest_log_id()?;
            if reader.kept_schema()?.is_some_and(|kept| kept.log_id == log_id) {
                return Ok(());
            }
            let schema = Schema::read(&mut *self.database, &self.options.tables)?;
            self.try_state(|state| state.create_schemas())?;
            self.state_transaction(|state| state.keep_schema(log_id, &schema))
        };
        if let Err(error) = keep() {
            let text = format!("the schema after this run was not kept: {error}");
            control.observer.observe(&Event::Note { text });
        }
    }

    fn take_lock(&mut self, stop: &StopToken) -> Result<(), Error> {
        let deadline = Instant::now() + self.options.lock_wait;
        loop {
            let holder = match self.database.try_lock(self.options.tables.ledger(), &self.options.owner)? {
                Ok(()) => return Ok(()),
                Err(holder) => holder,
            };
            if stop.is_requested() || Instant::now() >= deadline {
                return Err(Error::Locked { owner: holder.owner });
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// An error unless the lock is still held: a script can give it back, and a server can end the session. What runs in
    /// one transaction proves it before its commit.
    fn require_lock(&mut self, task: Task<'_>) -> Result<(), Error> {
        if task.is_one_transaction() {
            return Ok(());
        }
        match self.database.holds_lock() {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::Database {
                what: format!("{}: the lock of this run is gone", self.database.place()),
                next: "see that no migration gives locks back, then run the same command again".into(),
                temporary: false,
                source: None,
            }),
            Err(error) => Err(self.error(error)),
        }
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
        work(&mut StateWriter::new(&mut *self.database, &self.options.tables, &self.options.owner))
    }

    /// Changes the ledger and the log in one transaction.
    fn state_transaction<T>(
        &mut self,
        work: impl FnOnce(&mut StateWriter<'_>) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        self.database.begin()?;
        let result = self.try_state(work);
        let result = result.and_then(|value| self.database.commit().map(|()| value));
        if result.is_err() {
            // What fails here is the connection, and the engine rolls back by itself.
            let _ = self.database.rollback();
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
