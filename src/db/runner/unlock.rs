//! Ends a run that holds the lock.

use crate::db::database::{Database, LockHolder};
use crate::db::engine_error::EngineError;
use crate::db::state::{LogEntry, Outcome, StateReader, StateWriter, Tables};
use crate::migration::{Error, now_text};

/// Ends the run `shown` if it still holds the lock, and records that in the log.
pub fn unlock(database: &mut dyn Database, tables: &Tables, owner: &str, shown: &LockHolder) -> Result<(), Error> {
    let now = database.lock_holder(tables.ledger())?;
    if now.as_ref() != Some(shown) {
        return Err(Error::Usage {
            what: "the lock is no longer held by the run that was shown; nothing was ended".into(),
            next: "`haul db locks` shows who holds it now".into(),
        });
    }
    database.end_lock_holder(tables.ledger(), shown)?;
    let place = database.place();
    let mut log = || {
        if !StateReader::new(&mut *database, tables).exists()? {
            return Ok(());
        }
        StateWriter::new(database, tables, owner).append(&entry(shown)).map(drop)
    };
    log().map_err(|error: EngineError| error.at(&place))
}

fn entry(shown: &LockHolder) -> LogEntry {
    let now = now_text();
    LogEntry {
        attempt: None,
        version: String::new(),
        name: String::new(),
        direction: None,
        outcome: Outcome::Unlocked,
        started_at: now.clone(),
        finished_at: Some(now),
        duration_ms: None,
        statement: None,
        checksum: None,
        error: Some(format!("ended {}", shown.owner)),
    }
}
