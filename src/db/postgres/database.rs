//! A PostgreSQL database that migrations run on.

use std::path::Path;

use postgres::fallible_iterator::FallibleIterator;
use postgres::types::Type;
use postgres::{Client, SimpleQueryMessage};

use super::address::Address;
use super::backup_scope::tables_without_rows;
use super::copy::copy_in;
use super::deadline::Deadline;
use super::errors::engine_error;
use super::ledger_place::LedgerPlace;
use super::lock;
use super::notices::Notices;
use super::pool::require_own_session;
use super::query::{has_table, query, with_literals};
use crate::db::backup::{Backup, BackupScope};
use crate::db::database::{Change, Database, LedgerName, Limits, LockHolder, ReadDatabase, Value};
use crate::db::dialect::Dialect;
use crate::db::engine_error::{EngineError, EngineErrorKind};
use crate::db::script::copy_from_client;
use crate::migration::Error;
use crate::pipeline::StopToken;

/// Resets the session settings that a section may have changed. `DISCARD ALL` would release the lock of the run too.
const RESET: &str = "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL";

/// Yields the statements that remove what a section has left in its session, mostly none. They are asked for before the
/// commit and run before the next section. The driver has prepared statements of its own, which must stay. Whether the
/// temporary schema is empty is not looked at: that would read all the catalog for each section.
const LEFTOVERS: &str = "pg_catalog.concat(CASE WHEN pg_catalog.pg_my_temp_schema() <> 0 THEN 'DISCARD TEMP; ' END, CASE \
     WHEN EXISTS (SELECT FROM pg_catalog.pg_cursors WHERE is_holdable) THEN 'CLOSE ALL; ' END, (SELECT \
     pg_catalog.string_agg('DEALLOCATE ' || pg_catalog.quote_ident(name) || '; ', '') FROM \
     pg_catalog.pg_prepared_statements WHERE from_sql))";
/// Forgets the values of sequences, which cannot be asked for.
const FORGET: &str = "DISCARD SEQUENCES; ";

/// Returns the id of the current transaction, and assigns one if it has none.
const TRANSACTION_NUMBER: &str = "pg_catalog.txid_current()::text";

/// Returns the names of the constraints that may be deferred, and are not unless a transaction asks for it.
const IMMEDIATE_CONSTRAINTS: &str = "SELECT pg_catalog.string_agg(DISTINCT pg_catalog.quote_ident(n.nspname) || '.' || \
     pg_catalog.quote_ident(c.conname), ', ') FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_namespace n ON n.oid = \
     c.connamespace WHERE c.condeferrable AND NOT c.condeferred";
/// What the server quotes in its error if the transaction is not the one that was begun, or the lock is gone. SQL alone
/// has no other way to stop a message of several statements.
const OTHER_TRANSACTION: &str = "haul: another transaction ";
const NO_LOCK: &str = "haul: no lock ";

/// A session that may write.
pub struct PostgresDatabase {
    client: Client,
    address: Address,
    place: LedgerPlace,
    /// The statements that set up the session.
    settings: String,
    notices: Notices,
    /// The key of the lock, if it was taken.
    lock: Option<i32>,
    /// The statement that sets the lock timeout of the section.
    lock_timeout: Option<String>,
    /// What is sent together with the next statement, which saves a round trip for each migration.
    unsent: String,
    /// The check before the commit, which is sent together with haul's next statement or the commit.
    check: String,
    /// The statements that remove what the section has left in its session.
    leftovers: String,
    deadline: Option<Deadline>,
    /// The id of the transaction that was begun.
    transaction: Option<String>,
}

impl PostgresDatabase {
    /// Connects to the database.
    pub fn connect(address: &Address) -> Result<Self, Error> {
        let mut found = address.connect_to_write()?;
        require_own_session(address, &mut found)?;
        let mut database = Self {
            client: found.client,
            address: address.clone(),
            place: LedgerPlace::new(found.schema),
            settings: found.settings,
            notices: found.notices,
            lock: None,
            lock_timeout: None,
            unsent: String::new(),
            check: String::new(),
            leftovers: String::new(),
            deadline: None,
            transaction: None,
        };
        let settings = database.settings.clone();
        if !settings.is_empty() {
            database.batch(&settings).map_err(|error| error.at(address.place()))?;
        }
        Ok(database)
    }

