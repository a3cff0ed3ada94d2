//! The ledger when it does not fit the files: what repairs it shows first what that means, and nothing is taken for granted.

use std::fs;

use crate::support::db::Db;
use crate::support::db_contents::on_both;

on_both! {
    a_version_with_another_name_and_text_is_another_migration
    a_repair_names_its_version_and_shows_what_never_runs
    a_renamed_file_with_the_same_text_is_the_same_migration
    resolve_shows_what_it_found_and_asks
    a_lost_log_is_an_error_of_every_verb
    a_lost_ledger_is_an_error_of_every_verb
    a_first_run_that_ended_between_two_tables_goes_on
    rollback_to_zero_takes_a_version_zero_back_too
    a_missing_file_is_an_error_or_ignored
    a_ledger_ahead_of_the_files_is_an_error_or_ignored
    settings_allow_out_of_order_and_newer
    a_failed_down_says_what_helps
    rows_that_a_migration_writes_into_the_ledger_do_not_stop_the_run
    the_numbers_of_the_log_have_no_gap_after_a_failure
}

fn two(db: &Db) -> &Db {
    db.write("001_a.sql", "-- Up\nCREATE TABLE a (x INT);\n-- Down\nDROP TABLE a;\n");
    db.write("002_b.sql", "-- Up\nCREATE TABLE b (x INT);\n-- Down\nDROP TABLE b;\n");
    db.run("migrate").expect(0);
    db
}

fn a_version_with_another_name_and_text_is_another_migration(db: &Db) {
    two(db).remove("002_b.sql").write("002_other.sql", "CREATE TABLE other (x INT);\n");
    for verb in ["migrate", "repair --all --yes", "repair --version 2 --yes", "verify", "rollback --steps 1 --yes"] {
        let done = db.run(verb).expect(65);
        let told = format!("{}{}", done.stdout, done.stderr);
        assert!(told.contains("give 002_other a new version"), "{verb}: {told}");
    }
    let told = db.run("status").expect(0).stdout;
    assert!(told.contains("version 2 was applied as 002_b"), "{told}");
    assert_eq!((db.run("status --exit-code").code, db.applied()), (65, vec!["001_a".to_owned(), "002_b".to_owned()]));
    fs::rename(db.migrations().join("002_other.sql"), db.migrations().join("003_other.sql")).unwrap();
    db.write("002_b.sql", "-- Up\nCREATE TABLE b (x INT);\n-- Down\nDROP TABLE b;\n");
    assert_eq!(db.json("migrate", 0)["applied"], 1);
}

fn a_repair_names_its_version_and_shows_what_never_runs(db: &Db) {
    two(db).write("001_a.sql", "CREATE TABLE a (x INT);\nCREATE TABLE more (x INT);\n");
    db.write("002_b.sql", "CREATE TABLE b (x BIGINT);\n");
    let told = db.run("repair --yes").expect(2).stderr;
    assert!(told.contains("001_a, 002_b") && told.contains("--version VERSION"), "{told}");
    let told = db.run("repair --version 1").expect(2).stderr;
    assert!(
        told.contains("not run, unless the old text had it: 2: CREATE TABLE more") && told.contains(" instead of "),
        "{told}"
    );
    assert!(!told.contains("002_b"), "{told}");
    assert_eq!(db.json("repair --version 1 --yes", 0)["repaired"].as_array().unwrap().len(), 1);
    assert!(
        db.run("repair --version 1 --yes").expect(2).stderr.contains("not an applied migration whose file was changed")
    );
    db.run("migrate").expect(65);
    assert_eq!(db.json("repair --all --yes", 0)["repaired"][0]["name"], "002_b");
    db.run("migrate").expect(0);
    assert_eq!(db.tables(), ["a", "b"]);
}

fn a_renamed_file_with_the_same_text_is_the_same_migration(db: &Db) {
    two(db);
    fs::rename(db.migrations().join("002_b.sql"), db.migrations().join("02_better.sql")).unwrap();
    db.run("migrate").expect(0);
    db.run("verify").expect(0);
}

