//! Connections to PostgreSQL databases.
//!
//! Nothing of haul's own is sent while a connection starts, because pools refuse settings that they do not know. A
//! connection that only reads works within one transaction and leaves no setting behind, so that it may share its
//! session with others.

use postgres::config::SslMode;
use postgres::error::SqlState;
use postgres::{Client, Config};

use super::address::{Address, Host, Wanted};
use super::errors::engine_error;
use super::notices::Notices;
use super::query::{flag, query, quoted};
use super::tls::Connector;
use crate::db::database::{Encryption, Value};
use crate::db::engine_error::{EngineError, EngineErrorKind};
use crate::migration::Error;

/// PostgreSQL truncates names after this length.
const NAME_BYTES_MAX: usize = 63;
/// Begins the transaction in which a connection reads. All of its queries see the same state: tables that a first run creates
/// in between would look like some that are half gone.
const BEGIN_READING: &str = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY";
/// The age up to which the process of a connection can be a new one, in milliseconds.
const NEW_UNTIL_MS: i64 = 200;
/// The version from which a server can look whether its client is still there.
const CHECKS_CLIENTS_FROM: i64 = 140_000;

/// A connection, and what the server said about it.
pub struct Connection {
    pub client: Client,
    /// The schema in which new tables are created.
    pub schema: Option<String>,
    /// The process of the server that answered first.
    pub backend: i64,
    /// The statements that set up the session, to be repeated after a reset; empty if nothing reads user's statements.
    pub settings: String,
    /// The statements that begin a transaction in which the connection reads.
    pub begin_reading: String,
    /// True if there seems to be a pool in between.
    pub is_pooled: bool,
    pub notices: Notices,
    pub tls: Connector,
    pub encryption: Encryption,
}

impl Address {
    /// Opens a connection in a transaction that is read-only.
    pub(super) fn connect_to_read(&self) -> Result<Connection, Error> {
        let begin = |mut found: Connection| {
            found.client.batch_execute(&found.begin_reading).map_err(|error| engine_error(&error))?;
            if let Some(sql) = self.reading_role() {
                found.set_role(&sql)?;
                found.begin_reading.push_str(&format!("; {sql}"));
            }
            Ok(found)
        };
        self.connect(self.wanted).and_then(begin).map_err(|error: EngineError| error.at(self.place()))
    }

    /// Opens a connection that may write. Of several servers it takes one that may be written to.
    pub(super) fn connect_to_write(&self) -> Result<Connection, Error> {
        self.try_to_write().map_err(|error| error.at(self.place()))
    }

    pub(super) fn try_to_write(&self) -> Result<Connection, EngineError> {
        let is_choice = self.wanted == Wanted::Any && self.hosts.len() > 1;
        self.connect(if is_choice { Wanted::ReadWrite } else { self.wanted })
    }

    /// Returns the statement that sets the role for a transaction that reads.
    pub(super) fn reading_role(&self) -> Option<String> {
        self.role.as_ref().map(|role| format!("SET LOCAL ROLE {}", quoted(role)))
    }

    /// Fails if no server of the wanted kind answers.
    pub(super) fn answers(&self, to_write: bool) -> Result<(), EngineError> {
        let found = if to_write { self.try_to_write() } else { self.connect(self.wanted) };
        found.map(drop)
    }

    /// Tries the servers in order.
    fn connect(&self, wanted: Wanted) -> Result<Connection, EngineError> {
        let mut failures = Vec::new();
        for host in &self.hosts {
            match self.connect_to(host, wanted) {
                Ok(found) => return Ok(found),
                Err(error) => failures.push((host, error)),
            }
        }
        if wanted == Wanted::PreferStandby {
            return self.connect(Wanted::Any);
        }
        Err(combined(failures))
    }

