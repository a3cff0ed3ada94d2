//! Foreign keys of SQLite, checked before the commit: exactly, and only where a file may have changed something.

use crate::support::db::Db;

/// A parent with the rows 1 and 2, and whatever else there is.
fn database(more: &str) -> Db {
    let db = Db::sqlite();
    db.execute(&format!(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO parent VALUES (1, 'x'), (2, 'y'); {more}"
    ));
    db
}

/// Runs a file, which must fail for its keys, or not.
#[track_caller]
fn run(db: &Db, text: &str, error: Option<&str>) {
    let end = db.write("1_a.sql", text).run("migrate --yes").expect(if error.is_some() { 1 } else { 0 });
    if let Some(error) = error {
        assert!(end.stderr.contains(error), "{}", end.stderr);
    }
}

const ONE_ROW: &str = "foreign key violated: 1 row of child refers to rows of parent";

#[test]
fn a_key_that_does_not_fit_hides_no_other() {
    let broken = "CREATE TABLE up (a TEXT); CREATE TABLE down (a TEXT REFERENCES up (a));";
    let db = database(&format!(
        "{broken} CREATE TABLE child (p INT REFERENCES parent, q TEXT REFERENCES up (a)); PRAGMA foreign_keys = OFF; \
         INSERT INTO child VALUES (2, NULL)"
    ));
    run(&db, "DELETE FROM parent WHERE id = 2;", Some(ONE_ROW));
    // Neither does it stop what does no harm to the others.
    run(&db, "INSERT INTO up VALUES ('a');\nINSERT INTO parent VALUES (3, 'z');", None);
}

#[test]
fn a_new_violation_is_not_hidden_by_one_that_is_gone() {
    for (table, rest) in [
        ("child (p INT REFERENCES parent)", "INSERT INTO child VALUES (1), (2), (9)"),
        (
            "child (k TEXT PRIMARY KEY, p INT REFERENCES parent) WITHOUT ROWID",
            "INSERT INTO child VALUES ('a', 2), ('b', 9)",
        ),
    ] {
        let db = database(&format!("CREATE TABLE {table}; PRAGMA foreign_keys = OFF; {rest}"));
        run(&db, "DELETE FROM child WHERE p = 9;\nDELETE FROM parent WHERE id = 2;", Some(ONE_ROW));
        run(&db, "DELETE FROM child WHERE p = 2;\nDELETE FROM parent WHERE id = 2;", None);
        assert_eq!(db.rows("SELECT count(*) FROM child WHERE p = 9"), ["1"]);
    }
}

#[test]
fn a_key_that_is_broken_by_the_file_is_an_error() {
    let db = database("CREATE UNIQUE INDEX u ON parent (a); CREATE TABLE child (a TEXT REFERENCES parent (a))");
    run(&db, "DROP INDEX u;", Some("the foreign key of child (a) refers to columns of parent"));
    run(&db, "DROP INDEX u;\nCREATE UNIQUE INDEX v ON parent (a);", None);
}

#[test]
fn a_dropped_parent_is_an_error_if_rows_refer_to_it() {
    let db = database("CREATE TABLE child (p INT REFERENCES parent)");
    db.execute("INSERT INTO child VALUES (1)");
    run(&db, "DROP TABLE parent;", Some(ONE_ROW));
    run(&db, "DELETE FROM child;\nDROP TABLE parent;", None);
}

#[test]
fn a_table_that_is_rebuilt_keeps_its_old_violations() {
    let old = "CREATE TABLE child (p INT REFERENCES parent); PRAGMA foreign_keys = OFF; \
               INSERT INTO child VALUES (1), (9), (2), (9); DELETE FROM child WHERE rowid = 1";
    let rebuilt = "CREATE TABLE new_child (p INT REFERENCES parent, more TEXT);\nINSERT INTO new_child SELECT p, '' FROM child;\n\
                DROP TABLE child;\nALTER TABLE new_child RENAME TO child;\n";
    run(&database(old), rebuilt, None);
    run(&database(old), &format!("{rebuilt}DELETE FROM parent WHERE id = 2;"), Some(ONE_ROW));
    let moved = "ALTER TABLE child RENAME TO old_child;\nCREATE TABLE child (p INT REFERENCES parent);\n\
                 INSERT INTO child SELECT p FROM old_child;\nDROP TABLE old_child;\n";
    run(&database(old), moved, None);
    let renamed = "ALTER TABLE child RENAME TO kid;\nALTER TABLE kid RENAME COLUMN p TO q;\n\
                   ALTER TABLE parent RENAME COLUMN id TO number;\nALTER TABLE parent RENAME TO elder;\n";
    run(&database(old), renamed, None);
    run(
        &database(old),
        &format!("{renamed}DELETE FROM elder WHERE number = 2;"),
        Some("1 row of kid refers to rows of elder"),
    );
}

#[test]
fn a_row_that_a_trigger_writes_is_checked() {
    let db = database(
        "CREATE TABLE child (p INT REFERENCES parent); CREATE TABLE other (a INT); \
         CREATE TRIGGER r AFTER INSERT ON other BEGIN INSERT INTO child VALUES (new.a); END",
    );
    run(&db, "INSERT INTO other VALUES (7);", Some(ONE_ROW));
    run(&db, "INSERT INTO other VALUES (1);", None);
}

