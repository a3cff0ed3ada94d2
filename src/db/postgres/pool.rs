//! Finds out whether a pool between haul and the server gives each transaction another session. The lock of a run belongs
//! to a session, so it would hold nothing there.

use std::sync::mpsc::channel;
use std::thread::Builder;
use std::time::Duration;

use super::address::Address;
use super::connect::Connection;
use super::query::query;
use crate::db::database::Value;
use crate::db::engine_error::EngineError;
use crate::migration::Error;

const BACKEND: &str = "SELECT pg_catalog.pg_backend_pid()::bigint";
/// A pool that keeps sessions may have none left for a second connection, which then waits.
const WAIT: Duration = Duration::from_secs(3);

/// Fails if the session of a connection is given to others between its transactions.
pub fn require_own_session(address: &Address, first: &mut Connection) -> Result<(), Error> {
    if !first.is_pooled {
        return Ok(());
    }
    let is_shared = is_shared(address, first).map_err(|error| error.at(address.place()))?;
    if !is_shared {
        return Ok(());
    }
    Err(Error::Usage {
        what: format!(
            "{}: a pool in transaction mode (as PgBouncer has it) gives each transaction another session, where the lock of \
             a run does not hold; nothing was changed",
            address.place()
        ),
        next: "connect to the server itself, or through a pool in session mode".into(),
    })
}

/// Opens a transaction on a second connection, and looks whether it gets the session of the first one, or makes that one
/// change to another.
fn is_shared(address: &Address, first: &mut Connection) -> Result<bool, EngineError> {
    let (send, receive) = channel();
    let address = address.clone();
    let ask = move || {
        let begin = |mut second: Connection| {
            second.client.batch_execute("BEGIN").ok()?;
            Some((backend(&mut second).ok()?, second))
        };
        // Nobody waits any more for an answer that comes too late.
        let _ = send.send(address.connect_to_write().ok().and_then(begin));
    };
    if Builder::new().name("haul-pool".into()).spawn(ask).is_err() {
        return Ok(false);
    }
    match receive.recv_timeout(WAIT) {
        Ok(Some((backend_of_second, _))) if backend_of_second == first.backend => Ok(true),
        Ok(Some(_second)) => Ok(backend(first)? != first.backend),
        _ => Ok(false),
    }
}

fn backend(connection: &mut Connection) -> Result<i64, EngineError> {
    let rows = query(&mut connection.client, BACKEND, &[])?;
    Ok(rows.into_iter().flatten().next().as_ref().and_then(Value::integer).unwrap_or_default())
}
