//! The export of what was written to a set since its snapshot: a SQL file for each database, and their figures.

use std::path::Path;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::divergence::{TableDivergence, export};
use super::rebuilt::SNAPSHOT;
use crate::db::sqlite::connect;
use crate::durable::{Attributes, Disk, DiskFile, create_directory_durable, replace_file, replace_file_with};
use crate::migration::Error;
use crate::upgrade::cutover::side_files;
use crate::upgrade::facts::failed;
use crate::upgrade::layout::Layout;
use crate::upgrade::set::Member;

/// Bytes that are collected before they are written.
const BUFFER_BYTES: usize = 256 << 10;

/// What differs in a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseDivergence {
    /// The database.
    pub file: String,
    /// The name of the SQL file next to this one.
    pub sql: String,
    /// Why nothing of it could be exported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Its tables.
    pub tables: Vec<TableDivergence>,
}

/// What differs in a set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SetDivergence {
    /// The databases.
    pub databases: Vec<DatabaseDivergence>,
}

impl SetDivergence {
    /// Returns the rows that were inserted or changed.
    pub fn written(&self) -> u64 {
        self.tables().map(|table| table.written).sum()
    }

    /// Returns the rows that were deleted.
    pub fn deleted(&self) -> u64 {
        self.tables().map(|table| table.deleted).sum()
    }

    fn tables(&self) -> impl Iterator<Item = &TableDivergence> {
        self.databases.iter().flat_map(|database| &database.tables)
    }

    /// Writes the figures, durably.
    pub fn write(&self, disk: &dyn Disk, layout: &Layout, run_id: &str) -> Result<(), Error> {
        let directory = layout.rolled_back(run_id);
        create_directory_durable(disk, &directory)?;
        let text = serde_json::to_string_pretty(self).expect("plain data always serialises");
        Ok(replace_file(disk, &directory.join("divergence.json"), text.as_bytes())?)
    }
}

/// Exports what was written to a database since its backup. Others must not write to it meanwhile.
pub fn export_database(
    disk: &dyn Disk,
    layout: &Layout,
    run_id: &str,
    member: &Member,
    secret_columns: &[String],
) -> Result<DatabaseDivergence, Error> {
    let backup = layout.backup(run_id, member);
    let sql = format!("{}.sql", member.key);
    let directory = layout.rolled_back(run_id);
    create_directory_durable(disk, &directory)?;
    let connection = connect::open_for_read(&member.path)?;
    attach(&connection, &backup).map_err(failed(&backup))?;
    let mut tables = Vec::new();
    // Who may read the database may read what was in it.
    replace_file_with(disk, &directory.join(&sql), Attributes::Of(&backup), |file| {
        let mut writer = Buffered { file, at: 0, bytes: Vec::new() };
        tables = export(&connection, secret_columns, &mut |bytes| writer.take(bytes))?;
        writer.flush()
    })?;
    drop(connection);
    side_files::remove(disk, &backup)?;
    Ok(DatabaseDivergence { file: member.key.clone(), sql, problem: None, tables })
}

fn attach(connection: &Connection, backup: &Path) -> rusqlite::Result<()> {
    let name = backup.to_string_lossy();
    connection.execute(&format!("ATTACH ?1 AS {SNAPSHOT}"), [name]).map(drop)
}

struct Buffered<'a> {
    file: &'a dyn DiskFile,
    at: u64,
    bytes: Vec<u8>,
}

impl Buffered<'_> {
    fn take(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.file.write_all_at(self.at, &self.bytes)?;
        self.at += self.bytes.len() as u64;
        self.bytes.clear();
        Ok(())
    }
}
