//! A SQLite database that migrations run on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::backup::Backup as Copy;
use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::limits::Limit;
use rusqlite::{Batch, Connection};

use super::backup;
use super::callers::CallersSession;
use super::connect::{self, BUSY_TIMEOUT, FileKind};
use super::errors::engine_error;
use super::foreign_keys::{ForeignKeys, table_names};
use super::lock;
use super::reader::{self, SqliteReader};
use super::watch::{Owner, Watch};
use crate::db::backup::{Backup, BackupScope};
use crate::db::database::{Database, Limits, LockHolder, ReadDatabase, Value};
use crate::db::dialect::Dialect;
use crate::db::engine_error::{EngineError, EngineErrorKind};
use crate::db::script::classify::{Keywords, TransactionControl};
use crate::durable::LockGuard;
use crate::migration::Error;
use crate::pipeline::StopToken;

/// Steps of SQLite's virtual machine between two checks of the clock.
const STEPS_BETWEEN_CHECKS: i32 = 1000;

/// Begins the transaction of one statement, as the engine would do by itself.
const BEGIN_STATEMENT: &str = "BEGIN IMMEDIATE";

/// Yields the statements that drop all temporary objects. What belongs to a table may be gone with it.
const TEMPORARY_OBJECTS: &str = "SELECT 'DROP ' || type || ' IF EXISTS temp.\"' || replace(name, '\"', '\"\"') || '\"' \
     FROM temp.sqlite_schema WHERE type IN ('table', 'view', 'trigger') AND name NOT LIKE 'sqlite!_%' ESCAPE '!' \
     ORDER BY type = 'table', type = 'view'";

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
    /// The keys that the open transaction may have violated.
    foreign_keys: ForeignKeys,
    watch: Watch,
    /// True if the section has set something for the connection.
    sets_session: bool,
    /// What the connection was like, if it is the application's.
    callers: Option<CallersSession>,
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
        Self::new(connect::open_for_write(path)?, path, false)
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
        let source = SqliteReader::open(path)?;
        Self::new(copy_of(source.connection(), path)?, path, true)
    }

    /// Opens an empty database that nobody else can use, and that is gone with it. Migrations reach no other file from it.
    pub fn temporary() -> Result<Self, Error> {
        let path = Path::new("scratch");
        let connection = connect::open_temporary()?;
        let limited = connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0);
        limited.map_err(|error| engine_error(error).at(&connect::place(path)))?;
        Self::new(connection, path, true)
    }

    fn new(mut connection: Connection, path: &Path, is_copy: bool) -> Result<Self, Error> {
        let watch = Watch::of(&mut connection, Owner::Haul);
        let watch = watch.map_err(|error| engine_error(error).at(&connect::place(path)))?;
        let path = path.to_path_buf();
        Ok(Self {
            connection,
            path,
            lock: None,
            is_copy,
            is_late: Arc::default(),
            is_in_transaction: false,
            checks_foreign_keys: true,
            foreign_keys: ForeignKeys::default(),
            watch,
            sets_session: false,
            callers: None,
        })
    }

    /// Takes a connection of the application, to a file or to memory. [`into_connection`](Self::into_connection) gives
    /// it back. It may not be in a transaction.
    ///
    /// What a migration leaves in it is removed after its section: temporary objects, attached databases, and pragmas
    /// of the connection, which get the values that they had. haul sets for itself an authorizer, a progress handler,
    /// the busy timeout, `foreign_keys`, and that a name in double quotes is no text. Functions, collations and
    /// extensions of the application stay, and migrations may use them. An authorizer and a progress handler of the
    /// application are removed. A database in memory has no lock, because no other process can use it, and no backup.
    ///
    /// ```
    /// # use haul::{Control, DbMigrateRequest, DbRunner, DbRunnerOptions, Dialect, Migrations, Silent, SqliteDatabase, StopToken};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let connection = rusqlite::Connection::open_in_memory()?;
    /// let migrations = Migrations::from_texts(Dialect::Sqlite, [("1_a.sql", "CREATE TABLE a (a INT);")])?;
    /// let database = SqliteDatabase::from_connection(connection)?;
    /// let mut runner = DbRunner::new(Box::new(database), migrations, DbRunnerOptions::default())?;
    /// runner.migrate(&DbMigrateRequest::default(), &Control { stop: &StopToken::new(), observer: &Silent })?;
    /// let database: SqliteDatabase = runner.into_database().expect("it is the one from above");
    /// database.into_connection()?.execute("INSERT INTO a VALUES (1)", [])?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_connection(connection: Connection) -> Result<Self, Error> {
        let path = PathBuf::from(connection.path().unwrap_or_default());
        if !connection.is_autocommit() {
            return Err(Error::Usage {
                what: format!("{}: the connection is in a transaction", connect::place(&path)),
                next: "commit it or roll it back first".into(),
            });
        }
        let at = |error: EngineError| error.at(&connect::place(&path));
        let callers = CallersSession::of(&connection).map_err(at)?;
        connect::set_up(&connection).map_err(|error| at(engine_error(error)))?;
        let mut database = Self::new(connection, &path, false)?;
        let watch = Watch::of(&mut database.connection, Owner::Application);
        database.watch = watch.map_err(|error| at(engine_error(error)))?;
        Ok(Self { callers: Some(callers), ..database })
    }

    /// Returns the connection. One of the application is as it was before.
    pub fn into_connection(self) -> Result<Connection, Error> {
        let mut connection = self.connection;
        if let Some(callers) = self.callers {
            callers.give_back(&mut connection).map_err(|error| error.at(&connect::place(&self.path)))?;
        }
        Ok(connection)
    }

    /// Returns true if other processes can use the database.
    fn is_shared(&self) -> bool {
        !self.is_copy && !self.path.as_os_str().is_empty()
    }

    fn batch(&self, sql: &str) -> Result<(), EngineError> {
        self.connection.execute_batch(sql).map_err(engine_error)
    }

    /// Runs every statement that SQLite's own parser finds in one statement of the lexer. That is one, if both agree.
    fn run_all(&mut self, text: &str) -> Result<(), EngineError> {
        let mut batch = Batch::new(&self.connection, text);
        loop {
            let (statement, changes) = self.watch.during(|| batch.next());
            if changes.cannot_be_undone && self.callers.is_some() {
                return Err(cannot_be_undone());
            }
            let Some(mut statement) = statement.map_err(engine_error)? else { return Ok(()) };
            self.sets_session |= changes.sets_session;
            let is_checked = self.checks_foreign_keys;
            // A statement without a transaction gets one, so that its effect can be checked before it is kept.
            let may_violate = !changes.tables.is_empty() || changes.is_of_everything();
            let is_alone = is_checked && may_violate && self.connection.is_autocommit();
            if is_alone {
                self.foreign_keys.begin();
                self.connection.execute_batch(BEGIN_STATEMENT).map_err(engine_error)?;
            }
            let mut work = || {
                if is_checked {
                    self.foreign_keys.prepare(&self.connection, &changes)?;
                }
                let names = || table_names(&self.connection).map_err(engine_error);
                let before = if is_checked && changes.alters { Some(names()?) } else { None };
                let mut rows = statement.raw_query();
                while rows.next().map_err(engine_error)?.is_some() {}
                drop(rows);
                if let Some(before) = before {
                    self.foreign_keys.rename(&before, &names()?);
                }
                if is_alone { self.foreign_keys.compare(&self.connection) } else { Ok(()) }
            };
            let result = work();
            if is_alone && !self.connection.is_autocommit() {
                let end = if result.is_ok() { "COMMIT" } else { "ROLLBACK" };
                self.connection.execute_batch(end).map_err(engine_error)?;
            }
            result?;
        }
    }

    /// Follows a transaction that a section makes itself: what it may violate is compared before its end.
    fn follow_transaction(&mut self, statement: &str) -> Result<(), EngineError> {
        if self.is_in_transaction || !self.checks_foreign_keys {
            return Ok(());
        }
        let words = Keywords::of(Dialect::Sqlite, statement);
        match words.transaction_control(Dialect::Sqlite) {
            Some(_) if self.connection.is_autocommit() => self.foreign_keys.begin(),
            Some(TransactionControl::Ends) if !words.rolls_back() => self.foreign_keys.compare(&self.connection)?,
            _ => {}
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
        Ok(if self.is_shared() { lock::holder(&self.path) } else { None })
    }
}

