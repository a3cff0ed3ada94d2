//! A run on PostgreSQL that never commits: everything happens in one transaction, which is rolled back.
//!
//! A savepoint takes the place of the transaction of each migration. No other session sees the changes, but changed
//! tables stay locked until the end, and sequences keep the values that they have reached: PostgreSQL does not roll
//! those back.

use std::path::Path;

use super::address::Address;
use super::database::PostgresDatabase;
use super::reader::{BACK_TO_SAVEPOINT, NAMES, SAVEPOINT};
use crate::db::backup::{Backup, BackupScope};
use crate::db::database::{Change, Database, Encryption, LedgerName, Limits, LockHolder, ReadDatabase, Value};
use crate::db::dialect::Dialect;
use crate::db::engine_error::EngineError;
use crate::migration::Error;
use crate::pipeline::StopToken;

/// A session inside a transaction that never commits. The server rolls it back when the session ends.
pub struct PostgresRehearsal(PostgresDatabase);

impl PostgresRehearsal {
    /// Connects and begins the transaction.
    pub fn connect(address: &Address) -> Result<Self, Error> {
        let mut database = PostgresDatabase::connect(address)?;
        database.batch("BEGIN").map_err(|error| error.at(address.place()))?;
        Ok(Self(database))
    }
}

impl ReadDatabase for PostgresRehearsal {
    fn dialect(&self) -> Dialect {
        self.0.dialect()
    }

    fn place(&self) -> String {
        self.0.place()
    }

    fn encryption(&self) -> Option<Encryption> {
        self.0.encryption()
    }

    fn query(&mut self, sql: &str, parameters: &[Value]) -> Result<Vec<Vec<Value>>, EngineError> {
        self.0.query(sql, parameters)
    }

    fn find_ledger(&mut self, ledger: LedgerName<'_>) -> Result<Option<String>, EngineError> {
        self.0.find_ledger(ledger)
    }

    fn begin_reading(&mut self) -> Result<(), EngineError> {
        self.0.batch(&format!("{SAVEPOINT}; {NAMES}"))
    }

    fn end_reading(&mut self) -> Result<(), EngineError> {
        self.0.batch(BACK_TO_SAVEPOINT)
    }

    fn columns(&mut self, table: &str) -> Result<Vec<String>, EngineError> {
        self.0.columns(table)
    }

    fn has_table(&mut self, table: &str) -> Result<bool, EngineError> {
        self.0.has_table(table)
    }

    fn table_reference(&self, table: &str) -> String {
        self.0.table_reference(table)
    }

    fn lock_holder(&mut self, table: &str) -> Result<Option<LockHolder>, Error> {
        self.0.lock_holder(table)
    }
}

impl Database for PostgresRehearsal {
    fn try_lock(&mut self, table: &str, owner: &str) -> Result<Result<(), LockHolder>, Error> {
        self.0.try_lock(table, owner)
    }

    fn holds_lock(&mut self) -> Result<bool, EngineError> {
        self.0.holds_lock()
    }

    fn unlock(&mut self) -> Result<(), EngineError> {
        self.0.unlock()
    }

    fn end_lock_holder(&mut self, table: &str, holder: &LockHolder) -> Result<(), Error> {
        self.0.end_lock_holder(table, holder)
    }

    fn back_up(&mut self, scope: &BackupScope, directory: Option<&Path>, stop: &StopToken) -> Result<Backup, Error> {
        self.0.back_up(scope, directory, stop)
    }

    fn restore_commands(&self, backup: &Path) -> Vec<Vec<String>> {
        self.0.restore_commands(backup)
    }

    fn arm(&mut self, limits: &Limits, stop: &StopToken) -> Result<(), EngineError> {
        self.0.arm(limits, stop)
    }

    fn disarm(&mut self) -> bool {
        self.0.disarm()
    }

    fn begin(&mut self) -> Result<(), EngineError> {
        let unsent = self.0.take_unsent();
        self.0.batch(&format!("{unsent}SAVEPOINT haul_rehearsal"))
    }

    fn take_notices(&mut self) -> Vec<String> {
        self.0.take_notices()
    }

    fn run(&mut self, statement: &str) -> Result<(), EngineError> {
        self.0.run(statement)
    }

    /// Checks deferred constraints now, because there will be no commit that does. The next migration begins with the
    /// constraints as a new transaction has them, and without what ends with a transaction.
    fn check_before_commit(&mut self) -> Result<(), EngineError> {
        self.0.settle_constraints()?;
        self.0.batch("CLOSE ALL")?;
        self.0.reset_session()
    }

    fn end_part(&mut self) -> Result<(), EngineError> {
        self.check_before_commit()?;
        self.forget_session()
    }

    fn make(&mut self, change: &Change) -> Result<u64, EngineError> {
        self.0.make(change)
    }

    fn commit(&mut self) -> Result<(), EngineError> {
        self.0.batch("RELEASE SAVEPOINT haul_rehearsal")
    }

    fn rollback(&mut self) -> Result<(), EngineError> {
        self.0.batch("ROLLBACK TO SAVEPOINT haul_rehearsal")
    }

    fn reset_settings(&mut self) -> Result<(), EngineError> {
        self.0.reset_settings()
    }

    fn session_state(&mut self) -> Result<Vec<(String, String)>, EngineError> {
        self.0.session_state()
    }

    fn reset(&mut self) -> Result<(), EngineError> {
        Ok(())
    }

    fn forget_session(&mut self) -> Result<(), EngineError> {
        self.0.forget_session()
    }
}
