//! What migration files of other tools, and of haul, may hold.

use std::fs;

use crate::support::db::Db;
use crate::support::db_contents::on_both;

on_both! {
    the_parts_of_node_pg_migrate_and_sql_migrate_run_apart
    a_part_for_the_way_back_never_runs_as_up
    an_applied_file_with_an_unread_marker_is_a_note
    a_transaction_around_a_file_is_that_of_haul
    applied_files_are_not_checked_as_if_they_were_to_run
    folders_and_other_endings_are_said
    folders_are_read_on_request
    placeholders_are_not_run
}

fn the_parts_of_node_pg_migrate_and_sql_migrate_run_apart(db: &Db) {
    db.write("1_a.sql", "-- Up Migration\nCREATE TABLE a (x INT);\n-- Down Migration\nDROP TABLE a;\n");
    db.write("2_b.sql", "-- +migrate Up\nCREATE TABLE b (x INT);\n-- +migrate Down\nDROP TABLE b;\n");
    db.run("migrate").expect(0);
    assert_eq!(db.tables(), ["a", "b"]);
    db.run("rollback --to 0 --yes").expect(0);
    assert_eq!(db.tables(), [""; 0]);
}

fn a_part_for_the_way_back_never_runs_as_up(db: &Db) {
    db.execute("CREATE TABLE settings (k INT); INSERT INTO settings VALUES (1)");
    for marker in [
        "-- Down:",
        "-- //@UNDO",
        "-- //@UNDO\n-- SQL to undo the change goes here.",
        "--- DOWN ---",
        "/* Down */",
        "/*\n * Down\n */",
        "-- @down",
        "# --- !Downs",
        "-- rollback",
        "-- Rollback:\n-- removes what was made above",
        "-- Dwon",
        "-- Step 2: Down",
        "-- +pg-migrate Down",
        "-- 001_a.down.sql",
        "-- Down, by hand",
    ] {
        db.write("1_a.sql", &format!("-- Up\nCREATE TABLE a (x INT);\n{marker}\nDELETE FROM settings;\n"));
        for command in ["migrate --yes", "migrate --dry-run"] {
            let done = db.run(command).expect(2);
            let shown = if marker.contains("/*") { "Down" } else { marker.lines().next().unwrap() };
            assert!(done.stderr.contains("1_a.sql:3:") && done.stderr.contains(shown), "{}", done.stderr);
        }
        assert_eq!(db.json("lint", 65)["findings"][0]["rule"], "sections", "{marker}");
        assert_eq!(db.rows("SELECT k FROM settings"), ["1"], "{marker}");
    }
    db.write("1_a.sql", "--liquibase formatted sql\n--changeset me:1 context:test\nCREATE TABLE a (x INT);\n");
    assert!(db.run("migrate").expect(2).stderr.contains("Liquibase"));
    assert_eq!(db.tables(), ["settings"]);
}

fn an_applied_file_with_an_unread_marker_is_a_note(db: &Db) {
    db.write("1_a.sql", "CREATE TABLE a (x INT);\n-- Down:\nDROP TABLE a;\n")
        .write("2_b.sql", "CREATE TABLE b (x INT);");
    db.run("create-database").expect(0);
    db.run("baseline 1 --yes").expect(0);
    assert!(db.run("migrate").expect(0).stderr.contains("1_a.sql:2:"));
    db.run("verify").expect(0);
    assert_eq!(db.tables(), ["b"]);
}

fn a_transaction_around_a_file_is_that_of_haul(db: &Db) {
    db.write("1_a.up.sql", "BEGIN;\nCREATE TABLE a (x INT);\nCOMMIT;\n");
    db.write("1_a.down.sql", "BEGIN;\nDROP TABLE a;\nCOMMIT;\n");
    db.write("2_b.sql", "BEGIN;\nCREATE TABLE b (x INT);\nINSERT INTO nowhere VALUES (1);\nCOMMIT;\n");
    db.run("migrate").expect(1);
    assert_eq!(db.tables(), ["a"]);
    db.run("rollback --to 0 --yes").expect(0);
    assert_eq!(db.tables(), [""; 0]);
}