impl Database for SqliteDatabase {
    fn try_lock(&mut self, _table: &str, owner: &str) -> Result<Result<(), LockHolder>, Error> {
        if !self.is_shared() {
            return Ok(Ok(()));
        }
        Ok(lock::take(&self.path, owner)?.map(|guard| self.lock = Some(guard)))
    }

    fn holds_lock(&mut self) -> Result<bool, EngineError> {
        Ok(!self.is_shared() || self.lock.is_some())
    }

    fn unlock(&mut self) -> Result<(), EngineError> {
        self.lock = None;
        Ok(())
    }

    fn end_lock_holder(&mut self, _table: &str, holder: &LockHolder) -> Result<(), Error> {
        lock::end_holder(&self.path, holder)
    }

    fn back_up(&mut self, _scope: &BackupScope, directory: Option<&Path>, stop: &StopToken) -> Result<Backup, Error> {
        if self.path.as_os_str().is_empty() {
            return Err(Error::Usage {
                what: "a database in memory has no backup; nothing was changed".into(),
                next: "run without one".into(),
            });
        }
        backup::back_up(&self.connection, &self.path, directory, stop)
    }

    fn restore_commands(&self, backup: &Path) -> Vec<Vec<String>> {
        backup::restore(&self.path, backup)
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
        self.foreign_keys.begin();
        Ok(())
    }