    /// Returns the statements that bring the session back to what it was when it began.
    fn reset_sql(&self) -> String {
        format!("{RESET}; {}", self.settings)
    }

    /// Runs haul's own statements.
    pub(super) fn batch(&mut self, sql: &str) -> Result<(), EngineError> {
        self.client.batch_execute(sql).map_err(|error| engine_error(&error))
    }

    /// Runs haul's own statements in one message, and returns for each the first field of its row, if it has one.
    fn fields_of(&mut self, sql: &str) -> Result<Vec<Option<String>>, EngineError> {
        let messages = self.client.simple_query(sql).map_err(|error| engine_error(&error))?;
        let (mut fields, mut field) = (Vec::new(), None);
        for message in &messages {
            match message {
                SimpleQueryMessage::Row(row) => field = row.get(0).map(str::to_owned),
                SimpleQueryMessage::CommandComplete(_) => fields.push(field.take()),
                _ => {}
            }
        }
        Ok(fields)
    }

    /// Runs haul's own statements in one message, and returns the first field of the last one.
    fn field_of(&mut self, sql: &str) -> Result<Option<String>, EngineError> {
        self.fields_of(sql).map(|fields| fields.into_iter().next_back().flatten())
    }

    /// Makes the check that is still to be made.
    fn make_check(&mut self) -> Result<(), EngineError> {
        let check = std::mem::take(&mut self.check);
        if !check.is_empty() {
            self.leftovers = self.field_of(&check).map_err(checked)?.unwrap_or_default();
        }
        Ok(())
    }

    /// Resets the settings, and notes what else the section leaves in its session.
    pub(super) fn reset_session(&mut self) -> Result<(), EngineError> {
        let found = self.field_of(&format!("{}UNLISTEN *; SELECT {LEFTOVERS}", self.reset_sql()))?;
        self.leftovers = found.unwrap_or_default();
        Ok(())
    }

    /// Checks deferred constraints now, and leaves all constraints as a new transaction has them.
    pub(super) fn settle_constraints(&mut self) -> Result<(), EngineError> {
        self.batch("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")?;
        let immediate = self.query(IMMEDIATE_CONSTRAINTS, &[])?.into_iter().flatten().next();
        match immediate.and_then(Value::into_optional_text) {
            Some(names) => self.batch(&format!("SET CONSTRAINTS {names} IMMEDIATE")),
            None => Ok(()),
        }
    }

    /// Returns what is to be sent together with the next statement.
    pub(super) fn take_unsent(&mut self) -> String {
        std::mem::take(&mut self.unsent)
    }

    fn too_late() -> EngineError {
        EngineError::new(EngineErrorKind::Cancelled, "cancelled at the time limit")
    }
}

impl ReadDatabase for PostgresDatabase {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn place(&self) -> String {
        self.address.place().to_owned()
    }

    fn query(&mut self, sql: &str, parameters: &[Value]) -> Result<Vec<Vec<Value>>, EngineError> {
        self.make_check()?;
        query(&mut self.client, sql, parameters)
    }

    fn find_ledger(&mut self, ledger: LedgerName<'_>) -> Result<Option<String>, EngineError> {
        self.place.find(&mut self.client, ledger)
    }

    fn begin_reading(&mut self) -> Result<(), EngineError> {
        self.batch("BEGIN TRANSACTION READ ONLY; SET LOCAL search_path = ''")
    }

    fn end_reading(&mut self) -> Result<(), EngineError> {
        self.batch("ROLLBACK")
    }

    fn columns(&mut self, table: &str) -> Result<Vec<String>, EngineError> {
        self.place.columns(&mut self.client, table)
    }

    fn has_table(&mut self, table: &str) -> Result<bool, EngineError> {
        has_table(&mut self.client, table)
    }