fn resolve_shows_what_it_found_and_asks(db: &Db) {
    db.write(
        "001_x.sql",
        "-- haul: no-transaction\nCREATE TABLE a (x INT);\nCREATE TABLE a (x INT);\nCREATE TABLE c (x INT);\n",
    );
    db.run("migrate").expect(1);
    let told = db.run("resolve --version 1 --from-statement 3").expect(2).stderr;
    assert!(
        told.contains("001_x, section Up: failed at statement 2") && told.contains("there is no terminal"),
        "{told}"
    );
    let lines: Vec<_> = told.lines().filter(|line| line.contains("CREATE TABLE")).collect();
    assert!(lines[0].contains("counts as done") && lines[1].contains("counts as done"), "{told}");
    assert!(lines[2].contains("will run: ") && lines[2].contains(":4: CREATE TABLE c"), "{told}");
    db.run("resolve --version 1 --from-statement 3 --yes").expect(0);
    db.run("migrate").expect(0);
    assert_eq!(db.tables(), ["a", "c"]);
}

const VERBS: [&str; 8] =
    ["status", "verify", "migrate", "migrate --dry-run", "log", "rollback --to 0 --yes", "baseline 2 --yes", "drift"];

fn a_lost_log_is_an_error_of_every_verb(db: &Db) {
    two(db).execute("DROP TABLE haul_migrations_log");
    for verb in VERBS {
        let told = db.run(verb).expect(1).stderr;
        assert!(told.contains("haul_migrations_log is gone") && told.contains("repair --lost-log"), "{verb}: {told}");
    }
    db.run("repair --lost-log").expect(2);
    assert_eq!(db.json("repair --lost-log --yes", 0)["log_replaced"], true);
    assert_eq!(db.json("repair --lost-log --yes", 0)["log_replaced"], false);
    assert_eq!(db.json("status", 0)["applied"].as_array().unwrap().len(), 2);
    db.run("migrate").expect(0);
}

fn a_lost_ledger_is_an_error_of_every_verb(db: &Db) {
    two(db).execute("DROP TABLE haul_migrations");
    for verb in VERBS {
        let told = db.run(verb).expect(1).stderr;
        assert!(told.contains("which records what is applied, is gone"), "{verb}: {told}");
    }
    db.execute("DROP TABLE haul_migrations_log");
    db.run("migrate").expect(1);
    db.execute("DROP TABLE haul_migrations_schema");
    db.run("baseline 2").expect(0);
    assert_eq!(db.json("migrate", 0)["applied"], 0);
}

fn a_first_run_that_ended_between_two_tables_goes_on(db: &Db) {
    two(db).run("rollback --to 0 --yes").expect(0);
    db.execute("DROP TABLE haul_migrations_log; DROP TABLE haul_migrations_schema");
    db.run("status").expect(0);
    assert_eq!(db.json("migrate", 0)["applied"], 2);
}

fn rollback_to_zero_takes_a_version_zero_back_too(db: &Db) {
    db.write("0000_zero.sql", "-- Up\nCREATE TABLE zero (x INT);\n-- Down\nDROP TABLE zero;\n");
    two(db);
    let declined = db.run("rollback --to 0").expect(2).stderr;
    assert!(declined.contains("0000_zero"), "{declined}");
    assert_eq!(db.json("rollback --to 0 --yes", 0)["applied"], 3);
    assert_eq!((db.applied(), db.tables()), (vec![], vec![]));
}