    fn take_notices(&mut self) -> Vec<String> {
        // SQLite sends none.
        Vec::new()
    }

    fn run(&mut self, statement: &str) -> Result<(), EngineError> {
        // VACUUM attaches a file of its own, which no other statement may do in a copy.
        let is_vacuum = self.is_copy && Keywords::of(Dialect::Sqlite, statement).vacuums();
        if is_vacuum {
            self.connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 1).map_err(engine_error)?;
        }
        let result = self.follow_transaction(statement).and_then(|()| self.run_all(statement));
        if is_vacuum {
            self.connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0).map_err(engine_error)?;
        }
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
        if self.checks_foreign_keys {
            self.foreign_keys.compare(&self.connection)?;
        }
        self.reset_settings()
    }

    fn end_part(&mut self) -> Result<(), EngineError> {
        self.check_before_commit()?;
        self.foreign_keys = ForeignKeys::default();
        if !std::mem::take(&mut self.sets_session) {
            return Ok(());
        }
        // A new connection would end the transaction. Pragmas that would stay were refused before.
        self.batch("PRAGMA defer_foreign_keys = OFF")?;
        for row in self.query(TEMPORARY_OBJECTS, &[])? {
            row.into_iter().try_for_each(|drop| self.batch(&drop.into_text()))?;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), EngineError> {
        self.batch("COMMIT")?;
        self.is_in_transaction = false;
        Ok(())
    }

    fn rollback(&mut self) -> Result<(), EngineError> {
        self.is_in_transaction = false;
        // The numbers of schemas that were rolled back are given again.
        self.foreign_keys = ForeignKeys::default();
        if !self.connection.is_autocommit() {
            self.batch("ROLLBACK")?;
        }
        self.reset_settings()
    }

    fn reset_settings(&mut self) -> Result<(), EngineError> {
        // haul's own statements depend on no other setting.
        if self.sets_session { self.batch("PRAGMA query_only = OFF") } else { Ok(()) }
    }

    fn reset(&mut self) -> Result<(), EngineError> {
        if !self.connection.is_autocommit() {
            self.batch("ROLLBACK")?;
            let what = "the section left a transaction open; it was rolled back";
            return Err(EngineError::new(EngineErrorKind::TransactionLost, what));
        }
        self.reset_settings()
    }

    fn forget_session(&mut self) -> Result<(), EngineError> {
        if !std::mem::take(&mut self.sets_session) {
            return Ok(());
        }
        if let Some(callers) = &self.callers {
            return callers.restore(&self.connection);
        }
        // Not every pragma can be read, so none is put back: a new connection has what the first one had.
        let mut connection = match self.is_copy {
            true => copy_of(&self.connection, &self.path),
            false => connect::open_for_write(&self.path),
        }
        .map_err(|error| EngineError::new(EngineErrorKind::Unusable, error.to_string()))?;
        self.watch = Watch::of(&mut connection, Owner::Haul).map_err(engine_error)?;
        self.connection = connection;
        self.foreign_keys = ForeignKeys::default();
        Ok(())
    }
}

/// Copies a database into a temporary file.
fn copy_of(source: &Connection, path: &Path) -> Result<Connection, Error> {
    const PAGES_PER_STEP: i32 = 1000;
    let mut copy = connect::open_temporary()?;
    let mut run = || {
        let copying = Copy::new(source, &mut copy)?;
        copying.run_to_completion(PAGES_PER_STEP, Duration::ZERO, None)?;
        drop(copying);
        // Without ATTACH, a migration cannot reach another database from the copy.
        copy.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)
    };
    run().map_err(|error| engine_error(error).at(&connect::place(path)))?;
    Ok(copy)
}

fn cannot_be_undone() -> EngineError {
    let what = "on a connection of the application, PRAGMA case_sensitive_like cannot be undone";
    EngineError::new(EngineErrorKind::Statement, what).with_hint("run this migration on a connection that haul opens")
}

fn transaction_ended() -> EngineError {
    let what = "the section has ended the transaction that it ran in: the statements before are kept";
    EngineError::new(EngineErrorKind::TransactionLost, what)
}
