//! The texts of `haul db`.

use crate::support::db::Db;
use crate::support::haul::Done;

fn db() -> Db {
    let db = Db::sqlite();
    db.write("001_people.sql", "-- Migration: 001_people\n-- Created: 2026-02-28\n-- Up\nCREATE TABLE people (name TEXT);\n-- Down\nDROP TABLE people;\n");
    db.write("002_names.sql", "CREATE INDEX people_by_name ON people (name);\n");
    db
}

/// Compares both outputs with a snapshot, except for what differs from run to run.
#[track_caller]
fn snapshot(db: &Db, name: &str, done: &Done) {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\d{4}-\d{2}-\d{2}T[0-9:.]+Z", "[at]");
    settings.add_filter(r" +\d+ ms", " [time]");
    settings.add_filter(r"[\d.]+ s, [\d,]+ migrations/s|\[time\], [\d,]+ migrations/s", "[time]");
    settings.add_filter(r"(\[time\]|[\d.]+ s), [\d,]+ rows/s", "[time]");
    settings.add_filter(r"\d{8}T\d{9}Z", "[stamp]");
    settings.add_filter(r"[\d.]+ [KM]iB, BLAKE3 [0-9a-f]{64}", "[size], BLAKE3 [digest]");
    settings.add_filter(r"BLAKE3 [0-9a-f]{64}", "BLAKE3 [digest]");
    settings.add_filter(r"pid \d+ on \S+", "[pid]");
    let texts = done.texts().replace(db.path().to_str().unwrap(), "[place]");
    settings.bind(|| insta::assert_snapshot!(name, texts));
}

#[test]
fn runs_are_shown_as_text() {
    let db = db();
    snapshot(&db, "db_database_created", &db.run("create-database").expect(0));
    snapshot(&db, "db_status_new", &db.run("status --verbose").expect(0));
    snapshot(&db, "db_dry_run", &db.run("migrate --dry-run").expect(0));
    snapshot(&db, "db_rehearsed", &db.run("migrate --dry-run=execute").expect(0));
    snapshot(&db, "db_migrated", &db.run("migrate").expect(0));
    snapshot(&db, "db_again", &db.run("migrate").expect(0));
    snapshot(&db, "db_status", &db.run("status").expect(0));
    snapshot(&db, "db_verified", &db.run("verify").expect(0));
    snapshot(&db, "db_log", &db.run("log").expect(0));
    snapshot(&db, "db_locks", &db.run("locks").expect(0));
    snapshot(&db, "db_rollback_declined", &db.run("rollback --steps 1").expect(2));
    snapshot(&db, "db_rollback_forced", &db.run("rollback --to 0 --force --yes").expect(0));
    snapshot(&db, "db_baseline", &db.run("baseline 1 --yes").expect(0));
}

#[test]
fn failures_are_explained() {
    let db = db();
    db.write("003_bad.sql", "-- Up\nCREATE TABLE more (a INT);\nINSERT INTO\n  nowhere VALUES (1);\n");
    snapshot(&db, "db_failed", &db.run("migrate").expect(1));
    db.write("003_bad.sql", "DROP TABLE people;\n");
    snapshot(&db, "db_destructive", &db.run("migrate").expect(2));
    db.write("003_bad.sql", "-- haul: fast\nSELECT 1;\n");
    snapshot(&db, "db_directive", &db.run("migrate").expect(2));
    db.write("003_bad.sql", "SELECT 1;\nCOMMIT;\n");
    snapshot(&db, "db_commit", &db.run("migrate").expect(2));
    db.remove("003_bad.sql").write("001_people.sql", "CREATE TABLE people (name TEXT, age INT);\n");
    snapshot(&db, "db_changed", &db.run("migrate").expect(65));
    snapshot(&db, "db_status_changed", &db.run("status").expect(0));
    snapshot(&db, "db_repair_declined", &db.run("repair").expect(2));
    snapshot(&db, "db_no_directory", &db.run("migrate --dir nowhere").expect(2));
    snapshot(&db, "db_no_url", &db.run("migrate --database mysql://me:secret@host/x").expect(2));
    std::fs::write(db.file(), "").unwrap();
    snapshot(&db, "db_no_database", &db.run("migrate --database sqlite:migrations/001_people.sql").expect(1));
}

