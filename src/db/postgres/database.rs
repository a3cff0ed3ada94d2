//! A PostgreSQL database that migrations run on.

use std::path::Path;

use postgres::fallible_iterator::FallibleIterator;
use postgres::types::Type;
use postgres::{Client, SimpleQueryMessage};

use super::address::Address;
use super::backup_scope::tables_without_rows;
use super::callers::CallersSession;
use super::copy::copy_in;
use super::deadline::Deadline;
use super::errors::engine_error;
use super::ledger_place::LedgerPlace;
use super::lock::{self, Key};
use super::notices::Notices;
use super::pool::require_own_session;
use super::query::{execute, has_table, query, quoted, with_literals};
use super::reader::NAMES;
use super::tls::Connector;
use crate::db::backup::{Backup, BackupScope};
use crate::db::database::{Change, Database, Encryption, LedgerName, Limits, LockHolder, ReadDatabase, Value};
use crate::db::dialect::Dialect;
use crate::db::engine_error::{EngineError, EngineErrorKind};
use crate::db::script::classify::Keywords;
use crate::db::script::copy_from_client;
use crate::migration::Error;
use crate::pipeline::StopToken;

/// Resets the session settings that a section may have changed. `DISCARD ALL` would release the lock of the run too.
const RESET: &str = "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL";

/// Longer statements are not read for whether they are `RESET ALL`.
const RESET_BYTES_MAX: usize = 200;

/// Yields the statements that remove what a section has left in its session, mostly none. They are asked for before the
/// commit and run before the next section. The driver has prepared statements of its own, which must stay. Whether the
/// temporary schema is empty is not looked at: that would read all the catalog for each section.
const LEFTOVERS: &str = "pg_catalog.concat(CASE WHEN pg_catalog.pg_my_temp_schema() <> 0 THEN 'DISCARD TEMP; ' END, CASE \
     WHEN EXISTS (SELECT FROM pg_catalog.pg_cursor() WHERE is_holdable) THEN 'CLOSE ALL; ' END, (SELECT \
     pg_catalog.string_agg('DEALLOCATE ' || pg_catalog.quote_ident(name) || '; ', '') FROM \
     pg_catalog.pg_prepared_statement() WHERE from_sql))";
/// The same for a section that can only have left temporary objects.
const TEMPORARY_OBJECTS: &str = "CASE WHEN pg_catalog.pg_my_temp_schema() <> 0 THEN 'DISCARD TEMP; ' END";
/// Forgets the values of sequences, which cannot be asked for.
const FORGET: &str = "DISCARD SEQUENCES; ";

/// Yields what is set in the session. Settings of an application's own are not listed by the server.
const SESSION_STATE: &str = "SELECT name, setting FROM pg_catalog.pg_settings WHERE source = 'session' UNION ALL SELECT 'role', \
     pg_catalog.current_setting('role') UNION ALL SELECT 'session_authorization', session_user::text UNION ALL SELECT \
     pg_catalog.concat('the temporary object ', relname), '' FROM pg_catalog.pg_class WHERE pg_catalog.pg_my_temp_schema() <> \
     0 AND relnamespace = pg_catalog.pg_my_temp_schema()";

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
    /// Where the database is. It is not known of a session of the application.
    address: Option<Address>,
    /// The name of the database in messages.
    name: String,
    place: LedgerPlace,
    /// The statements that set up the session.
    settings: String,
    /// Those of them that `RESET ALL` undoes.
    settings_of_haul: String,
    /// The statements that set what the application has set, if the session is its own.
    callers: String,
    notices: Notices,
    /// What encrypts requests to cancel; `None` for a session of the application.
    tls: Option<Connector>,
    encryption: Option<Encryption>,
    /// The locks that were taken.
    lock: Vec<Key>,
    /// The statement that sets the lock timeout of the section.
    lock_timeout: Option<String>,
    /// What is sent together with the next statement, which saves a round trip for each migration.
    unsent: String,
    /// The check before the commit, which is sent together with haul's next statement or the commit.
    check: String,
    /// The statements that remove what the section has left in its session.
    leftovers: String,
    /// True if a statement may have left more than temporary objects.
    may_have_left: bool,
    deadline: Option<Deadline>,
    /// The id of the transaction that was begun.
    transaction: Option<String>,
}

