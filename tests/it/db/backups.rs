//! Backups before what destroys data, and what they are worth: they are restored as haul says.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::db::Db;
use crate::support::db_contents::{Engine, on_both};
use crate::support::haul::Done;
use serde_json::Value;

on_both! {
    a_required_backup_comes_before_everything
    a_backup_is_restored_as_it_says
    a_harmless_migration_makes_no_backup_by_default
    a_destructive_migration_makes_a_backup_first
    a_run_that_is_started_again_and_again_has_one_backup
    a_run_keeps_as_many_backups_as_it_is_told
    rollback_and_redo_are_preceded_by_one
    never_is_never
    nothing_to_do_is_nothing_to_copy
    without_a_place_for_it_nothing_is_run
    the_output_says_how_it_is_restored
    a_run_that_changed_nothing_leaves_no_backup
    clean_removes_what_haul_made_and_keeps_the_newest
    clean_removes_old_rows_of_the_log_that_nothing_needs
}

/// A table with rows, and a migration that drops it.
fn people(db: &Db) {
    db.write("001_people.sql", "-- Up\nCREATE TABLE people (name TEXT);\n-- Down\nDROP TABLE people;\n");
    db.run("migrate").expect(0);
    db.execute("INSERT INTO people VALUES ('kept')");
    db.write("002_gone.sql", "-- Up\nDROP TABLE people;\n-- Down\nCREATE TABLE people (name TEXT);\n");
}

/// Files of backups beside the database and below it.
fn backups(db: &Db) -> Vec<PathBuf> {
    let list = |directory: &Path| std::fs::read_dir(directory).into_iter().flatten().flatten().collect::<Vec<_>>();
    let all = list(db.path()).into_iter().chain(list(&db.path().join("kept"))).map(|entry| entry.path());
    let is_one = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "backup" || ending == "dump");
    all.filter(is_one).collect()
}

