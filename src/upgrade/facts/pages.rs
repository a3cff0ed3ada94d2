//! Pages, encoding and journal mode of a database, and how many bytes its tables take.

use std::collections::BTreeMap;

use rusqlite::Connection;

/// What the header of a database says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pages {
    /// Pages of the file.
    pub count: u64,
    /// Pages that hold nothing.
    pub free: u64,
    /// Bytes of a page.
    pub bytes: u64,
    /// `delete`, `wal` and so on.
    pub journal_mode: String,
    /// `UTF-8`, `UTF-16le`, `UTF-16be`.
    pub encoding: String,
}

impl Pages {
    /// Reads them.
    pub fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let number =
            |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0)).map(i64::cast_unsigned);
        let text = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, String>(0));
        Ok(Self {
            count: number("page_count")?,
            free: number("freelist_count")?,
            bytes: number("page_size")?,
            journal_mode: text("journal_mode")?,
            encoding: text("encoding")?,
        })
    }
}

/// Returns the bytes of the pages of each table with its indexes, and of each full-text index with its tables; nothing
/// if they cannot be counted.
pub fn object_bytes(connection: &Connection) -> Option<BTreeMap<String, u64>> {
    let sql = "SELECT coalesce(virtual.name, schema.tbl_name), sum(stat.pgsize) FROM dbstat AS stat \
               JOIN sqlite_schema AS schema ON schema.name = stat.name \
               LEFT JOIN pragma_table_list AS list \
                   ON list.schema = 'main' AND list.name = schema.tbl_name AND list.type = 'shadow' \
               LEFT JOIN pragma_table_list AS virtual ON list.name IS NOT NULL AND virtual.schema = 'main' \
                   AND virtual.type = 'virtual' \
                   AND substr(list.name, 1, length(virtual.name) + 1) = virtual.name || '_' \
               WHERE stat.aggregate = TRUE GROUP BY 1";
    let read = || -> rusqlite::Result<BTreeMap<String, u64>> {
        let mut statement = connection.prepare(sql)?;
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned()));
        statement.query_map([], row)?.collect()
    };
    read().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_those_of_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.db");
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch(
                "PRAGMA page_size = 1024; PRAGMA encoding = 'UTF-16be'; CREATE TABLE t (a); CREATE TABLE u (a);
                 INSERT INTO t VALUES (zeroblob(9000)); DELETE FROM t;",
            )
            .unwrap();
        let pages = Pages::read(&connection).unwrap();
        assert_eq!(pages.count * 1024, path.metadata().unwrap().len());
        assert_eq!((pages.bytes, pages.free > 5), (1024, true), "{pages:?}");
        assert_eq!((pages.journal_mode.as_str(), pages.encoding.as_str()), ("delete", "UTF-16be"));
    }

    #[test]
    fn bytes_are_counted_with_indexes() {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch(
                "PRAGMA page_size = 1024; CREATE TABLE t (a PRIMARY KEY); CREATE INDEX i ON t (a);
                 INSERT INTO t VALUES (zeroblob(900)); CREATE VIRTUAL TABLE f USING fts5(a); CREATE TABLE f2_data (a);",
            )
            .unwrap();
        let bytes = object_bytes(&connection).unwrap();
        assert!(bytes["t"] >= 3 * 1024, "{bytes:?}");
        assert_eq!(bytes["f2_data"], 1024);
        assert!(bytes["f"] >= 4 * 1024 && !bytes.contains_key("f_data"), "{bytes:?}");
    }
}
