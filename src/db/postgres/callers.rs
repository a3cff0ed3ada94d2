//! A session that the application has opened and gets back with the settings that it had.

use postgres::{Client, SimpleQueryMessage};

use super::connect::settings;
use super::errors::engine_error;
use super::query::{flag, query};
use crate::db::database::Value;
use crate::db::engine_error::EngineError;
use crate::migration::Error;

/// Reads what haul must know of the session, and the statements that set again what the application has set in it. The
/// server does not list the roles among the settings.
const SESSION: &str = "SELECT pg_catalog.current_database()::text, pg_catalog.current_schema()::text, \
     pg_catalog.current_setting('server_version_num')::bigint, \
     (pg_catalog.current_setting('standard_conforming_strings') = \
     'on')::int::bigint, (pg_catalog.inet_server_port() IS NOT NULL)::int::bigint, pg_catalog.concat((SELECT \
     pg_catalog.string_agg(pg_catalog.format('SELECT \
     pg_catalog.set_config(%L, %L, false); ', name, pg_catalog.current_setting(name)), '') FROM \
     pg_catalog.pg_settings WHERE \
     source = 'session' AND context IN ('user', 'superuser')), (SELECT pg_catalog.format('SET SESSION AUTHORIZATION \
     %I; ', \
     session_user) FROM pg_catalog.pg_stat_activity WHERE pid = pg_catalog.pg_backend_pid() AND usename <> \
     session_user), CASE \
     WHEN pg_catalog.current_setting('role') <> 'none' THEN pg_catalog.format('SET ROLE %I; ', \
     pg_catalog.current_setting('role')) END), EXISTS (SELECT FROM pg_catalog.pg_listening_channels())::int::bigint";

/// What haul must know of a session of the application.
pub struct CallersSession {
    /// The name of the database.
    pub database: String,
    /// The schema in which new tables are created.
    pub schema: Option<String>,
    /// The statements that set what the application has set.
    pub own: String,
    /// The statements that set up the session for migrations: what the application has set holds for them too.
    pub settings: String,
}

impl CallersSession {
    /// Reads the session, with the settings in `named`, which the server does not list. `leftovers` is the query for
    /// what haul would remove from it; a session with such is refused.
    pub fn of(client: &mut Client, named: &[&str], leftovers: &str) -> Result<Self, Error> {
        let at = |error: EngineError| error.at("a session of the application");
        if is_in_transaction(client).map_err(at)? {
            return Err(refused("it is in a transaction", "commit it or roll it back first"));
        }
        let row = query(client, SESSION, &[]).map_err(at)?.into_iter().next().unwrap_or_default();
        let mut values = row.into_iter();
        let mut next = || values.next().unwrap_or(Value::Text(None));
        let (database, schema, version) = (next().into_text(), next().into_optional_text(), next().integer());
        let (has_standard_strings, is_over_network) = (flag(&next()), flag(&next()));
        let mut own = next().into_text();
        let listens = flag(&next());
        let left = query(client, &format!("SELECT {leftovers}"), &[]).map_err(at)?;
        let left = left.into_iter().flatten().next().map(Value::into_text).unwrap_or_default();
        if listens || !left.is_empty() {
            return Err(refused(
                "it has temporary objects, cursors, prepared statements or channels, which haul would remove after \
                 each \
                 migration",
                "use a connection of its own",
            ));
        }
        for name in named {
            own.push_str(&again(client, name).map_err(at)?);
        }
        let settings = format!("{own}{}", settings(version.unwrap_or_default(), has_standard_strings, is_over_network));
        Ok(Self { database, schema, own, settings })
    }
}

/// Returns the statement that sets a setting again, or nothing if it is not set.
fn again(client: &mut Client, name: &str) -> Result<String, EngineError> {
    let sql = "SELECT pg_catalog.format('SELECT pg_catalog.set_config(%L, %L, false); ', $1, \
               pg_catalog.current_setting($1, \
               true)) WHERE pg_catalog.current_setting($1, true) IS NOT NULL";
    Ok(query(client, sql, &[name.into()])?.into_iter().flatten().next().map(Value::into_text).unwrap_or_default())
}

/// Returns true if a transaction is open. Its time is that of its begin, which is another only if it has begun before
/// the statement.
fn is_in_transaction(client: &mut Client) -> Result<bool, EngineError> {
    let messages = client.simple_query("SELECT pg_catalog.now() <> pg_catalog.statement_timestamp()");
    let messages = messages.map_err(|error| engine_error(&error))?;
    Ok(messages.iter().any(|message| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("t"))))
}

fn refused(what: &str, next: &str) -> Error {
    Error::Usage { what: format!("this session of the application cannot be used: {what}"), next: next.into() }
}