    fn table_reference(&self, table: &str) -> String {
        self.place.reference(table)
    }

    fn lock_holder(&mut self, table: &str) -> Result<Option<LockHolder>, Error> {
        lock::holder(&mut self.client, lock::key(table)).map_err(|error| error.at(self.address.place()))
    }
}

impl Database for PostgresDatabase {
    fn try_lock(&mut self, table: &str, _owner: &str) -> Result<Result<(), LockHolder>, Error> {
        let key = lock::key(table);
        let place = self.place();
        loop {
            if lock::try_take(&mut self.client, key).map_err(|error| error.at(&place))? {
                self.lock = Some(key);
                return Ok(Ok(()));
            }
            // The holder may have ended in between; then the lock is free.
            if let Some(holder) = lock::holder(&mut self.client, key).map_err(|error| error.at(&place))? {
                return Ok(Err(holder));
            }
        }
    }

    fn holds_lock(&mut self) -> Result<bool, EngineError> {
        match self.lock {
            Some(key) => lock::is_held(&mut self.client, key),
            None => Ok(false),
        }
    }

    fn unlock(&mut self) -> Result<(), EngineError> {
        match self.lock.take() {
            Some(key) => lock::release(&mut self.client, key),
            None => Ok(()),
        }
    }

    fn end_lock_holder(&mut self, table: &str, holder: &LockHolder) -> Result<(), Error> {
        let key = lock::key(table);
        let pid = holder.pid.unwrap_or_default();
        lock::end_holder(&mut self.client, key, pid).map(drop).map_err(|error| error.at(self.address.place()))
    }

    fn back_up(&mut self, scope: &BackupScope, directory: Option<&Path>, stop: &StopToken) -> Result<Backup, Error> {
        let without_rows = tables_without_rows(&mut self.client, scope).map_err(|error| error.at(&self.place()))?;
        super::backup::back_up(&self.address, &without_rows, directory, stop)
    }

    fn restore_commands(&self, backup: &Path) -> Vec<Vec<String>> {
        super::backup::restore(&self.address, backup)
    }

    fn arm(&mut self, limits: &Limits, stop: &StopToken) -> Result<(), EngineError> {
        self.lock_timeout = limits.lock_timeout.map(|wait| format!("SET lock_timeout = '{}ms'; ", wait.as_millis()));
        self.unsent.push_str(self.lock_timeout.as_deref().unwrap_or_default());
        self.deadline = self.deadline.take().or_else(|| Deadline::of(self.client.cancel_token()));
        let no_thread = || EngineError::new(EngineErrorKind::Disconnected, "no thread to watch the time limit");
        self.deadline.as_ref().map(|deadline| deadline.arm(limits.timeout, stop)).ok_or_else(no_thread)
    }

    fn disarm(&mut self) -> bool {
        self.lock_timeout = None;
        self.deadline.as_ref().is_some_and(Deadline::disarm)
    }

    fn begin(&mut self) -> Result<(), EngineError> {
        let unsent = self.take_unsent();
        self.transaction = self.field_of(&format!("{unsent}BEGIN; SELECT {TRANSACTION_NUMBER}"))?;
        Ok(())
    }

    fn take_notices(&mut self) -> Vec<String> {
        self.notices.take()
    }

    fn run(&mut self, statement: &str) -> Result<(), EngineError> {
        if self.deadline.as_ref().is_some_and(Deadline::is_due) {
            return Err(Self::too_late());
        }
        let unsent = self.take_unsent();
        if !unsent.is_empty() {
            self.batch(&unsent)?;
        }
        if let Some((command, data)) = copy_from_client(statement) {
            return copy_in(&mut self.client, command, &statement[data.clone()])
                .map_err(|fault| fault.in_data(statement, data.start));
        }
        // Each statement is sent in a message of its own, so that the server refuses a text that the lexer took for one
        // statement and that is several.
        let (client, notices) = (&mut self.client, &self.notices);
        let run = || {
            let mut rows = client.query_typed_raw(statement, Vec::<(&str, Type)>::new())?;
            while rows.next()?.is_some() {}
            Ok(())
        };
        notices.while_listening(run).map_err(|error: postgres::Error| engine_error(&error))
    }

