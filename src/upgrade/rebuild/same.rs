//! Rows that must be equal before and after, whatever table holds them.

use rusqlite::Connection;

use super::planned::Planned;
use crate::upgrade::facts::query_sha256;

/// The digest and number of the rows before, for each pair of queries of each rebuild.
pub type Digests = Vec<(String, u64)>;

/// Asks the database before the upgrade.
pub fn digests(connection: &Connection, rebuilds: &[Planned<'_>]) -> rusqlite::Result<Digests> {
    let pairs = rebuilds.iter().flat_map(|planned| &planned.rebuild.same);
    pairs.map(|same| query_sha256(connection, &same.before)).collect()
}

/// Says what is not the same in the database afterwards.
pub fn changes(connection: &Connection, rebuilds: &[Planned<'_>], before: &Digests) -> rusqlite::Result<Vec<String>> {
    let mut found = Vec::new();
    let pairs = rebuilds.iter().flat_map(|planned| planned.rebuild.same.iter().map(|same| (planned.name(), same)));
    for ((rebuild, same), (digest, rows)) in pairs.zip(before) {
        let (now, rows_now) = query_sha256(connection, &same.after)?;
        if rows_now != *rows {
            found.push(format!("{rebuild}: {}: {rows_now} rows, not {rows}", same.name));
        } else if now != *digest {
            found.push(format!("{rebuild}: {}: its {rows} rows are not the same", same.name));
        }
    }
    Ok(found)
}
