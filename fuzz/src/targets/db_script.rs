//! Migration files of arbitrary text: pieces joined are the script, whatever is wrong with a file is told and not panicked
//! over, and SQLite's own parser finds the statements where the lexer found them.

use haul::db::script::{Lexer, Pieces, Placeholders, file_name, statement_preview};
use haul::db::{Dialect, Migrations};
use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::{Batch, Connection};

/// What scripts are made of, so that some of them are SQL.
const PARTS: [&str; 41] = [
    "SELECT 1",
    ";",
    "'",
    "\"",
    "`",
    "[",
    "]",
    "(",
    ")",
    "--",
    "\n",
    "/*",
    "*/",
    " ",
    "$a(",
    "$$",
    "$t$",
    "E'",
    "\\",
    "x",
    "CREATE ",
    "TEMP ",
    "TRIGGER t AFTER INSERT ON x ",
    "BEGIN ",
    "SELECT 2; ",
    "END",
    "CASE 1 WHEN 1 THEN 2 END",
    "EXPLAIN ",
    "QUERY PLAN ",
    "TABLE y (a)",
    "INSERT INTO x VALUES (1)",
    "-- Up\n",
    "-- Down\n",
    "-- haul: ",
    "no-transaction",
    "timeout=",
    "FUNCTION f() RETURNS int ",
    "ATOMIC ",
    "-- migrate:up\n",
    "-- +goose StatementBegin\n",
    "${x}",
];

pub fn fuzz(bytes: &[u8]) {
    let text = text(bytes);
    for dialect in [Dialect::Sqlite, Dialect::Postgres] {
        check(dialect, &text);
        check_values(dialect, &text);
    }
    agree(&text);
}

/// The fuzzer's bytes: some stand for parts of scripts, others for themselves. SQLite ends a script at a zero byte, and
/// files with one are refused before.
fn text(bytes: &[u8]) -> String {
    let mut text = Vec::new();
    for &byte in bytes {
        match byte {
            0 => {}
            0x80..=0xA8 => text.extend_from_slice(PARTS[usize::from(byte - 0x80)].as_bytes()),
            _ => text.push(byte),
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn check(dialect: Dialect, text: &str) {
    let tokens: String = Lexer::new(dialect, text).map(|token| &text[token.start..token.end]).collect();
    let pieces: String = Pieces::new(dialect, text).map(|piece| &text[piece.range]).collect();
    assert!(tokens == text && pieces == text);
    let _ = (file_name(text), statement_preview(dialect, text));
    for names in [&["1_a.sql"][..], &["1_a.up.sql", "1_a.down.sql"]] {
        let Ok(migrations) = Migrations::from_texts(dialect, names.iter().map(|name| (*name, text))) else { continue };
        for migration in &migrations {
            for (line, statement) in
                migration.up.statements().chain(migration.down.iter().flat_map(|down| down.statements()))
            {
                let begins: Vec<_> = text.lines().skip(line as usize - 1).take(1).collect();
                let first = statement.lines().next().unwrap_or_default();
                assert!(
                    begins.concat().contains(first) || text.contains("\r\n") || first.contains('\r'),
                    "line {line}"
                );
            }
        }
    }
}

/// A value that is accepted leaves the statements of a file as they are.
fn check_values(dialect: Dialect, text: &str) {
    let read = |value: &str| {
        let placeholders = Placeholders::new([("x".to_owned(), value.to_owned())].into()).expect("a value");
        let migrations = Migrations::from_texts_with(dialect, [("1_a.sql", text)], &placeholders).ok()?;
        let migration = migrations.iter().next().filter(|migration| migration.fault().is_none())?;
        let written = migration.up.written_statements();
        Some(written.map(|(line, statement)| (line, statement.into_owned())).collect::<Vec<_>>())
    };
    let Some(plain) = read("word") else { return };
    for value in ["a'b", "\";--", "\\", "$$/*", "E"] {
        // A word such as COMMIT or TRIGGER is one that an operator has chosen; these are none.
        assert!(read(value).is_none_or(|filled| filled == plain), "{text:?} with {value}");
    }
}

/// Statements that SQLite finds before the first one that it does not understand.
fn agree(text: &str) {
    let connection = Connection::open_in_memory().expect("a database");
    connection.execute_batch("CREATE TABLE x (a)").expect("a table");
    let whole = count(&connection, text).0;
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
}

fn count(connection: &Connection, text: &str) -> (u64, bool) {
    let mut batch = Batch::new(connection, text);
    let mut statements = 0;
    loop {
        match batch.next() {
            Ok(Some(_)) => statements += 1,
            Ok(None) => return (statements, true),
            Err(_) => return (statements, false),
        }
    }
}