    /// Connects with encryption or without, as the settings and the server want it.
    fn client(&self, config: &mut Config, is_socket: bool) -> Result<(Client, Connector), EngineError> {
        let mut refusal = None;
        for mode in self.tls.attempts(is_socket) {
            let needs_no_files = *mode == SslMode::Disable;
            let tls = if needs_no_files { Connector::without_files(&self.tls) } else { Connector::new(&self.tls) }?;
            match config.ssl_mode(*mode).connect(tls.make()) {
                Ok(client) => return Ok((client, tls)),
                Err(error) if error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION) => {
                    // The rules of a server may ask for encryption or forbid it. The first answer is about what was wanted.
                    refusal.get_or_insert(engine_error(&error));
                }
                Err(error) => return Err(refusal.unwrap_or_else(|| engine_error(&error))),
            }
        }
        Err(refusal.unwrap_or_else(|| unreachable!("there is an attempt")))
    }

    fn connect_to(&self, host: &Host, wanted: Wanted) -> Result<Connection, EngineError> {
        let mut config: Config = (*self.config).clone();
        config.host(&host.name).port(host.port).application_name(&application_name());
        if let Some(address) = host.address {
            config.hostaddr(address);
        }
        let notices = Notices::default();
        let heard = notices.clone();
        config.notice_callback(move |notice| heard.add(&notice));
        config.ssl_negotiation(self.tls.negotiation());
        let (client, tls) = self.client(&mut config, host.is_socket())?;
        let mut connection = Connection::new(client, notices, host, tls)?;
        if let Some(schema) = self.schema() {
            connection.enter(schema)?;
        }
        match wanted {
            Wanted::Any => Ok(connection),
            wanted => connection.require(wanted, self.wanted != Wanted::Any),
        }
    }
}

impl Connection {
    fn new(mut client: Client, notices: Notices, host: &Host, tls: Connector) -> Result<Self, EngineError> {
        // One round trip, for what is always needed and for what a pool shows itself by.
        let sql = "SELECT pg_catalog.current_schema()::text, pg_catalog.pg_backend_pid()::bigint, (extract(epoch FROM \
                   pg_catalog.clock_timestamp() - a.backend_start) * 1000)::bigint, \
                   pg_catalog.current_setting('server_version_num')::bigint, \
                   (pg_catalog.current_setting('standard_conforming_strings') = 'on')::int::bigint, \
                   pg_catalog.inet_server_port()::bigint FROM pg_catalog.pg_stat_activity a WHERE a.pid = pg_catalog.pg_backend_pid()";
        let row = query(&mut client, sql, &[])?.into_iter().next().unwrap_or_default();
        let mut values = row.into_iter();
        let mut next = || values.next().unwrap_or(Value::Text(None));
        let schema = next().into_optional_text();
        let mut number = || next().integer().unwrap_or_default();
        let (backend, age_ms, version) = (number(), number(), number());
        let (has_standard_strings, server_port) = (number() == 1, number());
        let settings = settings(version, has_standard_strings, server_port != 0);
        let encryption = match (host.is_socket(), tls.was_used()) {
            (true, _) => Encryption::Socket,
            (false, true) => Encryption::Tls,
            (false, false) => Encryption::Off,
        };
        let (is_pooled, begin_reading) = (seems_pooled(age_ms, server_port, host), BEGIN_READING.to_owned());
        Ok(Self { client, schema, backend, settings, begin_reading, is_pooled, notices, tls, encryption })
    }

    /// Runs a statement that sets the role. The schema of new tables may be another one then.
    pub(super) fn set_role(&mut self, sql: &str) -> Result<(), EngineError> {
        self.client.batch_execute(sql).map_err(|error| about_role(engine_error(&error)))?;
        let row = query(&mut self.client, "SELECT pg_catalog.current_schema()::text", &[])?;
        self.schema = row.into_iter().flatten().next().and_then(Value::into_optional_text);
        Ok(())
    }

    /// Fails unless the server is of the kind that is wanted.
    fn require(mut self, wanted: Wanted, was_asked_for: bool) -> Result<Self, EngineError> {
        let sql = "SELECT pg_catalog.pg_is_in_recovery()::int::bigint, (pg_catalog.current_setting('transaction_read_only') \
                   = 'on')::int::bigint";
        let row = query(&mut self.client, sql, &[])?.into_iter().next().unwrap_or_default();
        let (is_standby, is_read_only) = (row.first().is_some_and(flag), row.get(1).is_some_and(flag));
        let fits = match wanted {
            Wanted::Any => true,
            Wanted::ReadWrite => !is_standby && !is_read_only,
            Wanted::ReadOnly => is_standby || is_read_only,
            Wanted::Primary => !is_standby,
            Wanted::Standby | Wanted::PreferStandby => is_standby,
        };
        if fits {
            return Ok(self);
        }
        let what = match (is_standby, is_read_only) {
            (true, _) => "the server is a standby",
            (false, true) => "sessions of this role or database are read-only",
            (false, false) => "the server is a primary that can be written to",
        };
        // During a fail-over, the same command finds its server a little later.
        let why = if was_asked_for {
            "target_session_attrs asks for another"
        } else {
            "a run needs one that can be written to"
        };
        let error = EngineError::new(EngineErrorKind::Disconnected, format!("{what}, and {why}"));
        Err(error.with_hint("add the right server to the hosts of the URL, or change target_session_attrs; after a fail-over run the same command again"))
    }
}

