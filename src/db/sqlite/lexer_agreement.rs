//! Tests that the lexer finds the same statements as SQLite's own parser.

use proptest::prelude::*;
use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::{Batch, Connection};

use crate::db::dialect::Dialect;
use crate::db::script::Pieces;

/// Returns the number of statements before the first one that SQLite does not understand, and whether it understood
/// all.
fn count(connection: &Connection, text: &str) -> (usize, bool) {
    let mut batch = Batch::new(connection, text);
    let mut found = 0;
    loop {
        match batch.next() {
            Ok(Some(_)) => found += 1,
            Ok(None) => return (found, true),
            Err(_) => return (found, false),
        }
    }
}

fn agree(text: &str) -> usize {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch("CREATE TABLE x (a)").unwrap();
    let (whole, _) = count(&connection, text);
    let mut found = 0;
    for piece in Pieces::new(Dialect::Sqlite, text) {
        let (statements, is_sound) = count(&connection, &text[piece.range.clone()]);
        assert!(statements <= 1, "{:?} is taken for one statement", &text[piece.range]);
        found += statements;
        if !is_sound {
            break;
        }
    }
    assert_eq!(found, whole, "{text:?}");
    found
}

#[test]
fn the_lexer_splits_scripts_as_sqlite_does() {
    let trigger =
        "CREATE TRIGGER t AFTER INSERT ON x BEGIN SELECT CASE 1 WHEN 1 THEN 2 END; /* ; */ UPDATE x SET a = ';'; END";
    for (text, statements) in [
        (format!("{trigger}; SELECT 1;;\n-- ;\nSELECT \"a\" FROM x; {trigger}"), 4),
        (format!("EXPLAIN QUERY PLAN {trigger}; SELECT [a] FROM x; SELECT `a` FROM x"), 3),
        ("SELECT $a(;), $b::c(;d); SELECT 2 /* open".to_owned(), 2),
        ("SELECT '--;'';', x'00'; BEGIN; END; COMMIT".to_owned(), 4),
    ] {
        assert_eq!(agree(&text), statements, "{text}");
    }
}

fn part() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "SELECT 1",
        "SELECT 1;",
        ";",
        "'",
        "''",
        "\"",
        "`",
        "[",
        "]",
        "(",
        ")",
        "--",
        "\n",
        "\r",
        "\u{b}",
        "-- x\r",
        "\u{c}",
        "SELECT 1 AS end",
        "/*",
        "*/",
        " ",
        "$a(",
        "$$",
        "a",
        "CREATE ",
        "TEMP ",
        "TRIGGER t AFTER INSERT ON x ",
        "BEGIN ",
        "SELECT 2; ",
        "END",
        "END;",
        "CASE 1 WHEN 1 THEN 2 END",
        "EXPLAIN ",
        "QUERY PLAN ",
        "TABLE y (a);",
        "INSERT INTO x VALUES (1);",
        "é",
        "CREATE TRIGGER t AFTER INSERT ON x BEGIN ",
    ])
}

proptest! {
    #[test]
    fn the_lexer_splits_random_scripts_as_sqlite_does(parts in prop::collection::vec(part(), 0..12)) {
        agree(&parts.concat());
    }
}
