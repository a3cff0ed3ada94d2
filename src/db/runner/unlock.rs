//! Ends a run that holds the lock.

use crate::db::database::{Database, LockHolder};
use crate::db::engine_error::EngineError;
use crate::db::state::{LogEntry, Numbers, Outcome, StateReader, StateWriter, Tables};
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
        let error = Some(format!("ended {}", shown.owner));
        let entry = LogEntry { error, ..LogEntry::of_database(Outcome::Unlocked, now_text()) };
        StateWriter::new(database, tables, owner, &mut Numbers::default()).append(&entry).map(drop)
    };
    log().map_err(|error: EngineError| error.at(&place))
}
