//! How long pending migrations may take, by how long they took elsewhere.

use crate::support::db::Db;
use crate::support::db_contents::{Engine, on_both};

on_both! {
    an_estimate_comes_from_a_database_that_has_applied_the_file
    without_one_nothing_is_known_and_that_is_said
    an_estimate_changes_nothing
}

const SLOW: &str = "-- Up\nUPDATE people SET name = 'x';\n";

/// A database with a table of `count` rows, and a migration that writes them all.
fn people(db: &Db, count: u32) {
    db.write("001_people.sql", "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT);");
    db.run("migrate").expect(0);
    let numbers = format!("WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {count})");
    db.execute(&format!("INSERT INTO people {numbers} SELECT n, 'a' FROM c"));
    db.execute("ANALYZE");
    db.write("002_all.sql", SLOW);
}

fn other(db: &Db) -> (Db, String) {
    let (other, url) = match db.engine() {
        Engine::Sqlite => {
            let other = Db::sqlite();
            let url = format!("sqlite:{}", other.file().display());
            (other, url)
        }
        Engine::Postgres => {
            let other = Db::postgres();
            let url = other.url().to_owned();
            (other, url)
        }
    };
    people(&other, 100);
    other.run("migrate").expect(0);
    other.execute("UPDATE haul_migrations SET duration_ms = 500 WHERE name = '002_all'");
    (other, url)
}

fn an_estimate_comes_from_a_database_that_has_applied_the_file(db: &Db) {
    let (_other, url) = other(db);
    people(db, 300);
    let found = db.json(&format!("migrate --estimate --history {url}"), 0);
    let first = &found["migrations"][0];
    assert_eq!((&first["name"], &first["measured"]["duration_ms"]), (&"002_all".into(), &500.into()));
    let table = &first["tables"][0];
    assert_eq!((&table["table"], &table["rows"], &table["rows_there"]), (&"people".into(), &300.into(), &100.into()));
    assert_eq!((&found["duration_ms"], &found["unknown"]), (&1500.into(), &0.into()));
    // Another text is another migration.
    db.write("002_all.sql", &SLOW.replace("'x'", "'y'"));
    assert_eq!(db.json(&format!("migrate --estimate --history {url}"), 0)["unknown"], 1);
}

fn without_one_nothing_is_known_and_that_is_said(db: &Db) {
    people(db, 10);
    let told = db.run("migrate --estimate").expect(0).stdout;
    assert!(told.contains("unknown") && told.contains("none of the databases asked has applied it"), "{told}");
    assert!(told.contains("people: about 10 rows"), "{told}");
    let engine = if db.engine() == Engine::Sqlite { "postgres://h/x" } else { "sqlite:x.db" };
    db.run(&format!("migrate --estimate --history {engine}")).expect(2);
    db.run("migrate --history sqlite:x.db").expect(2);
}

fn an_estimate_changes_nothing(db: &Db) {
    let (other, url) = other(db);
    people(db, 10);
    let before = (db.everything(), other.everything());
    db.run(&format!("migrate --estimate --history {url}")).expect(0);
    assert!((db.everything(), other.everything()) == before);
}