/// Returns the statements with which haul sets up a session that runs migrations.
pub(super) fn settings(version: i64, has_standard_strings: bool, is_over_network: bool) -> String {
    let mut settings = String::new();
    // The lexer assumes literals as in the SQL standard.
    if !has_standard_strings {
        settings.push_str("SET standard_conforming_strings = on; ");
    }
    // Without these, the server would find out that haul was killed when the running statement ends, and keep the lock
    // of the run until then.
    if version >= CHECKS_CLIENTS_FROM {
        settings.push_str("SET client_connection_check_interval = '1s'; ");
    }
    if is_over_network {
        settings
            .push_str("SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3; ");
    }
    settings
}

/// Explains why a role cannot be set.
fn about_role(error: EngineError) -> EngineError {
    match error.code.as_deref() {
        Some("SQLSTATE 42501") => error.with_hint("let the user that connects be a member: GRANT ROLE TO USER"),
        Some("SQLSTATE 22023") => error.with_hint("create the role, or name another one with --role"),
        _ => error,
    }
}

/// Returns true if the process of the server is older than the connection can be, or listens elsewhere than where haul
/// has connected to. A slow machine or a tunnel looks the same, so this alone proves nothing.
fn seems_pooled(age_ms: i64, server_port: i64, host: &Host) -> bool {
    age_ms > NEW_UNTIL_MS || server_port != if host.is_socket() { 0 } else { host.port.into() }
}

/// Joins the failures of several servers. One alone stays as it is.
fn combined(mut failures: Vec<(&Host, EngineError)>) -> EngineError {
    if failures.len() == 1 {
        return failures.remove(0).1;
    }
    let is_temporary = failures.iter().any(|(_, error)| error.kind == EngineErrorKind::Disconnected);
    let kind = if is_temporary { EngineErrorKind::Disconnected } else { EngineErrorKind::Statement };
    let texts: Vec<_> = failures.iter().map(|(host, error)| format!("{}:{}: {error}", host.name, host.port)).collect();
    let hint = failures.into_iter().find_map(|(_, error)| error.hint);
    EngineError { hint, ..EngineError::new(kind, format!("none of the servers can be used: {}", texts.join("; "))) }
}

/// Returns `haul 0.1.0 pid 123 on host`, which the server shows for the session and `locks` shows for the holder.
fn application_name() -> String {
    let name = format!("haul {} pid {} on {}", env!("CARGO_PKG_VERSION"), std::process::id(), host_name());
    name.chars().take(NAME_BYTES_MAX).collect()
}

/// Returns the name of this host, as far as the server keeps it.
pub fn host_name() -> String {
    let uname = rustix::system::uname();
    uname.nodename().to_string_lossy().chars().filter(char::is_ascii).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::variables::Variables;

    #[test]
    fn the_error_for_an_unreachable_server_has_no_password() {
        let address =
            Address::parse("postgres://me:s3cret@127.0.0.1:1/app?connect_timeout=2", &Variables::default()).unwrap();
        let Err(error) = address.connect_to_write() else { panic!("nothing listens there") };
        assert_eq!(error.exit_code(), crate::migration::exit::TEMPORARY);
        assert!(!error.to_string().contains("s3cret") && error.to_string().contains("me@127.0.0.1:1/app"), "{error}");
    }

    #[test]
    fn a_pool_shows_itself_by_an_old_process_or_another_port() {
        let host = |name: &str| Host { name: name.into(), address: None, port: 6432 };
        assert!(!seems_pooled(20, 6432, &host("h")) && !seems_pooled(20, 0, &host("/run")));
        assert!(seems_pooled(2000, 6432, &host("h")) && seems_pooled(2000, 0, &host("/run")));
        assert!(seems_pooled(20, 5432, &host("h")) && seems_pooled(20, 5432, &host("/run")));
        assert!(seems_pooled(20, 0, &host("h")));
    }

    #[test]
    fn each_of_several_servers_is_named_in_the_error() {
        let address =
            Address::parse("postgres://me@127.0.0.1:1,127.0.0.1:2/app?connect_timeout=2", &Variables::default())
                .unwrap();
        let Err(error) = address.connect_to_write() else { panic!("nothing listens there") };
        assert_eq!(error.exit_code(), crate::migration::exit::TEMPORARY);
        assert!(error.to_string().contains("; 127.0.0.1:2: "), "{error}");
    }
}