#[test]
fn a_new_file_has_the_next_version_and_both_sections() {
    let db = db();
    let done = db.run("create --name Ages").expect(0);
    assert_eq!(done.stdout, "./migrations/003_ages.sql\n");
    let text = std::fs::read_to_string(db.migrations().join("003_ages.sql")).unwrap();
    assert!(
        text.starts_with("-- Migration: 003_ages\n-- Created: ") && text.ends_with("\n-- Up\n\n-- Down\n"),
        "{text}"
    );
    // A migration without statements is not run.
    assert!(db.run("migrate").expect(2).stderr.contains("003_ages.sql:4: the Up section has no statement"));
    assert_eq!(db.json("create --name more --dir elsewhere", 0)["file"], "elsewhere/001_more.sql");
}

#[test]
fn every_document_parses_and_nothing_else_is_on_stdout() {
    let db = db();
    for (arguments, code) in [
        ("migrate --dry-run", 0),
        ("migrate --dry-run=execute", 0),
        ("migrate", 0),
        ("status", 0),
        ("verify", 0),
        ("log", 0),
        ("locks", 0),
        ("unlock", 0),
        ("lint", 0),
        ("dump", 0),
        ("drift", 0),
        ("repair", 0),
        ("baseline 2", 0),
        ("rollback --steps 0", 0),
        ("redo --yes", 2),
        ("resolve --version 1", 2),
        ("migrate --to 7", 2),
    ] {
        let done = db.run(&format!("{arguments} --json")).expect(code);
        assert!(done.json().is_object(), "{arguments}: {}", done.stdout);
        assert_eq!(done.json().get("error").is_some(), code != 0, "{arguments}");
        assert!(!done.texts().contains(['\x1b', '\r']), "{arguments}");
    }
}

#[test]
fn lint_findings_are_shown_with_file_and_line() {
    let db = db();
    db.write("003_email.sql", "-- Up\nALTER TABLE people ADD COLUMN email TEXT NOT NULL;\nUPDATE people SET email = '';\n\n-- Down\nALTER TABLE people DROP COLUMN email;\n");
    db.write("005_index.sql", "-- Up\nCREATE INDEX by_email ON people (email);\nVACUUM;\n");
    snapshot(&db, "db_lint_sqlite", &db.run("lint").expect(65));
    snapshot(&db, "db_lint_postgres", &db.run("lint --database postgres://nobody@nowhere/x").expect(65));
    db.remove("005_index.sql");
    let found = db.json("lint --allow missing-down --from 3", 65);
    assert_eq!((&found["errors"], &found["warnings"], &found["notes"]), (&1.into(), &1.into(), &0.into()));
    let first = &found["findings"][0];
    assert_eq!((&first["line"], &first["rule"]), (&2.into(), &"not-null-without-default".into()));
    assert!(first["file"].as_str().unwrap().ends_with("migrations/003_email.sql"), "{first}");
    db.run("lint --allow not-null-without-default").expect(0);
    db.run("lint --allow not-null-without-default --strict").expect(65);
    snapshot(&db, "db_lint_unknown_rule", &db.run("lint --allow transaction-control").expect(2));
    assert!(!db.file().exists(), "lint opens no database");
}

#[test]
fn a_schema_and_its_drift_are_shown_as_text() {
    let db = db();
    db.run("create-database").expect(0);
    snapshot(&db, "db_drift_nothing", &db.run("drift").expect(2));
    db.run("migrate").expect(0);
    snapshot(&db, "db_dump", &db.run("dump").expect(0));
    snapshot(&db, "db_drift_none", &db.run("drift").expect(0));
    db.execute("ALTER TABLE people ADD COLUMN age INT; DROP INDEX people_by_name; CREATE VIEW names AS SELECT name FROM people;");
    snapshot(&db, "db_drift", &db.run("drift").expect(65));
    db.run("rollback --to 1 --force --yes").expect(0);
    snapshot(&db, "db_log_backup", &db.run("log --last 2").expect(0));
}

#[test]
fn batches_are_shown_as_text() {
    let db = db();
    db.write("003_visits.sql", "CREATE TABLE visits (id INTEGER PRIMARY KEY, seen INT);\n");
    db.run("migrate").expect(0);
    db.execute("WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 2500) INSERT INTO visits SELECT n, 0 FROM c");
    db.write(
        "004_seen.sql",
        "-- Up\n-- Batch: SELECT id FROM visits\nUPDATE visits SET seen = 1 WHERE id IN (SELECT id FROM haul_batch);\n",
    );
    snapshot(&db, "db_batch_dry_run", &db.run("migrate --dry-run").expect(0));
    snapshot(&db, "db_batches", &db.run("migrate").expect(0));
}