#[test]
fn values_are_compared_as_the_parent_compares_them() {
    let db = database(
        "CREATE TABLE word (w TEXT COLLATE NOCASE PRIMARY KEY); INSERT INTO word VALUES ('Abc'), ('5'); \
         CREATE TABLE child (w REFERENCES word, n TEXT REFERENCES parent)",
    );
    run(&db, "INSERT INTO child VALUES ('aBC', '1'), (5, '2'), (NULL, NULL);", None);
}

#[test]
fn tables_that_a_file_does_not_touch_are_not_read() {
    let rows = "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 200000)";
    let db = database("CREATE TABLE child (p INT REFERENCES parent)");
    // Reading this table takes far longer than the limit: the condition of the view is in each row.
    db.execute(&format!("{rows} INSERT INTO child SELECT 1 FROM c"));
    let head = "-- haul: timeout=10ms\n";
    run(&db, &format!("{head}CREATE TABLE other (a INT);"), None);
    let end =
        db.write("2_b.sql", "-- haul: timeout=1ms\nDELETE FROM parent WHERE id = 2;").run("migrate --yes").expect(1);
    assert!(end.stderr.contains("the check of the foreign key from child to parent"), "{}", end.stderr);
    assert!(!end.stderr.contains("split it"), "{}", end.stderr);
}

#[test]
fn keys_that_one_file_makes_are_known_to_the_next_files_of_the_run() {
    let db = database("");
    let files = [
        "CREATE TABLE child (p INT REFERENCES parent);\nINSERT INTO child VALUES (1);",
        "ALTER TABLE parent RENAME TO elder;",
        "CREATE TABLE kid (c INT REFERENCES child (p));\nDROP TABLE kid;\nCREATE TABLE kid (c INT);",
        "PRAGMA writable_schema = ON;\nUPDATE sqlite_schema SET sql = 'CREATE TABLE kid (c INT REFERENCES elder)' WHERE name = 'kid';\nPRAGMA writable_schema = RESET;",
        "INSERT INTO kid VALUES (1);\nINSERT INTO child VALUES (2);",
    ];
    for (index, text) in files.iter().enumerate() {
        db.write(&format!("{}_f.sql", index + 1), text);
    }
    // Each of these violates a key that a file before it has made or changed.
    for (text, error) in [
        ("INSERT INTO kid VALUES (9);", "1 row of kid refers to rows of elder"),
        ("INSERT INTO child VALUES (9);", "1 row of child refers to rows of elder"),
        ("DELETE FROM elder WHERE id = 2;", "1 row of child refers to rows of elder"),
    ] {
        let end = db.write("6_bad.sql", text).run("migrate --yes").expect(1);
        assert!(end.stderr.contains(error), "{text}: {}", end.stderr);
        assert_eq!(db.applied().len(), 5);
    }
}

#[test]
fn what_is_kept_without_a_transaction_is_checked_first() {
    let db = database("CREATE TABLE child (p INT REFERENCES parent)");
    db.execute("INSERT INTO child VALUES (1), (2)");
    for text in [
        "DELETE FROM parent WHERE id = 2;",
        "BEGIN;\nDELETE FROM parent WHERE id = 2;\nINSERT INTO parent VALUES (3, 'z');\nCOMMIT;",
        "UPDATE child SET p = 9 WHERE p = 2;",
    ] {
        run(&db, &format!("-- haul: no-transaction\n{text}"), Some(ONE_ROW));
        assert_eq!(
            db.rows("SELECT group_concat(id) FROM parent UNION ALL SELECT group_concat(p) FROM child"),
            ["1,2", "1,2"]
        );
    }
    // Within a transaction, only its end counts.
    let text = "BEGIN;\nDELETE FROM parent WHERE id = 2;\nDELETE FROM child WHERE p = 2;\nCOMMIT;\nVACUUM;\nDELETE FROM child;\n\
                BEGIN;\nDELETE FROM parent;\nROLLBACK;";
    run(&db, &format!("-- haul: no-transaction\n{text}"), None);
    assert_eq!(db.rows("SELECT group_concat(id) FROM parent"), ["1"]);
}

#[test]
fn a_row_that_refers_to_something_else_is_a_new_violation() {
    let old = "CREATE TABLE child (id INTEGER PRIMARY KEY, p INT REFERENCES parent); PRAGMA foreign_keys = OFF; \
               INSERT INTO child VALUES (3, 77)";
    run(&database(old), "UPDATE child SET p = 88;", Some(ONE_ROW));
    run(&database(old), "DELETE FROM child;\nINSERT INTO child VALUES (3, 88);", Some(ONE_ROW));
    run(&database(old), "UPDATE child SET id = id;\nINSERT INTO child VALUES (4, 1);", None);
}

#[test]
fn names_are_compared_as_the_engine_compares_them() {
    let db = database("CREATE TABLE \"ÄB\" (id INTEGER PRIMARY KEY); CREATE TABLE child (p REFERENCES \"Äb\")");
    db.execute("INSERT INTO \"ÄB\" VALUES (1); INSERT INTO child VALUES (1)");
    run(&db, "DELETE FROM \"Äb\";", Some("foreign key violated: 1 row of child"));
}