fn a_missing_file_is_an_error_or_ignored(db: &Db) {
    two(db).remove("001_a.sql").write("003_c.sql", "CREATE TABLE c (x INT);\n");
    let told = db.run("migrate").expect(65).stderr;
    assert!(told.contains("--missing ignore") && !told.contains("repair"), "{told}");
    db.run("migrate --newer ignore").expect(65);
    assert_eq!(db.json("migrate --missing ignore", 0)["applied"], 1);
    assert_eq!(db.json("status --missing ignore --exit-code", 0)["ignored"][0]["name"], "001_a");
    assert!(db.run("status --missing ignore").expect(0).stdout.contains("ignored"));
    assert!(db.run("verify --missing ignore").expect(0).stdout.contains("ignored"));
    db.run("status --exit-code").expect(65);
    // What has no file has no Down section.
    assert!(db.run("rollback --to 0 --yes --missing ignore").expect(2).stderr.contains("no Down section"));
}

fn a_ledger_ahead_of_the_files_is_an_error_or_ignored(db: &Db) {
    two(db).remove("002_b.sql");
    let told = db.run("migrate").expect(65).stderr;
    assert!(told.contains("ahead of all files here") && told.contains("--newer ignore"), "{told}");
    db.run("migrate --missing ignore").expect(65);
    assert_eq!(db.json("migrate --newer ignore", 0)["applied"], 0);
    db.run("verify --newer ignore").expect(0);
}

fn settings_allow_out_of_order_and_newer(db: &Db) {
    two(db).remove("002_b.sql").write("0_early.sql", "CREATE TABLE early (x INT);\n");
    fs::write(db.path().join("haul.toml"), "[db]\nnewer = \"ignore\"\nallow_out_of_order = true\n").unwrap();
    db.run("migrate --newer error").expect(65);
    assert_eq!(db.json("migrate", 0)["applied"], 1);
}

fn a_failed_down_says_what_helps(db: &Db) {
    let text = "-- Up\nCREATE TABLE a (x INT);\n-- Down\nDROP TABLE aa;\n";
    db.write("001_a.sql", text).run("migrate").expect(0);
    let told = db.run("redo --yes").expect(1).stderr;
    assert!(told.contains("still applied") && told.contains("`haul db repair --version 1`"), "{told}");
    db.write("001_a.sql", &text.replace("aa", "a"));
    db.run("repair --version 1 --yes").expect(0);
    db.run("redo --yes").expect(0);
    assert_eq!(db.tables(), ["a"]);
}

/// A run counts its rows by itself, and looks again if a statement is about its tables.
fn rows_that_a_migration_writes_into_the_ledger_do_not_stop_the_run(db: &Db) {
    db.write("001_a.sql", "CREATE TABLE a (x INT);\n");
    db.write(
        "002_merge.sql",
        "INSERT INTO HAUL_Migrations (position, version, name, checksum, applied_at, duration_ms, applied_by, haul_version) \
         SELECT position + 5, '900', '900_old', checksum, applied_at, 0, applied_by, haul_version FROM haul_migrations;\n",
    );
    db.write("003_c.sql", "CREATE TABLE c (x INT);\n");
    assert_eq!(db.json("migrate", 0)["applied"], 3);
    let positions = db.rows("SELECT CAST(position AS TEXT) FROM haul_migrations ORDER BY position");
    assert_eq!(positions, ["1", "6", "7", "8"]);
}

fn the_numbers_of_the_log_have_no_gap_after_a_failure(db: &Db) {
    db.write("001_a.sql", "CREATE TABLE a (x INT);\n")
        .write("002_b.sql", "CREATE TABLE b (x INT);\nSELECT * FROM nothing;\n");
    for _ in 0..2 {
        db.run("migrate").expect(1);
    }
    db.write("002_b.sql", "CREATE TABLE b (x INT);\n").run("migrate").expect(0);
    let outcomes = "SELECT CAST(id AS TEXT) || ' ' || CAST(attempt AS TEXT) || ' ' || outcome FROM haul_migrations_log ORDER BY id";
    assert_eq!(
        db.rows(outcomes),
        [
            "1 1 started",
            "2 1 applied",
            "3 3 started",
            "4 3 failed",
            "5 5 started",
            "6 5 failed",
            "7 7 started",
            "8 7 applied"
        ]
    );
}
