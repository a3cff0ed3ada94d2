//! The first mark of an upgrade in a database.

use rusqlite::Connection;

use crate::upgrade::schema::tracking;

/// Creates haul's own tables, and writes down that an upgrade has begun, with the digest of its plan.
pub fn mark_start(connection: &Connection, plan_digest: &str) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    tracking::create(&transaction)?;
    tracking::record_start(&transaction, plan_digest)?;
    transaction.commit()
}
