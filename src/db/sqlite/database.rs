//! A SQLite database that migrations run on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rusqlite::backup::Backup as Copy;
use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::limits::Limit;
use rusqlite::{Batch, Connection};

use super::backup;
use super::connect::{self, BUSY_TIMEOUT, FileKind};
use super::errors::engine_error;
use super::foreign_keys::{Violations, violations};
use super::lock;
use super::reader::{self, SqliteReader};
use crate::db::backup::Backup;
use crate::db::database::{Database, LedgerName, Limits, LockHolder, ReadDatabase, Value};
use crate::db::dialect::Dialect;
use crate::db::engine_error::{EngineError, EngineErrorKind};
use crate::durable::LockGuard;
use crate::migration::Error;
use crate::pipeline::StopToken;

/// Steps of SQLite's virtual machine between two checks of the clock.
const STEPS_BETWEEN_CHECKS: i32 = 1000;

/// A database file that is open for writing, or a copy of one for a rehearsal.
pub struct SqliteDatabase {
    connection: Connection,
    path: PathBuf,
    lock: Option<LockGuard>,
    /// True for a copy, which no other process can use.
    is_copy: bool,
    /// True once the progress handler has seen the time limit pass.
    is_late: Arc<AtomicBool>,
    /// True between the runner's own BEGIN and its end.
    is_in_transaction: bool,
    /// True if violations of foreign keys are compared before the commit.
    checks_foreign_keys: bool,
    /// The violations at the end of the last transaction.
    violations: Option<Violations>,
}

impl SqliteDatabase {
    /// Opens the file at `path`, or creates it.
    pub fn open(path: &Path) -> Result<Self, Error> {
        match connect::inspect(path)? {
            FileKind::Empty if !lock::has_lock_file(path) => return Err(connect::empty_file(path)),
            // If this process is killed before its first transaction, the file is empty. The lock file next to it then
            // shows the next run that haul created it.
            FileKind::Nothing => drop(lock::take(path, "")?),
            FileKind::Empty | FileKind::Database => {}
        }
        Ok(Self::new(connect::open_for_write(path)?, path, false))
    }

    /// Rolls back the transaction of a killed writer, if there is one. Only a connection that may write can do that.
    pub fn recover(path: &Path) -> Result<(), Error> {
        if !connect::journal_path(path).exists() || connect::inspect(path)? != FileKind::Database {
            return Ok(());
        }
        let connection = connect::open_for_write(path)?;
        let read = reader::query(&connection, "SELECT count(*) FROM sqlite_schema", &[]);
        read.map(drop).map_err(|error| error.at(&connect::place(path)))
    }

    /// Copies the database at `path` into a temporary file. Changes to the copy do not reach that database or any
    /// other.
    pub fn copy(path: &Path) -> Result<Self, Error> {
        const PAGES_PER_STEP: i32 = 1000;
        let source = SqliteReader::open(path)?;
        let mut copy = connect::open_temporary()?;
        let mut run = || {
            let copying = Copy::new(source.connection(), &mut copy)?;
            copying.run_to_completion(PAGES_PER_STEP, std::time::Duration::ZERO, None)?;
            drop(copying);
            // Without ATTACH, a migration cannot reach another database from the copy.
            copy.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)
        };
        run().map_err(|error| engine_error(error).at(&connect::place(path)))?;
        Ok(Self::new(copy, path, true))
    }

    fn new(connection: Connection, path: &Path, is_copy: bool) -> Self {
        let path = path.to_path_buf();
        Self {
            connection,
            path,
            lock: None,
            is_copy,
            is_late: Arc::default(),
            is_in_transaction: false,
            checks_foreign_keys: true,
            violations: None,
        }
    }

    fn batch(&self, sql: &str) -> Result<(), EngineError> {
        self.connection.execute_batch(sql).map_err(engine_error)
    }

    /// Detaches the databases that a section has attached.
    fn detach_all(&self) -> Result<(), EngineError> {
        let names = reader::query(&self.connection, "SELECT name FROM pragma_database_list WHERE seq > 1", &[])?;
        for name in names.into_iter().flatten().map(Value::into_text) {
            self.batch(&format!("DETACH \"{}\"", name.replace('"', "\"\"")))?;
        }
        Ok(())
    }

    /// Runs every statement that SQLite's own parser finds in one statement of the lexer. That is one, if both agree.
    fn run_all(&self, text: &str) -> Result<(), rusqlite::Error> {
        let mut batch = Batch::new(&self.connection, text);
        while let Some(mut statement) = batch.next()? {
            let mut rows = statement.raw_query();
            while rows.next()?.is_some() {}
        }
        Ok(())
    }
}

impl ReadDatabase for SqliteDatabase {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn place(&self) -> String {
        connect::place(&self.path)
    }

    fn query(&mut self, sql: &str, parameters: &[Value]) -> Result<Vec<Vec<Value>>, EngineError> {
        reader::query(&self.connection, sql, parameters)
    }

    fn find_ledger(&mut self, _ledger: LedgerName<'_>) -> Result<Option<String>, EngineError> {
        // haul's tables are in the file itself, which is the schema `main`.
        Ok(None)
    }

    fn begin_reading(&mut self) -> Result<(), EngineError> {
        Ok(())
    }

