//! Ends a run that holds the lock.

use crate::db::database::{Database, LockHolder, ReadDatabase};
use crate::db::engine_error::EngineError;
use crate::db::state::{LogEntry, Numbers, Outcome, StateReader, StateWriter, Tables};
use crate::migration::{Error, now_text};

/// Ends the run `shown` if it still holds the lock, and records that in the log.
pub fn unlock(database: &mut dyn Database, tables: &Tables, owner: &str, shown: &LockHolder) -> Result<(), Error> {
    let name = tables.lock_name();
    let now = database.lock_holder(&name)?;
    if now.as_ref() != Some(shown) {
        return Err(Error::Usage {
            what: "the lock is no longer held by the run that was shown; nothing was ended".into(),
            next: "`haul db locks` shows who holds it now".into(),
        });
    }
    require_own_run(&mut *database, tables, shown)?;
    database.end_lock_holder(&name, shown)?;
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

/// Fails if the run `shown`, which keeps out runs on the ledger of `tables`, works on another one: that of a tenant, or that
/// of the whole database.
pub fn require_own_run(database: &mut dyn ReadDatabase, tables: &Tables, shown: &LockHolder) -> Result<(), Error> {
    let Some(ledger) = &shown.ledger else {
        return match tables.tenant() {
            Some(tenant) => Err(Error::Usage {
                what: format!(
                    "the run that holds the lock is not one of the tenant {tenant}: it keeps all tenants of this database out \
                     ({}); nothing was ended",
                    shown.owner
                ),
                next: "wait for that run to end; in an emergency, `haul db unlock --force` without tenants ends it"
                    .into(),
            }),
            None => Ok(()),
        };
    };
    let place = database.place();
    tables.find(database).map_err(|error| error.at(&place))?;
    if database.table_reference(tables.ledger()).replace('"', "") == *ledger {
        return Ok(());
    }
    let next = match Tables::named(ledger) {
        Ok(_) => {
            format!("wait for that run to end; in an emergency, `haul db unlock --force --table {ledger}` ends it")
        }
        Err(_) => "wait for that run to end; in an emergency, end it with --force and --schemas NAME".into(),
    };
    Err(Error::Usage {
        what: format!("the run that holds the lock works on another ledger ({}); nothing was ended", shown.owner),
        next,
    })
}
