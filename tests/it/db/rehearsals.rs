//! Rehearsals that succeed where the run does, and say where they cannot tell.

use serde_json::json;

use crate::support::db::Db;

/// Rehearses and runs, which must both succeed. Returns the document of the rehearsal.
#[track_caller]
fn rehearsed(db: &Db) -> serde_json::Value {
    let end = db.json("migrate --dry-run=execute", 0);
    db.run("migrate --yes").expect(0);
    end
}

#[test]
fn sections_without_a_transaction_run_in_the_copy_of_sqlite() {
    let db = Db::sqlite();
    db.write("1_a.sql", "-- haul: no-transaction\nPRAGMA recursive_triggers = ON;\nCREATE TABLE t (n INT);\nVACUUM;");
    db.write("2_b.sql", "INSERT INTO t VALUES (1);");
    let end = rehearsed(&db);
    assert_eq!((&end["rehearsal"]["applied"], &end["not_exercised"]), (&2.into(), &json!([])));
}

#[test]
fn a_section_that_reaches_another_file_is_left_out() {
    let db = Db::sqlite();
    db.write("1_a.sql", "-- haul: no-transaction\nCREATE TABLE t (n INT);\nVACUUM INTO 'other.db';");
    db.write("2_b.sql", "INSERT INTO t VALUES (1);");
    let end = db.json("migrate --dry-run=execute", 0);
    assert_eq!((&end["not_exercised"], &end["unclear"][0]["name"]), (&json!(["1_a"]), &"2_b".into()));
    assert!(!db.path().join("other.db").exists());
    let shown = db.run("migrate --dry-run=execute").expect(0).stdout;
    assert!(shown.contains("not rehearsed: 1_a, because it may change another file"), "{shown}");
}

#[test]
fn an_error_of_its_own_still_fails() {
    let db = Db::sqlite();
    db.write("1_a.sql", "CREATE TABLE t (n INT);").write("2_b.sql", "INSERT INTO nowhere VALUES (1);");
    assert_eq!(db.json("migrate --dry-run=execute", 1)["rehearsal"]["failed"], 1);
}

mod postgres {
    use super::*;

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn a_value_of_an_enum_that_was_just_added_is_unclear() {
        let db = Db::postgres();
        db.write("1_a.sql", "CREATE TYPE mood AS ENUM ('sad');\nCREATE TABLE p (m mood);").run("migrate").expect(0);
        db.write("2_b.sql", "ALTER TYPE mood ADD VALUE 'happy';").write("3_c.sql", "INSERT INTO p VALUES ('happy');");
        let end = rehearsed(&db);
        assert_eq!((&end["rehearsal"]["applied"], &end["unclear"][0]["name"]), (&1.into(), &"3_c".into()));
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn a_deferred_constraint_does_not_stop_the_next_file() {
        let db = Db::postgres();
        db.write(
            "1_a.sql",
            "CREATE TABLE parent (id int PRIMARY KEY);\n\
             CREATE TABLE child (id int UNIQUE DEFERRABLE, p int REFERENCES parent DEFERRABLE INITIALLY DEFERRED);",
        );
        db.write("2_b.sql", "INSERT INTO child VALUES (1, 1);\nINSERT INTO parent VALUES (1);");
        db.write("3_c.sql", "ALTER TABLE child ADD COLUMN note text;");
        db.write("4_d.sql", "INSERT INTO child VALUES (2, 2);\nINSERT INTO parent VALUES (2);");
        assert_eq!(rehearsed(&db)["rehearsal"]["applied"], 4);
        // What the commit would refuse is still found.
        db.write("5_e.sql", "INSERT INTO child VALUES (3, 3);");
        assert_eq!(db.json("migrate --dry-run=execute", 1)["rehearsal"]["failure"]["code"], "SQLSTATE 23503");
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn what_ends_with_a_transaction_is_gone_before_the_next_file() {
        let db = Db::postgres();
        let text = "CREATE TEMP TABLE k ON COMMIT DROP AS SELECT 1 AS a;\nDECLARE c CURSOR FOR SELECT 1;\n\
                    PREPARE p AS SELECT 1;\nSET LOCAL search_path = pg_catalog;";
        db.write("1_a.sql", text).write("2_b.sql", text);
        assert_eq!(rehearsed(&db)["rehearsal"]["applied"], 2);
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn a_failure_behind_a_section_that_was_left_out_is_unclear() {
        let db = Db::postgres();
        db.write("1_a.sql", "CREATE TABLE t (n int NOT NULL);");
        db.write("2_b.sql", "-- haul: no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY u ON t (n);");
        db.write("3_c.sql", "ALTER TABLE t ADD CONSTRAINT u UNIQUE USING INDEX u;");
        db.write("4_d.sql", "CREATE TABLE v (n int);");
        let shown = db.run("migrate --dry-run=execute").expect(0).stdout;
        assert!(shown.contains("unclear: 3_c, because a migration before it was left out"), "{shown}");
        let end = rehearsed(&db);
        assert_eq!((&end["not_exercised"], &end["rehearsal"]["applied"]), (&json!(["2_b"]), &2.into()));
    }
}