impl PostgresDatabase {
    /// Connects to the database.
    pub fn connect(address: &Address) -> Result<Self, Error> {
        let mut found = address.connect_to_write()?;
        require_own_session(address, &mut found)?;
        let settings_of_haul = found.settings.clone();
        if let Some(role) = &address.role {
            let sql = format!("SET ROLE {}; ", quoted(role));
            found.set_role(&sql).map_err(|error| error.at(address.place()))?;
            // Each reset goes back to the user that connects.
            found.settings.push_str(&sql);
        }
        let (name, place) = (address.place().to_owned(), LedgerPlace::new(found.schema));
        let database = Self::new(found.client, name, place, found.settings)?;
        let (address, tls, encryption) = (Some(address.clone()), Some(found.tls), Some(found.encryption));
        Ok(Self { address, settings_of_haul, notices: found.notices, tls, encryption, ..database })
    }

    /// Takes a session of the application. [`into_client`](Self::into_client) gives it back. It may not be in a
    /// transaction, and must be a session of its own, not one that a pool gives to others between transactions.
    ///
    /// What the application has set in it (settings, the role) holds for the migrations, and again afterwards; settings
    /// of its own are for [`from_client_with`](Self::from_client_with). What a migration leaves in it is removed after
    /// its section: temporary objects, prepared statements, cursors, channels; so a session that has some is refused.
    /// Advisory locks stay. The current values of sequences are forgotten. haul sets for itself `standard_conforming_strings`,
    /// `client_connection_check_interval`, and on a network `tcp_keepalives_*`.
    ///
    /// Notices of the server go where the application has configured, and not to the observer. There is no backup,
    /// because haul does not know how to connect. A statement is cancelled over a second connection without TLS; where
    /// the server takes none, set `statement_timeout` too.
    ///
    /// ```no_run
    /// # use haul::{Control, DbMigrateRequest, DbRunner, DbRunnerOptions, Dialect, Migrations, PostgresDatabase, Silent, StopToken};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = postgres::Client::connect("host=/run/postgresql user=app", postgres::NoTls)?;
    /// let migrations = Migrations::from_texts(Dialect::Postgres, [("1_a.sql", "CREATE TABLE a (a INT);")])?;
    /// let database = PostgresDatabase::from_client(client)?;
    /// let mut runner = DbRunner::new(Box::new(database), migrations, DbRunnerOptions::default())?;
    /// runner.migrate(&DbMigrateRequest::default(), &Control { stop: &StopToken::new(), observer: &Silent })?;
    /// let database: PostgresDatabase = runner.into_database().expect("it is the one from above");
    /// database.into_client()?.batch_execute("INSERT INTO a VALUES (1)")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_client(client: Client) -> Result<Self, Error> {
        Self::from_client_with(client, &[])
    }

    /// Works like [`from_client`](Self::from_client), and keeps these settings too. The server does not list those of
    /// the application's own, which have a dot in their name, such as `app.tenant`: others of them are reset.
    pub fn from_client_with(mut client: Client, settings: &[&str]) -> Result<Self, Error> {
        let found = CallersSession::of(&mut client, settings, LEFTOVERS)?;
        let name = format!("the PostgreSQL database {}", found.database);
        let database = Self::new(client, name, LedgerPlace::new(found.schema), found.settings)?;
        Ok(Self { callers: found.own, ..database })
    }

    /// Returns the session, with the settings that it had when haul got it.
    pub fn into_client(mut self) -> Result<Client, Error> {
        let leftovers = std::mem::take(&mut self.leftovers);
        let reset = format!("{leftovers}UNLISTEN *; {RESET}; {}", self.callers);
        let result = self.unlock().and_then(|()| self.batch(&reset));
        result.map_err(|error| error.at(&self.name))?;
        Ok(self.client)
    }

    fn new(client: Client, name: String, place: LedgerPlace, settings: String) -> Result<Self, Error> {
        let mut database = Self {
            client,
            address: None,
            name,
            place,
            settings,
            settings_of_haul: String::new(),
            callers: String::new(),
            notices: Notices::default(),
            tls: None,
            encryption: None,
            lock: Vec::new(),
            lock_timeout: None,
            unsent: String::new(),
            check: String::new(),
            leftovers: String::new(),
            may_have_left: false,
            deadline: None,
            transaction: None,
        };
        let settings = database.settings.clone();
        if !settings.is_empty() {
            database.batch(&settings).map_err(|error| error.at(&database.name))?;
        }
        Ok(database)
    }

    /// Returns the statements that bring the session back to what it was when it began.
    fn reset_sql(&self) -> String {
        format!("{RESET}; {}", self.settings)
    }

    /// Returns what yields the statements that remove what a section has left. The locks of an application are its own.
    fn leftovers_sql(&self) -> String {
        match self.address {
            _ if !self.may_have_left => TEMPORARY_OBJECTS.to_owned(),
            Some(_) => format!("pg_catalog.concat({LEFTOVERS}, ({}))", lock::releases_query(&self.lock)),
            None => LEFTOVERS.to_owned(),
        }
    }

    /// Runs haul's own statements.
    pub(super) fn batch(&mut self, sql: &str) -> Result<(), EngineError> {
        self.client.batch_execute(sql).map_err(|error| engine_error(&error))
    }

    /// Runs haul's own statements in one message, and returns for each the first field of its row, if it has one, and the
    /// number of rows.
    fn results_of(&mut self, sql: &str) -> Result<Vec<(Option<String>, u64)>, EngineError> {
        let messages = self.client.simple_query(sql).map_err(|error| engine_error(&error))?;
        let (mut results, mut field) = (Vec::new(), None);
        for message in &messages {
            match message {
                SimpleQueryMessage::Row(row) => field = row.get(0).map(str::to_owned),
                SimpleQueryMessage::CommandComplete(count) => results.push((field.take(), *count)),
                _ => {}
            }
        }
        Ok(results)
    }

    /// Runs haul's own statements in one message, and returns the first field of the last one.
    fn field_of(&mut self, sql: &str) -> Result<Option<String>, EngineError> {
        self.results_of(sql).map(|results| results.into_iter().next_back().and_then(|(field, _)| field))
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
        let found = self.field_of(&format!("{}UNLISTEN *; SELECT {}", self.reset_sql(), self.leftovers_sql()))?;
        self.leftovers = found.unwrap_or_default();
        self.may_have_left = false;
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

    fn lock_keys(&self, table: &str) -> Vec<Key> {
        lock::keys(table, self.address.as_ref().and_then(Address::schema))
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
        self.name.clone()
    }

    fn encryption(&self) -> Option<Encryption> {
        self.encryption
    }

    fn query(&mut self, sql: &str, parameters: &[Value]) -> Result<Vec<Vec<Value>>, EngineError> {
        self.make_check()?;
        query(&mut self.client, sql, parameters)
    }

    fn find_ledger(&mut self, ledger: LedgerName<'_>) -> Result<Option<String>, EngineError> {
        self.place.find(&mut self.client, ledger)
    }

    fn begin_reading(&mut self) -> Result<(), EngineError> {
        self.batch(&format!("BEGIN TRANSACTION READ ONLY; {NAMES}"))
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
        let tenant = self.address.as_ref().and_then(Address::schema);
        lock::named_holder(&mut self.client, table, tenant).map_err(|error| error.at(&self.place()))
    }
}