fn applied_files_are_not_checked_as_if_they_were_to_run(db: &Db) {
    db.write("1_a.sql", "BEGIN;\nCREATE TABLE a (x INT);\nCOMMIT;\nVACUUM;\n")
        .write("2_b.sql", "SELECT '${x}';\nSAVEPOINT s;\n");
    db.write("3_c.sql", "CREATE TABLE c (x INT);");
    db.run("migrate").expect(2);
    db.run("lint --from 3").expect(0);
    db.run("create-database").expect(0);
    db.run("baseline 2 --yes").expect(0);
    db.run("status").expect(0);
    db.run("verify").expect(0);
    db.run("migrate").expect(0);
    assert_eq!(db.tables(), ["c"]);
}

fn folders_and_other_endings_are_said(db: &Db) {
    db.write("1_a.sql", "CREATE TABLE a (x INT);").write("2_b.SQL", "CREATE TABLE b (x INT);");
    assert!(db.run("migrate").expect(2).stderr.contains("2_b.SQL"));
    db.remove("2_b.SQL");
    fs::create_dir_all(db.migrations().join("2024/20240101_init")).expect("folders");
    db.write("2024/20240101_init/migration.sql", "CREATE TABLE b (x INT);");
    for command in ["migrate", "status", "verify"] {
        let done = db.run(command).expect(2);
        assert!(done.stderr.contains("20240101_init") && done.stderr.contains("--recursive"), "{}", done.stderr);
    }
    db.run("lint").expect(65);
    // A folder with other files is of no concern.
    fs::remove_dir_all(db.migrations().join("2024")).expect("removed");
    fs::create_dir(db.migrations().join("seeds")).expect("a folder");
    db.write("seeds/people.sql", "SELECT 1;").run("migrate").expect(0);
    assert_eq!(db.tables(), ["a"]);
}

fn folders_are_read_on_request(db: &Db) {
    for folder in ["20240101000000_first", "2024-01-02-000000_second", "later"] {
        fs::create_dir(db.migrations().join(folder)).expect("a folder");
    }
    db.write("20240101000000_first/migration.sql", "CREATE TABLE a (x INT);");
    db.write("2024-01-02-000000_second/up.sql", "CREATE TABLE b (x INT);");
    db.write("2024-01-02-000000_second/down.sql", "DROP TABLE b;");
    db.write("later/20240103000000_c.sql", "CREATE TABLE c (x INT);");
    db.run("migrate --recursive").expect(0);
    assert_eq!(db.tables(), ["a", "b", "c"]);
    assert_eq!(db.applied(), ["20240101000000_first", "20240102000000_second", "20240103000000_c"]);
    fs::write(db.path().join("haul.toml"), "[db]\nrecursive = true\n").expect("settings");
    db.run("status --exit-code").expect(0);
}

fn placeholders_are_not_run(db: &Db) {
    db.write("1_a.sql", "CREATE TABLE a (x TEXT);\nINSERT INTO a VALUES ('${admin_email}');\n");
    assert!(db.run("migrate").expect(2).stderr.contains("1_a.sql:2: `${admin_email}`"));
    assert_eq!(db.json("lint", 65)["findings"][0]["rule"], "placeholder");
    db.write(
        "1_a.sql",
        "-- haul: no-placeholders\nCREATE TABLE a (x TEXT);\nINSERT INTO a VALUES ('${admin_email}');\n",
    );
    db.run("migrate").expect(0);
    assert_eq!(db.rows("SELECT x FROM a"), ["${admin_email}"]);
}

