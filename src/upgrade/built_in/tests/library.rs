//! The upgrade of another application, from its directory alone.

use std::path::Path;

use rusqlite::Connection;

use super::runner::{Database, upgrade, values};
use crate::upgrade::definition::Definition;
use crate::upgrade::values::Values;

fn library() -> Definition {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    Definition::load(&root.join("tests/fixtures/upgrade-library")).expect("a definition")
}

fn database(definition: &Definition, values: &Values, tier: &str, is_primary: bool, sql: &str) -> Database {
    let connection = Connection::open_in_memory().expect("a database");
    connection.execute_batch(sql).expect(sql);
    Database::new(connection, definition, tier, is_primary, values)
}

#[test]
fn two_shapes_of_one_tier_are_upgraded_with_the_others() {
    let definition = library();
    let mut values = values(&definition, "+01:00", None);
    values.inputs.insert("branches".into(), r#"[{"branch":"north","floors":2}]"#.into());
    let set = [
        database(
            &definition,
            &values,
            "catalog",
            true,
            "CREATE TABLE titles (isbn TEXT PRIMARY KEY, title TEXT, copies INTEGER);
             INSERT INTO titles VALUES ('1', 'One', 2), ('2', 'Two', 0), ('3', 'Three', 1500);",
        ),
        database(
            &definition,
            &values,
            "loans",
            true,
            "CREATE TABLE slips (slip INTEGER PRIMARY KEY, isbn TEXT, card TEXT, out_at TIMESTAMP, back_at TIMESTAMP);
             INSERT INTO slips VALUES (7, '1', 'x', '2026-01-01T10:00:00', NULL), (8, '1', 'x', 1760000000, '2025-12-01 08:00:00');",
        ),
        database(
            &definition,
            &values,
            "loans",
            false,
            "CREATE TABLE ledger (entry INTEGER PRIMARY KEY, book TEXT, reader TEXT, lent TEXT, returned TEXT);
             INSERT INTO ledger VALUES (1, '2', 'y', '2026-01-02 10:00:00', NULL);",
        ),
        database(&definition, &values, "members", true, "CREATE TABLE cards (card TEXT, name TEXT, phone TEXT);"),
    ];
    let written = upgrade(&definition, &set);
    let counts: Vec<_> = written.iter().map(|(name, rows)| format!("{name} {rows}")).collect();
    assert_eq!(counts, ["branches 1", "copies 1502", "due 2", "loan_events 3", "reminders 1"]);
    assert_eq!(set[1].text("SELECT group_concat(slip || ' ' || due_at) FROM slips"), "7 2026-01-29 09:00:00");
    assert_eq!(set[2].text("SELECT due_at FROM ledger"), "2026-01-30 10:00:00");
    assert!(!set[2].has_table("loan_events"), "the primary file alone has new tables");
    assert_eq!(set[3].text("SELECT text FROM reminders"), "books are out: 2");
    for expectation in &definition.expectations {
        let database = set.iter().find(|database| database.member.tier == expectation.tier).expect("a file");
        let value: f64 = database.text(&expectation.sql).parse().expect("a number");
        assert_eq!(Some(value as i64), expectation.min, "{}", expectation.name);
    }
}
