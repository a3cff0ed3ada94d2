//! Fingerprints of definitions.

use std::fmt::Write;

use rusqlite::Connection;
use sha2::{Digest, Sha256};

use super::text::normalised;
use super::tracking::is_own;

/// Returns bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Returns SHA-256 of the normalised definitions of all objects, haul's own tables left out.
pub fn schema_sha256(connection: &Connection) -> rusqlite::Result<String> {
    let sql = "SELECT type, name, sql FROM main.sqlite_schema WHERE sql IS NOT NULL ORDER BY type, name";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut hasher = Sha256::new();
    while let Some(row) = rows.next()? {
        let (kind, name, sql): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if !is_own(&name) {
            hasher.update(format!("{kind}\0{name}\0{}\0", normalised(&sql)));
        }
    }
    Ok(hex(&hasher.finalize()))
}
