//! The content of a table as a digest that depends neither on the order of its rows nor on the layout of its pages.

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use sha2::{Digest, Sha256};

use super::baseline::TableFacts;
use super::schema::{hex, quoted};

/// The function that turns text into UTF-8 for a comparison byte by byte.
const UTF8: &str = "haul_utf8";
/// How many values one call joins: SQLite limits the arguments of a function.
const ARGUMENTS_MAX: usize = 90;

/// Returns what a table is like, over these columns; its length is left open.
///
/// The digest is the SHA-256 of its rows. Each row is the text that SQLite's `quote()` makes of its values, joined by `|`;
/// the rows are sorted byte by byte and joined by line feeds. SQLite sorts them, on its disk if they are many.
pub fn table_facts(connection: &Connection, table: &str, columns: Vec<String>) -> rusqlite::Result<TableFacts> {
    let (content_sha256, rows) = digest(connection, "", &in_main(table), &columns)?;
    Ok(TableFacts { columns, rows, content_sha256, bytes: None })
}

/// Returns the SHA-256 of the rows of a query, made as that of a table, and how many they are.
pub fn query_sha256(connection: &Connection, query: &str) -> rusqlite::Result<(String, u64)> {
    let count = connection.prepare(query)?.column_count();
    let columns: Vec<_> = (0..count).map(|at| format!("c{at}")).collect();
    let with = format!("WITH haul_queried({}) AS ({query}) ", columns.join(", "));
    digest(connection, &with, "haul_queried", &columns)
}

fn in_main(table: &str) -> String {
    format!("main.{}", quoted(table))
}

/// Reads the columns from a table, or from what `with` declares.
fn digest(connection: &Connection, with: &str, from: &str, columns: &[String]) -> rusqlite::Result<(String, u64)> {
    let encoding: String = connection.query_row("PRAGMA encoding", [], |row| row.get(0))?;
    let mut row_text = joined(columns);
    if encoding != "UTF-8" {
        // SQLite would compare texts in the encoding of the database.
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
        connection.create_scalar_function(UTF8, 1, flags, |context| {
            Ok(context.get_raw(0).as_bytes().map(<[u8]>::to_vec)?)
        })?;
        row_text = format!("{UTF8}({row_text})");
    }
    let sql = format!("{with}SELECT {row_text} FROM {from} ORDER BY 1");
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let (mut hasher, mut count) = (Sha256::new(), 0);
    while let Some(row) = rows.next()? {
        if count > 0 {
            hasher.update(b"\n");
        }
        hasher.update(row.get_ref(0)?.as_bytes()?);
        count += 1;
    }
    Ok((hex(&hasher.finalize()), count))
}

/// Returns the expression for the text of a row.
fn joined(columns: &[String]) -> String {
    let values: Vec<_> = columns.iter().map(|column| format!("quote({})", quoted(column))).collect();
    let parts: Vec<_> =
        values.chunks(ARGUMENTS_MAX).map(|part| format!("concat_ws('|', {})", part.join(", "))).collect();
    match parts.as_slice() {
        [] => "''".into(),
        [part] => part.clone(),
        parts => format!("concat_ws('|', {})", parts.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content_sha256(connection: &Connection, table: &str, columns: &[String]) -> rusqlite::Result<String> {
        table_facts(connection, table, columns.to_vec()).map(|facts| facts.content_sha256)
    }

    fn database(sql: &str) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(sql).unwrap();
        connection
    }

    fn sha256(text: &str) -> String {
        hex(&Sha256::digest(text.as_bytes()))
    }

    #[test]
    fn a_row_is_its_quoted_values_and_rows_are_sorted() {
        let connection = database(
            "CREATE TABLE t (a TEXT, b INTEGER, c);
             INSERT INTO t VALUES ('z''s', 2, NULL), ('é', 1, x'00ff'), ('z', 1.5, 'a|b');",
        );
        let facts = table_facts(&connection, "t", ["a", "b", "c"].map(String::from).to_vec()).unwrap();
        let expected = "'z''s'|2|NULL\n'z'|1.5|'a|b'\n'é'|1|X'00FF'";
        assert_eq!((facts.rows, facts.content_sha256.as_str()), (3, sha256(expected).as_str()));
        assert_eq!(content_sha256(&connection, "t", &["b".into()]).unwrap(), sha256("1\n1.5\n2"));
        connection.execute_batch("DELETE FROM t").unwrap();
        assert_eq!(content_sha256(&connection, "t", &["b".into()]).unwrap(), sha256(""));
    }

    #[test]
    fn neither_order_nor_encoding_nor_page_size_matters() {
        // In UTF-16 the first character sorts before the second, in UTF-8 after it.
        let rows = "INSERT INTO t VALUES ('\u{1f39b}'), ('\u{fffd}'), ('a'), ('日本')";
        let back = "INSERT INTO t VALUES ('日本'), ('a'), ('\u{fffd}'), ('\u{1f39b}')";
        let digest = |pragma: &str, rows: &str| {
            let connection = database(&format!("{pragma}; CREATE TABLE t (a TEXT); {rows}"));
            content_sha256(&connection, "t", &["a".into()]).unwrap()
        };
        let plain = digest("PRAGMA page_size = 4096", rows);
        assert_eq!(plain, sha256("'a'\n'日本'\n'\u{fffd}'\n'\u{1f39b}'"));
        for pragma in ["PRAGMA page_size = 1024", "PRAGMA encoding = 'UTF-16le'", "PRAGMA encoding = 'UTF-16be'"] {
            assert_eq!(digest(pragma, back), plain, "{pragma}");
        }
    }

    #[test]
    fn a_table_of_very_many_columns_has_a_digest() {
        let names: Vec<_> = (0..1200).map(|number| format!("c{number}")).collect();
        let connection = database(&format!("CREATE TABLE t ({}); INSERT INTO t (c0) VALUES (1)", names.join(", ")));
        let text = format!("1{}", "|NULL".repeat(1199));
        assert_eq!(content_sha256(&connection, "t", &names).unwrap(), sha256(&text));
    }

    #[test]
    fn a_query_has_the_digest_of_a_table_with_its_rows() {
        let connection = database("CREATE TABLE a (x, y); INSERT INTO a VALUES (1, 'b'), (2, NULL), (1, 'b')");
        let columns = ["x".to_owned(), "y".to_owned()];
        let of_table = content_sha256(&connection, "a", &columns).unwrap();
        let query = "WITH w AS (SELECT * FROM a) SELECT x AS z, y AS z FROM w ORDER BY 1 DESC";
        assert_eq!(query_sha256(&connection, query).unwrap(), (of_table, 3));
        assert_ne!(
            query_sha256(&connection, "SELECT DISTINCT * FROM a").unwrap().0,
            query_sha256(&connection, query).unwrap().0
        );
    }
}