impl Database for PostgresDatabase {
    fn try_lock(&mut self, table: &str, _owner: &str) -> Result<Result<(), LockHolder>, Error> {
        let keys = self.lock_keys(table);
        let place = self.place();
        loop {
            if lock::try_take(&mut self.client, &keys).map_err(|error| error.at(&place))? {
                self.lock = keys;
                return Ok(Ok(()));
            }
            // The holder may have ended in between; then the lock is free.
            if let Some(holder) = lock::holder(&mut self.client, &keys).map_err(|error| error.at(&place))? {
                return Ok(Err(holder));
            }
        }
    }

    fn holds_lock(&mut self) -> Result<bool, EngineError> {
        Ok(!self.lock.is_empty() && lock::are_held(&mut self.client, &self.lock)?)
    }

    fn unlock(&mut self) -> Result<(), EngineError> {
        match std::mem::take(&mut self.lock) {
            keys if keys.is_empty() => Ok(()),
            keys => lock::release(&mut self.client, &keys),
        }
    }

    fn end_lock_holder(&mut self, table: &str, holder: &LockHolder) -> Result<(), Error> {
        let keys = self.lock_keys(table);
        let pid = holder.pid.unwrap_or_default();
        lock::end_holder(&mut self.client, &keys, pid).map(drop).map_err(|error| error.at(&self.place()))
    }

