//! A PostgreSQL database that migrations run on.

use std::path::Path;

use postgres::fallible_iterator::FallibleIterator;
use postgres::types::Type;
use postgres::{Client, SimpleQueryMessage};

use super::address::Address;
use super::copy::copy_in;
use super::deadline::Deadline;
use super::errors::engine_error;
use super::ledger_place::LedgerPlace;
use super::lock;
use super::notices::Notices;
use super::pool::require_own_session;
use super::query::{has_table, query, quoted};
use super::tls::Connector;
use crate::db::backup::Backup;
use crate::db::database::{Database, Encryption, LedgerName, Limits, LockHolder, ReadDatabase, Value};
use crate::db::dialect::Dialect;
use crate::db::engine_error::{EngineError, EngineErrorKind};
use crate::db::script::copy_from_client;
use crate::migration::Error;
use crate::pipeline::StopToken;

/// Resets the session settings that a section may have changed. `DISCARD ALL` would release the lock of the run too.
const RESET: &str = "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL";

/// Yields the statements that remove what a section has left in its session, mostly none. They are asked for before the
/// commit and run before the next section. The driver has prepared statements of its own, which must stay.
const LEFTOVERS: &str = "pg_catalog.concat(CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_class WHERE relnamespace = \
     pg_catalog.pg_my_temp_schema() UNION ALL SELECT FROM pg_catalog.pg_proc WHERE pronamespace = \
     pg_catalog.pg_my_temp_schema() UNION ALL SELECT FROM pg_catalog.pg_type WHERE typnamespace = \
     pg_catalog.pg_my_temp_schema()) THEN 'DISCARD TEMP; ' END, CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_cursors \
     WHERE is_holdable) THEN 'CLOSE ALL; ' END, (SELECT pg_catalog.string_agg('DEALLOCATE ' || \
     pg_catalog.quote_ident(name) || '; ', '') FROM pg_catalog.pg_prepared_statements WHERE from_sql))";
/// Forgets the values of sequences, which cannot be asked for.
const FORGET: &str = "DISCARD SEQUENCES; ";

/// Returns the id of the current transaction, and assigns one if it has none.
const TRANSACTION_NUMBER: &str = "pg_catalog.txid_current()::text";

/// A session that may write.
pub struct PostgresDatabase {
    client: Client,
    address: Address,
    place: LedgerPlace,
    /// The statements that set up the session.
    settings: String,
    notices: Notices,
    tls: Connector,
    encryption: Encryption,
    /// The key of the lock, if it was taken.
    lock: Option<i32>,
    /// The statement that sets the lock timeout of the section.
    lock_timeout: Option<String>,
    /// What is sent together with the next statement, which saves a round trip for each migration.
    unsent: String,
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
        if let Some(role) = &address.role {
            let sql = format!("SET ROLE {}; ", quoted(role));
            found.set_role(&sql).map_err(|error| error.at(address.place()))?;
            // Each reset goes back to the user that connects.
            found.settings.push_str(&sql);
        }
        let mut database = Self {
            client: found.client,
            address: address.clone(),
            place: LedgerPlace::new(found.schema),
            settings: found.settings,
            notices: found.notices,
            tls: found.tls,
            encryption: found.encryption,
            lock: None,
            lock_timeout: None,
            unsent: String::new(),
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

    /// Runs haul's own statements in one message, and returns their only row.
    fn row_of(&mut self, sql: &str) -> Result<Vec<String>, EngineError> {
        let messages = self.client.simple_query(sql).map_err(|error| engine_error(&error))?;
        let row = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let field = |row: &postgres::SimpleQueryRow, at| row.get(at).unwrap_or_default().to_owned();
        Ok(row.map(|row| (0..row.len()).map(|at| field(row, at)).collect()).unwrap_or_default())
    }

    /// Resets the settings, and notes what else the section leaves in its session.
    pub(super) fn reset_session(&mut self) -> Result<(), EngineError> {
        let row = self.row_of(&format!("{}UNLISTEN *; SELECT {LEFTOVERS}", self.reset_sql()))?;
        self.leftovers = row.into_iter().next().unwrap_or_default();
        Ok(())
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

    fn encryption(&self) -> Option<Encryption> {
        Some(self.encryption)
    }

    fn query(&mut self, sql: &str, parameters: &[Value]) -> Result<Vec<Vec<Value>>, EngineError> {
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

    fn back_up(&mut self, directory: Option<&Path>, stop: &StopToken) -> Result<Backup, Error> {
        super::backup::back_up(&self.address, directory, stop)
    }

    fn arm(&mut self, limits: &Limits, stop: &StopToken) -> Result<(), EngineError> {
        self.lock_timeout = limits.lock_timeout.map(|wait| format!("SET lock_timeout = '{}ms'; ", wait.as_millis()));
        self.unsent.push_str(self.lock_timeout.as_deref().unwrap_or_default());
        self.deadline = Deadline::arm(self.client.cancel_token(), &self.tls, limits.timeout, stop);
        let no_thread = || EngineError::new(EngineErrorKind::Disconnected, "no thread to watch the time limit");
        if self.deadline.is_none() { Err(no_thread()) } else { Ok(()) }
    }

    fn disarm(&mut self) -> bool {
        self.lock_timeout = None;
        self.deadline.take().is_some_and(Deadline::disarm)
    }

    fn begin(&mut self) -> Result<(), EngineError> {
        let unsent = self.take_unsent();
        let row = self.row_of(&format!("{unsent}BEGIN; SELECT {TRANSACTION_NUMBER}"))?;
        self.transaction = row.into_iter().next();
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
        let is_held = self.lock.map_or_else(|| "NULL".into(), |key| format!("({})", lock::own_lock_count_query(key)));
        let reset = self.reset_sql();
        let found = format!("{reset}UNLISTEN *; SELECT {TRANSACTION_NUMBER}, {is_held}, {LEFTOVERS}");
        let row = self.row_of(&found)?;
        if row.first() != self.transaction.as_ref() {
            let what = "the section has ended the transaction that it ran in: the statements before are kept";
            return Err(EngineError::new(EngineErrorKind::TransactionLost, what));
        }
        if row.get(1).is_some_and(|count| count == "0") {
            let error = EngineError::new(EngineErrorKind::Statement, "the lock of this run is gone");
            return Err(error.with_hint(
                "check that no migration releases locks, and that no pool in transaction mode is in between",
            ));
        }
        self.leftovers = row.into_iter().nth(2).unwrap_or_default();
        Ok(())
    }

    fn commit(&mut self) -> Result<(), EngineError> {
        self.transaction = None;
        self.batch("COMMIT")
    }

    fn rollback(&mut self) -> Result<(), EngineError> {
        self.transaction = None;
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