    fn end_reading(&mut self) -> Result<(), EngineError> {
        Ok(())
    }

    fn columns(&mut self, table: &str) -> Result<Vec<String>, EngineError> {
        reader::columns(&self.connection, table)
    }

    fn has_table(&mut self, table: &str) -> Result<bool, EngineError> {
        self.columns(table).map(|columns| !columns.is_empty())
    }

    fn table_reference(&self, table: &str) -> String {
        reader::table_reference(table)
    }

    fn lock_holder(&mut self, _table: &str) -> Result<Option<LockHolder>, Error> {
        Ok(lock::holder(&self.path))
    }
}

impl Database for SqliteDatabase {
    fn try_lock(&mut self, _table: &str, owner: &str) -> Result<Result<(), LockHolder>, Error> {
        if self.is_copy {
            return Ok(Ok(()));
        }
        Ok(lock::take(&self.path, owner)?.map(|guard| self.lock = Some(guard)))
    }

    fn holds_lock(&mut self) -> Result<bool, EngineError> {
        Ok(self.is_copy || self.lock.is_some())
    }

    fn unlock(&mut self) -> Result<(), EngineError> {
        self.lock = None;
        Ok(())
    }

    fn end_lock_holder(&mut self, _table: &str, holder: &LockHolder) -> Result<(), Error> {
        lock::end_holder(&self.path, holder)
    }

    fn back_up(&mut self, directory: Option<&Path>, stop: &StopToken) -> Result<Backup, Error> {
        backup::back_up(&self.connection, &self.path, directory, stop)
    }

    fn arm(&mut self, limits: &Limits, stop: &StopToken) -> Result<(), EngineError> {
        // SQLite ignores this pragma inside a transaction, so it is set before BEGIN.
        self.batch(if limits.foreign_keys { "PRAGMA foreign_keys = ON" } else { "PRAGMA foreign_keys = OFF" })?;
        self.checks_foreign_keys = limits.checks_foreign_keys;
        self.is_late = Arc::default();
        let (is_late, stop) = (self.is_late.clone(), stop.clone());
        let deadline = limits.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let handler = move || {
            let late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            is_late.fetch_or(late, Ordering::Relaxed);
            late || stop.is_requested()
        };
        self.connection.progress_handler(STEPS_BETWEEN_CHECKS, Some(handler)).map_err(engine_error)?;
        self.connection.busy_timeout(limits.lock_timeout.unwrap_or(BUSY_TIMEOUT)).map_err(engine_error)
    }

    fn disarm(&mut self) -> bool {
        // Both only reset settings that were made before, and a failure would hide the result of the section.
        let _ = self.connection.progress_handler(0, None::<fn() -> bool>);
        let _ = self.connection.busy_timeout(BUSY_TIMEOUT);
        self.is_late.load(Ordering::Relaxed)
    }

    fn begin(&mut self) -> Result<(), EngineError> {
        // IMMEDIATE takes the write lock now, with the busy timeout. A deferred transaction would fail at its first
        // write.
        self.batch("BEGIN IMMEDIATE")?;
        self.is_in_transaction = true;
        if self.violations.is_none() && self.checks_foreign_keys {
            self.violations = Some(violations(&self.connection));
        }
        Ok(())
    }

    fn take_notices(&mut self) -> Vec<String> {
        // SQLite sends none.
        Vec::new()
    }

    fn run(&mut self, statement: &str) -> Result<(), EngineError> {
        let result = self.run_all(statement).map_err(engine_error);
        match result {
            // A conflict clause such as OR ROLLBACK ends the transaction, and later statements would then commit one by
            // one.
            Ok(()) if self.is_in_transaction && self.connection.is_autocommit() => Err(transaction_ended()),
            result => result,
        }
    }

    fn check_before_commit(&mut self) -> Result<(), EngineError> {
        if self.connection.is_autocommit() {
            return Err(transaction_ended());
        }
        if !self.checks_foreign_keys {
            self.violations = None;
            return Ok(());
        }
        let now = violations(&self.connection);
        // An interrupted check looks like one that cannot be made, so the limit is checked first.
        if self.is_late.load(Ordering::Relaxed) {
            return Err(EngineError::new(EngineErrorKind::Cancelled, "cancelled at the time limit"));
        }
        if let Some(before) = &self.violations {
            now.compare(before)?;
        }
        self.violations = Some(now);
        Ok(())
    }

    fn commit(&mut self) -> Result<(), EngineError> {
        self.batch("COMMIT")?;
        self.is_in_transaction = false;
        Ok(())
    }

    fn rollback(&mut self) -> Result<(), EngineError> {
        (self.violations, self.is_in_transaction) = (None, false);
        if self.connection.is_autocommit() { Ok(()) } else { self.batch("ROLLBACK") }
    }

    fn reset(&mut self) -> Result<(), EngineError> {
        self.violations = None;
        if !self.connection.is_autocommit() {
            self.batch("ROLLBACK")?;
            let what = "the section left a transaction open; it was rolled back";
            return Err(EngineError::new(EngineErrorKind::TransactionLost, what));
        }
        self.detach_all()
    }
}

fn transaction_ended() -> EngineError {
    let what = "the section has ended the transaction that it ran in: the statements before are kept";
    EngineError::new(EngineErrorKind::TransactionLost, what)
}