    fn back_up(&mut self, scope: &BackupScope, directory: Option<&Path>, stop: &StopToken) -> Result<Backup, Error> {
        let Some(address) = self.address.clone() else {
            return Err(Error::Usage {
                what: format!("{}: haul does not know how pg_dump connects to it; nothing was changed", self.name),
                next: "make a backup by other means, and run without one".into(),
            });
        };
        let without_rows = tables_without_rows(&mut self.client, scope).map_err(|error| error.at(&self.place()))?;
        super::backup::back_up(&address, &without_rows, directory, stop)
    }

    fn restore_commands(&self, backup: &Path) -> Vec<Vec<String>> {
        self.address.as_ref().map(|address| super::backup::restore(address, backup)).unwrap_or_default()
    }

    fn arm(&mut self, limits: &Limits, stop: &StopToken) -> Result<(), EngineError> {
        self.lock_timeout = limits.lock_timeout.map(|wait| format!("SET lock_timeout = '{}ms'; ", wait.as_millis()));
        self.unsent.push_str(self.lock_timeout.as_deref().unwrap_or_default());
        let watch = || Deadline::of(self.client.cancel_token(), self.tls.clone());
        self.deadline = self.deadline.take().or_else(watch);
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
        self.may_have_left |= lock::may_leave(statement);
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
        notices.while_listening(run).map_err(|error: postgres::Error| engine_error(&error))?;
        if statement.len() <= RESET_BYTES_MAX && Keywords::of(Dialect::Postgres, statement).resets_all() {
            // Without these the server would keep the lock of a run that is killed until the next statement ends.
            self.unsent = format!("{}{}", self.settings_of_haul, self.lock_timeout.as_deref().unwrap_or_default());
        }
        Ok(())
    }

    fn check_before_commit(&mut self) -> Result<(), EngineError> {
        if self.deadline.as_ref().is_some_and(Deadline::is_due) {
            return Err(Self::too_late());
        }
        let fails = |what: &str| format!("pg_catalog.concat('{what}', pg_catalog.pg_backend_pid())::bigint");
        let lock = match &self.lock[..] {
            [] => String::new(),
            keys => format!("WHEN NOT ({}) THEN {} ", lock::is_held(keys), fails(NO_LOCK)),
        };
        self.check = format!(
            "{}UNLISTEN *; SELECT {}, CASE WHEN {TRANSACTION_NUMBER} <> '{}' THEN {} {lock}END; ",
            self.reset_sql(),
            self.leftovers_sql(),
            self.transaction.as_deref().unwrap_or_default(),
            fails(OTHER_TRANSACTION)
        );
        self.may_have_left = false;
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

    fn make(&mut self, change: &Change) -> Result<u64, EngineError> {
        self.make_check()?;
        execute(&mut self.client, &change.sql, &change.values)
    }

    fn commit_with(&mut self, changes: &[Change]) -> Result<Vec<u64>, EngineError> {
        self.transaction = None;
        let own = changes.iter().map(|change| with_literals(&change.sql, &change.values) + "; ").collect::<String>();
        // The server reads the whole message in the encoding that the session has when it arrives.
        if !own.is_ascii() {
            self.make_check()?;
        }
        let check = std::mem::take(&mut self.check);
        let mut results = self.results_of(&format!("{check}{own}COMMIT")).map_err(checked)?;
        results.pop();
        let made = results.split_off(results.len().saturating_sub(changes.len()));
        if !check.is_empty() {
            self.leftovers = results.pop().and_then(|(field, _)| field).unwrap_or_default();
        }
        Ok(made.into_iter().map(|(_, count)| count).collect())
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

    fn session_state(&mut self) -> Result<Vec<(String, String)>, EngineError> {
        let unsent = self.take_unsent();
        if !unsent.is_empty() {
            self.batch(&unsent)?;
        }
        let pair = |row: Vec<Value>| {
            let mut values = row.into_iter().map(Value::into_text);
            (values.next().unwrap_or_default(), values.next().unwrap_or_default())
        };
        Ok(self.query(SESSION_STATE, &[])?.into_iter().map(pair).collect())
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