    fn check_before_commit(&mut self) -> Result<(), EngineError> {
        if self.deadline.as_ref().is_some_and(Deadline::is_due) {
            return Err(Self::too_late());
        }
        let fails = |what: &str| format!("pg_catalog.concat('{what}', pg_catalog.pg_backend_pid())::bigint");
        let lock = self.lock.map_or_else(String::new, |key| {
            format!("WHEN ({}) = 0 THEN {} ", lock::own_lock_count_query(key), fails(NO_LOCK))
        });
        self.check = format!(
            "{}UNLISTEN *; SELECT {LEFTOVERS}, CASE WHEN {TRANSACTION_NUMBER} <> '{}' THEN {} {lock}END; ",
            self.reset_sql(),
            self.transaction.as_deref().unwrap_or_default(),
            fails(OTHER_TRANSACTION)
        );
        Ok(())
    }

    fn end_part(&mut self) -> Result<(), EngineError> {
        self.check_before_commit()?;
        self.make_check()?;
        self.settle_constraints()?;
        // Cursors that end with a transaction do not end here by themselves.
        self.leftovers.insert_str(0, "CLOSE ALL; ");
        self.forget_session()?;
        self.unsent.push_str(self.lock_timeout.as_deref().unwrap_or_default());
        Ok(())
    }

    fn commit(&mut self) -> Result<(), EngineError> {
        self.commit_with(&[]).map(drop)
    }

    fn commit_with(&mut self, changes: &[Change]) -> Result<Vec<Option<i64>>, EngineError> {
        self.transaction = None;
        let own = changes.iter().map(|change| with_literals(&change.sql, &change.values) + "; ").collect::<String>();
        // The server reads the whole message in the encoding that the session has when it arrives.
        if !own.is_ascii() {
            self.make_check()?;
        }
        let check = std::mem::take(&mut self.check);
        let mut fields = self.fields_of(&format!("{check}{own}COMMIT")).map_err(checked)?;
        fields.pop();
        let numbers = fields.split_off(fields.len().saturating_sub(changes.len()));
        if !check.is_empty() {
            self.leftovers = fields.pop().flatten().unwrap_or_default();
        }
        Ok(numbers.into_iter().map(|number| number?.parse().ok()).collect())
    }

    fn rollback(&mut self) -> Result<(), EngineError> {
        self.transaction = None;
        self.check.clear();
        // A late request to cancel may reach this statement instead of the one that it was meant for.
        match self.batch("ROLLBACK") {
            Err(error) if error.kind == EngineErrorKind::Cancelled => self.batch("ROLLBACK")?,
            result => result?,
        }
        self.batch(&self.reset_sql())
    }

    fn reset_settings(&mut self) -> Result<(), EngineError> {
        let limit = self.lock_timeout.as_deref().unwrap_or_default();
        self.batch(&format!("{}{limit}", self.reset_sql()))
    }

    fn reset(&mut self) -> Result<(), EngineError> {
        // Outside of a transaction, this is only a warning.
        self.batch("ROLLBACK")?;
        self.reset_session()
    }

    fn forget_session(&mut self) -> Result<(), EngineError> {
        let leftovers = std::mem::take(&mut self.leftovers);
        self.unsent = FORGET.into();
        if leftovers.is_empty() { Ok(()) } else { self.batch(&leftovers) }
    }
}

/// Explains the error of a message with the check before the commit.
fn checked(error: EngineError) -> EngineError {
    if error.message.contains(OTHER_TRANSACTION) {
        let what = "the section has ended the transaction that it ran in: the statements before are kept";
        return EngineError::new(EngineErrorKind::TransactionLost, what);
    }
    if error.message.contains(NO_LOCK) {
        return EngineError::new(EngineErrorKind::Statement, "the lock of this run is gone")
            .with_hint("check that no migration releases locks, and that no pool in transaction mode is in between");
    }
    error
}