#[test]
fn lint_does_not_guess_the_dialect() {
    let db = Db::sqlite();
    let function = "-- Up\nCREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$\nBEGIN\n  RETURN NEW;\nEND;\n$$;\n-- Down\n\
                    DROP FUNCTION f();\n";
    db.write("1_f.sql", function);
    let lint = |arguments: &str| {
        let mut command = db.command(&format!("lint {arguments}"));
        crate::support::haul::Done::of(command.env_remove("DATABASE_URL").output().expect("haul runs"))
    };
    assert!(lint("").expect(2).stderr.contains("--dialect"));
    lint("--dialect postgres").expect(0);
    lint("--dialect sqlite").expect(65);
    fs::write(db.path().join("haul.toml"), "[db]\ndatabase = \"postgres://db.example/app\"\n").expect("settings");
    lint("").expect(0);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_comment_of_postgres_ends_at_a_carriage_return() {
    let db = Db::postgres();
    db.write("1_a.sql", "CREATE TABLE a (x int); -- the first\rCREATE TABLE b (x int);\nCREATE TABLE c (x int);\n");
    assert_eq!(db.json("migrate --dry-run", 0)["would_apply"][0]["statements"], 3);
    db.run("migrate").expect(0);
    assert_eq!(db.tables(), ["a", "b", "c"]);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_body_of_postgres_ends_at_end_only_where_a_statement_begins() {
    let db = Db::postgres();
    let body =
        "CREATE FUNCTION f(x int) RETURNS int LANGUAGE sql BEGIN ATOMIC\n  SELECT x AS end;\n  SELECT x + 1;\nEND;\n";
    db.write("1_f.sql", body).run("migrate").expect(0);
    assert_eq!(db.rows("SELECT f(1)"), ["2"]);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn copy_of_postgres_runs_with_its_data() {
    let db = Db::postgres();
    let text = "CREATE TABLE a (id int, label text);\nCOPY a (id, label) FROM stdin;\n1\tit;s\n2\tdon't\n3\t\\\\.\n\\.\nCOPY a FROM STDIN \
                WITH (FORMAT csv, HEADER); -- rows\nid,label\n4,\"a\nb;\"\n\\.\nINSERT INTO a VALUES (5, 'x');\n";
    db.write("1_a.sql", text).run("migrate").expect(0);
    assert_eq!(db.rows("SELECT id FROM a ORDER BY id"), ["1", "2", "3", "4", "5"]);
    assert_eq!(db.rows("SELECT label FROM a WHERE id = 2"), ["don't"]);
    db.write("2_b.sql", "CREATE TABLE b (x int);\nCOPY b FROM stdin;\n1\nsecret\n\\.\n");
    let done = db.run("migrate").expect(1);
    assert!(done.stderr.contains("2_b.sql:4") && done.stderr.contains("line 2 of the data"), "{}", done.stderr);
    assert_eq!(db.tables(), ["a"]);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn guards_of_dumps_of_postgres_are_passed_over() {
    let db = Db::postgres();
    db.write(
        "1_dump.sql",
        "--\n-- PostgreSQL database dump\n--\n\n\\restrict abcDEF\n\nCREATE TABLE a (x int);\n\n\\unrestrict abcDEF\n",
    );
    db.run("migrate").expect(0);
    db.run("lint").expect(0);
    assert_eq!(db.tables(), ["a"]);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn cascade_of_postgres_needs_consent() {
    let db = Db::postgres();
    db.write("1_a.sql", "CREATE TYPE mood AS ENUM ('sad');\nCREATE TABLE p (m mood);\n").run("migrate").expect(0);
    db.write("2_b.sql", "DROP TYPE mood CASCADE;").run("migrate").expect(2);
    assert_eq!(db.rows("SELECT count(*) FROM information_schema.columns WHERE table_name = 'p'"), ["1"]);
    db.run("migrate --yes").expect(0);
    // The values of an attribute are in columns, and go without CASCADE too.
    db.execute("CREATE TYPE pair AS (a int, b int); CREATE TABLE q (p pair); INSERT INTO q VALUES ((1, 2))");
    db.write("3_c.sql", "ALTER TYPE pair DROP ATTRIBUTE b;").run("migrate").expect(2);
    assert_eq!(db.rows("SELECT (p).b FROM q"), ["2"]);
    let told = db.run("migrate --yes").expect(0).stderr;
    assert!(told.contains("drops an attribute of a type"), "{told}");
}