/// Runs the commands that a run says restore its backup.
fn restore(db: &Db, commands: &Value) {
    for command in commands.as_array().expect("a list") {
        let words: Vec<_> =
            command.as_array().expect("words").iter().map(|word| word.as_str().expect("text")).collect();
        let output = Command::new(words[0]).args(&words[1..]).current_dir(db.path()).output().expect("it runs");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// What a query answers in the database that a backup was restored to.
fn restored_rows(db: &Db, sql: &str) -> Vec<String> {
    match db.engine() {
        Engine::Sqlite => db.rows(sql),
        Engine::Postgres => {
            let client = postgres::Client::connect(&format!("{}_restored", db.url()), postgres::NoTls);
            let rows = client.expect("a session").query(sql, &[]).expect("rows");
            rows.iter().map(|row| row.get(0)).collect()
        }
    }
}

fn a_required_backup_comes_before_everything(db: &Db) {
    db.write("001_people.sql", "CREATE TABLE people (name TEXT);");
    let end = db.json("migrate --backup required --backup-dir kept", 0);
    let found = backups(db);
    assert_eq!((found.len(), &end["applied"]), (1, &1.into()));
    let bytes = std::fs::read(&found[0]).unwrap();
    assert_eq!(end["backup"]["digest"], blake3::hash(&bytes).to_hex().to_string());
    assert_eq!(end["backup"]["bytes"], bytes.len());
    let log = db.json("log", 0);
    let row = log["log"].as_array().unwrap().iter().find(|row| row["outcome"] == "backed_up").unwrap();
    assert_eq!((&row["name"], &row["checksum"]), (&end["backup"]["file"], &end["backup"]["digest"]));
    assert_eq!(row["direction"], "-");
}

fn a_backup_is_restored_as_it_says(db: &Db) {
    people(db);
    let end = db.json("migrate --yes --backup required", 0);
    assert_eq!(db.tables(), [""; 0]);
    restore(db, &end["backup"]["restore"]);
    assert_eq!(restored_rows(db, "SELECT name FROM people"), ["kept"]);
    // Its ledger is that of the time before.
    assert_eq!(restored_rows(db, "SELECT name FROM haul_migrations"), ["001_people"]);
    if db.engine() == Engine::Sqlite {
        assert_eq!(db.json("migrate --yes", 0)["applied"], 1);
    }
}

fn a_harmless_migration_makes_no_backup_by_default(db: &Db) {
    db.write("001_people.sql", "CREATE TABLE people (name TEXT);");
    assert_eq!(db.json("migrate", 0)["backup"], Value::Null);
    assert_eq!(backups(db).len(), 0);
}

fn a_destructive_migration_makes_a_backup_first(db: &Db) {
    people(db);
    let declined = db.run("migrate").expect(2).stderr;
    assert!(declined.contains("this destroys data; a backup is made first"), "{declined}");
    assert_eq!(backups(db).len(), 0);
    let end = db.json("migrate --yes --backup auto", 0);
    assert_eq!(backups(db).len(), 1);
    restore(db, &end["backup"]["restore"]);
    assert_eq!(restored_rows(db, "SELECT name FROM people"), ["kept"]);
    assert_eq!(restored_rows(db, "SELECT name FROM haul_migrations"), ["001_people"]);
}

fn a_run_that_is_started_again_and_again_has_one_backup(db: &Db) {
    people(db);
    // The first statement stays, so the backup is of use; and the second fails each time.
    db.write("002_gone.sql", "-- haul: no-transaction\nDELETE FROM people;\nDROP TABLE nothing;\n");
    for attempt in 0..3 {
        let told = db.run("migrate --yes --backup auto").expect(1).stderr;
        assert_eq!(told.contains("is of this state: no other is made"), attempt > 0, "{told}");
    }
    assert_eq!(backups(db).len(), 1);
    // A backup that is no longer what it was is not relied on.
    std::fs::write(&backups(db)[0], "changed").unwrap();
    db.run("migrate --yes --backup auto").expect(1);
    assert_eq!(backups(db).len(), 2);
    // Neither is one of another state.
    db.write("002_gone.sql", "-- haul: no-transaction\nDELETE FROM people;\nDROP TABLE another;\n");
    db.run("migrate --yes --backup auto").expect(1);
    assert_eq!(backups(db).len(), 3);
}

fn a_run_keeps_as_many_backups_as_it_is_told(db: &Db) {
    people(db);
    for name in ["a", "b", "c"] {
        db.write(&format!("1{}_{name}.sql", name.as_bytes()[0]), &format!("CREATE TABLE {name} (x INT);\n"));
        let end = db.json("migrate --yes --backup required --keep 2", 0);
        let kept = std::path::Path::new(end["backup"]["file"].as_str().unwrap()).file_name().unwrap().to_owned();
        assert!(backups(db).iter().any(|path| path.file_name() == Some(&kept)), "the newest is kept");
    }
    assert_eq!(backups(db).len(), 2);
    // What failed may need all of them.
    db.write("200_bad.sql", "DROP TABLE a; SELECT nothing;\n");
    db.run("migrate --yes --backup required --keep 1").expect(1);
    assert_eq!(backups(db).len(), 2);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_backup_of_postgres_has_the_rows_that_a_run_may_destroy_and_can_be_restored() {
    let db = Db::postgres();
    db.execute(
        "CREATE SCHEMA app; CREATE TABLE app.\"Old one\" (a INT PRIMARY KEY); CREATE TABLE far (a INT PRIMARY KEY); \
         CREATE TABLE people (a INT PRIMARY KEY, f INT REFERENCES far); CREATE TABLE notes (p INT REFERENCES people ON DELETE \
         CASCADE); CREATE TABLE parts (a INT) PARTITION BY RANGE (a); CREATE TABLE part PARTITION OF parts DEFAULT; CREATE \
         TABLE large (a INT); INSERT INTO far VALUES (1); INSERT INTO people VALUES (1, 1); INSERT INTO notes VALUES (1); \
         INSERT INTO parts VALUES (1); INSERT INTO large VALUES (1); INSERT INTO app.\"Old one\" VALUES (1)",
    );
    let counts = "SELECT (SELECT count(*) FROM app.\"Old one\") || ' ' || (SELECT count(*) FROM far) || ' ' || (SELECT \
                  count(*) FROM people) || ' ' || (SELECT count(*) FROM notes) || ' ' || (SELECT count(*) FROM parts) || ' ' || \
                  (SELECT count(*) FROM large) || ' ' || (SELECT count(*) FROM haul_migrations)";
    db.write("1_a.sql", "CREATE TABLE IF NOT EXISTS large (a INT);").run("migrate").expect(0);
    db.write(
        "2_b.sql",
        "-- Up\nDROP TABLE IF EXISTS app.\"Old one\";\n-- Down\nCREATE TABLE app.\"Old one\" (a INT);\n",
    );
    db.write("3_c.sql", "-- Up\nDELETE FROM people;\nDROP TABLE parts;\n-- Down\nSELECT 1;\n");
    let end = db.json("migrate --yes --backup auto", 0);
    restore(&db, &end["backup"]["restore"]);
    assert_eq!(restored_rows(&db, counts), ["1 1 1 1 1 0 1"]);
    // What cannot be told from the words of a statement is in a backup of everything.
    db.client().batch_execute(&format!("DROP DATABASE {}_restored", db.url().rsplit('/').next().unwrap())).unwrap();
    db.write("4_d.sql", "DO $$ BEGIN DELETE FROM large; END $$;\nDROP TABLE notes;\n");
    let end = db.json("migrate --yes --backup auto", 0);
    restore(&db, &end["backup"]["restore"]);
    assert_eq!(restored_rows(&db, "SELECT count(*)::text FROM large"), ["1"]);
}

fn rollback_and_redo_are_preceded_by_one(db: &Db) {
    db.write("001_people.sql", "-- Up\nCREATE TABLE people (name TEXT);\n-- Down\nDROP TABLE people;\n");
    db.run("migrate").expect(0);
    db.json("redo --yes --backup required", 0);
    assert_eq!(backups(db).len(), 1);
    db.execute("INSERT INTO people VALUES ('kept')");
    let end = db.json("rollback --steps 1 --yes --backup required", 0);
    assert_eq!((backups(db).len(), db.tables()), (2, vec![]));
    restore(db, &end["backup"]["restore"]);
    assert_eq!(restored_rows(db, "SELECT name FROM people"), ["kept"]);
}

fn never_is_never(db: &Db) {
    people(db);
    db.run("migrate --yes --backup never").expect(0);
    db.run("rollback --to 0 --yes --backup never").expect(0);
    assert_eq!((backups(db).len(), db.applied().len()), (0, 0));
}

fn nothing_to_do_is_nothing_to_copy(db: &Db) {
    db.write("001_people.sql", "-- Up\nCREATE TABLE people (name TEXT);\n-- Down\nDROP TABLE people;\n");
    db.run("migrate").expect(0);
    db.run("migrate --backup required").expect(0);
    db.run("rollback --to 1 --backup required").expect(0);
    assert_eq!(backups(db).len(), 0);
}

fn without_a_place_for_it_nothing_is_run(db: &Db) {
    people(db);
    std::fs::write(db.path().join("kept"), "no directory").unwrap();
    let told = db.run("migrate --yes --backup required --backup-dir kept").expect(1).stderr;
    assert!(told.contains("kept"), "{told}");
    assert_eq!((db.applied(), db.rows("SELECT name FROM people")), (vec!["001_people".into()], vec!["kept".into()]));
}

fn the_output_says_how_it_is_restored(db: &Db) {
    people(db);
    let told = db.run("migrate --yes --backup required").expect(0).stdout;
    let file = backups(db)[0].file_name().unwrap().to_str().unwrap().to_owned();
    let restore = told.lines().find(|line| line.starts_with("restore ")).expect(&told);
    assert!(restore.contains("stop what uses the database") && restore.contains(&file), "{told}");
    assert!(told.lines().any(|line| line.starts_with("backup ") && line.contains("BLAKE3 ")), "{told}");
}

fn a_run_that_changed_nothing_leaves_no_backup(db: &Db) {
    people(db);
    db.write("002_gone.sql", "DROP TABLE people; SELECT nothing;\n");
    for _ in 0..2 {
        let told = db.run("migrate --yes --backup required").expect(1).stderr;
        assert!(told.contains("was removed again, because nothing was changed"), "{told}");
    }
    assert_eq!(backups(db).len(), 0);
    // What was applied before the failure is a change.
    db.write("002_gone.sql", "DROP TABLE people;\n").write("003_bad.sql", "SELECT nothing;\n");
    db.run("migrate --yes --backup required").expect(1);
    assert_eq!(backups(db).len(), 1);
}

fn clean_removes_what_haul_made_and_keeps_the_newest(db: &Db) {
    people(db);
    for name in ["a", "b", "c"] {
        db.write(&format!("1{}_{name}.sql", name.as_bytes()[0]), &format!("CREATE TABLE {name} (x INT);\n"));
        db.run("migrate --yes --backup required --backup-dir kept").expect(0);
    }
    std::fs::write(db.path().join("kept/mine.backup"), "not haul's").unwrap();
    let oldest = db.json("log", 0)["log"].as_array().unwrap().iter().find(|row| row["outcome"] == "backed_up").unwrap()
        ["name"]
        .as_str()
        .unwrap()
        .to_owned();
    std::fs::write(db.path().join(&oldest), "changed").unwrap();
    assert!(db.run("clean --keep 1").expect(2).stderr.contains("this removes backups"));
    let end = db.json("clean --keep 1 --yes", 0);
    assert_eq!((end["removed"].as_array().unwrap().len(), end["kept"].as_array().unwrap().len()), (1, 2));
    assert_eq!(end["kept"][0]["state"], "changed");
    assert_eq!(backups(db).len(), 3);
    assert_eq!(db.json("clean --keep 1 --yes", 0)["removed"].as_array().unwrap().len(), 0);
}

fn clean_removes_old_rows_of_the_log_that_nothing_needs(db: &Db) {
    people(db);
    db.remove("002_gone.sql").write("002_b.sql", "SELECT * FROM nothing;\n").run("migrate").expect(1);
    db.write("002_b.sql", "CREATE TABLE b (x INT);\n").run("migrate --backup required").expect(0);
    db.execute("UPDATE haul_migrations_log SET started_at = '2020-01-01T00:00:00.000Z', finished_at = NULL");
    db.run("clean").expect(2);
    assert_eq!(db.json("clean --log-days 4000000 --yes", 0)["log_rows_removed"], 0);
    let asked = db.run("clean --log-days 30").expect(2).stderr;
    assert!(asked.contains("old rows of the log") && asked.contains("2 rows of the log from before 20"), "{asked}");
    let outcomes = || db.rows("SELECT outcome FROM haul_migrations_log ORDER BY id");
    assert_eq!(outcomes(), ["started", "applied", "started", "failed", "backed_up", "started", "applied"]);
    assert_eq!(db.json("clean --log-days 30 --yes", 0)["log_rows_removed"], 2);
    assert_eq!(outcomes(), ["started", "applied", "backed_up", "started", "applied", "log_cleaned"]);
    // Nothing that haul needs is gone: the plan, the backup, the numbers.
    assert_eq!(db.json("migrate", 0)["applied"], 0);
    assert_eq!(db.json("clean --keep 1 --log-days 30 --yes", 0)["kept"].as_array().unwrap().len(), 1);
    db.run("rollback --steps 1 --force --yes").expect(0);
    let ids = db.rows("SELECT CAST(id AS TEXT) FROM haul_migrations_log ORDER BY id");
    assert_eq!(ids[..6], ["1", "2", "5", "6", "7", "8"]);
}

#[test]
fn a_backup_of_a_log_in_use_is_whole_and_as_private_as_its_database() {
    use std::os::unix::fs::PermissionsExt;
    let db = Db::sqlite();
    people(&db);
    let writer = rusqlite::Connection::open(db.file()).unwrap();
    writer.execute_batch("PRAGMA journal_mode = WAL; INSERT INTO people VALUES ('in the log')").unwrap();
    std::fs::set_permissions(db.file(), std::fs::Permissions::from_mode(0o600)).unwrap();
    db.run("migrate --yes").expect(0);
    let backup = &backups(&db)[0];
    assert_eq!(std::fs::metadata(backup).unwrap().permissions().mode() & 0o7777, 0o600);
    let kept = rusqlite::Connection::open(backup).unwrap();
    let count = |sql| kept.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM people"), 2);
    assert_eq!(kept.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
}

#[test]
#[ignore = "needs PostgreSQL"]
fn without_its_dump_program_postgres_destroys_nothing_unless_told() {
    let db = Db::postgres();
    people(&db);
    let run = |backup: &str| {
        let mut command = db.command(&format!("migrate --yes --backup {backup}"));
        Done::of(command.env("PATH", db.path()).output().expect("haul runs"))
    };
    for mode in ["required", "auto"] {
        let told = run(mode).expect(2).stderr;
        assert!(told.contains("there is no pg_dump on PATH") && told.contains("--backup never"), "{told}");
        assert_eq!((db.applied().len(), db.tables()), (1, vec!["people".to_owned()]));
    }
    run("never").expect(0);
    assert_eq!(backups(&db).len(), 0);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_failed_dump_of_postgres_is_reported_and_its_file_removed() {
    let db = Db::postgres();
    people(&db);
    let program = db.path().join("pg_dump");
    std::fs::write(&program, "#!/bin/sh\necho some bytes\necho pg_dump: it does not work >&2\nexit 3\n").unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = db.command("migrate --yes --backup required --backup-dir kept");
    let path = format!("{}:/bin:/usr/bin", db.path().display());
    let told = Done::of(command.env("PATH", path).output().expect("haul runs")).expect(1).stderr;
    assert!(told.contains("pg_dump did not make a backup; nothing was changed: it does not work"), "{told}");
    assert_eq!((std::fs::read_dir(db.path().join("kept")).unwrap().count(), db.applied().len()), (0, 1));
}
