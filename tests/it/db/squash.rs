//! One file in the place of many: that it makes the same schema, and what a database with the old ones does with it.

use crate::support::db::Db;
use crate::support::db_contents::{Engine, on_both};
use serde_json::json;

on_both! {
    a_squashed_file_makes_the_schema_of_the_chain
    a_database_with_the_replaced_migrations_records_the_file_and_runs_nothing
    replaced_files_may_stay_as_they_were
    a_database_with_some_of_the_replaced_migrations_is_refused
    what_a_squash_would_lose_is_refused
    what_stays_besides_the_schema_is_in_the_squashed_file
    rows_of_reference_tables_are_in_the_squashed_file_on_request
    rows_that_a_squashed_file_does_not_make_again_are_refused
    a_squashed_file_is_squashed_again
    nothing_is_overwritten_and_the_database_is_not_touched
}

/// Three migrations: tables, a change of one, and other objects.
fn chain(db: &Db) {
    db.write(
        "001_people.sql",
        "-- Up\nCREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL);\n-- Down\nDROP TABLE people;\n",
    );
    db.write(
        "002_notes.sql",
        "CREATE TABLE notes (person INTEGER REFERENCES people (id), old TEXT, text TEXT);\nINSERT INTO notes (text) VALUES ('a');\n\
         DELETE FROM notes;\nALTER TABLE notes RENAME COLUMN old TO new;\n",
    );
    let trigger = match db.engine() {
        Engine::Sqlite => {
            "CREATE TRIGGER t AFTER INSERT ON people BEGIN UPDATE people SET name = '-- Down'; SELECT 1; END;"
        }
        Engine::Postgres => {
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$\nBEGIN\n-- Down\nRETURN NEW; END $$;\n\
             CREATE TRIGGER t BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION f();"
        }
    };
    db.write(
        "003_more.sql",
        &format!("CREATE INDEX by_name ON people (name);\nCREATE VIEW named AS SELECT name FROM people;\n{trigger}\n"),
    );
}

/// Squashes the three, and removes their files.
fn squashed(db: &Db) {
    let end = db.json("squash --to 3", 0);
    assert_eq!(end["replaces"], json!(["001_people", "002_notes", "003_more"]));
    for file in end["replaced_files"].as_array().unwrap() {
        std::fs::remove_file(db.path().join(file.as_str().unwrap())).unwrap();
    }
    assert_eq!(std::fs::read_dir(db.migrations()).unwrap().count(), 1);
}

/// Another database of the same engine.
fn other(db: &Db) -> Db {
    if db.engine() == Engine::Sqlite { Db::sqlite() } else { Db::postgres() }
}

fn a_squashed_file_makes_the_schema_of_the_chain(db: &Db) {
    chain(db);
    db.run("migrate").expect(0);
    let expected = db.run("dump").expect(0).stdout;
    squashed(db);
    let text = std::fs::read_to_string(db.migrations().join("003_squashed.sql")).unwrap();
    assert_eq!(text.lines().filter(|line| line.starts_with("-- haul: replaces=")).count(), 3, "{text}");
    let new = other(db);
    new.write("003_squashed.sql", &text).write("004_later.sql", "CREATE TABLE later (a INT);\n");
    assert_eq!(new.json("migrate --to 3", 0)["applied"], 1);
    assert_eq!(new.run("dump").expect(0).stdout, expected);
    assert_eq!(new.json("migrate", 0)["applied"], 1);
    assert_eq!(new.json("verify", 0)["differences"], 0);
    assert_eq!(new.json("drift", 0)["changes"], json!([]));
    new.run("lint").expect(0);
}

fn a_database_with_the_replaced_migrations_records_the_file_and_runs_nothing(db: &Db) {
    chain(db);
    db.run("migrate").expect(0);
    db.execute("INSERT INTO notes (text) VALUES ('kept')");
    let before = db.run("dump").expect(0).stdout;
    squashed(db);
    let status = db.json("status", 0);
    assert_eq!((&status["squashed"][0]["name"], &status["pending"]), (&json!("003_squashed"), &json!([])));
    let states = db.json("verify", 0);
    assert_eq!((&states["differences"], &states["migrations"][0]["state"]), (&json!(0), &json!("squashed")));
    assert!(db.run("status").expect(0).stdout.contains("003_squashed is in the place of 3 applied migrations"));
    db.write("004_later.sql", "CREATE TABLE later (a INT);\n");
    let told = db.run("migrate").expect(0);
    assert!(
        told.stderr.contains("003_squashed is recorded in the place of 3 applied migrations; nothing was run"),
        "{}",
        told.texts()
    );
    assert_eq!(db.applied(), ["003_squashed", "004_later"]);
    assert_eq!(db.rows("SELECT text FROM notes"), ["kept"]);
    assert_eq!(
        db.rows("SELECT error FROM haul_migrations_log WHERE outcome = 'squashed'"),
        ["in the place of 1, 2, 3"]
    );
    assert_eq!(
        (db.json("migrate", 0)["applied"].clone(), db.json("verify", 0)["differences"].clone()),
        (json!(0), json!(0))
    );
    db.execute("DROP TABLE later");
    assert_eq!(db.run("dump").expect(0).stdout, before);
    // It has no way back, and says so before anything is changed.
    let told = db.run("rollback --to 0 --yes").expect(2).stderr;
    assert!(told.contains("has no Down section"), "{told}");
}

fn replaced_files_may_stay_as_they_were(db: &Db) {
    chain(db);
    db.run("squash --to 3").expect(0);
    assert_eq!(db.json("migrate", 0)["applied"], 1);
    assert_eq!(db.applied(), ["003_squashed"]);
    db.write("002_notes.sql", "CREATE TABLE notes (changed INT);\n");
    let told = db.run("migrate").expect(2).stderr;
    assert!(
        told.contains("002_notes.sql: its text is not the one that ") && told.contains("003_squashed.sql replaces"),
        "{told}"
    );
}

fn a_database_with_some_of_the_replaced_migrations_is_refused(db: &Db) {
    chain(db);
    db.run("migrate --to 2").expect(0);
    squashed(db);
    let before = db.everything();
    for verb in ["migrate", "migrate --dry-run", "rollback --steps 1 --yes", "verify"] {
        let told = db.run(verb).expect(65).texts();
        assert!(told.contains("this database has only some of them: version 3 is not applied"), "{verb}: {told}");
        assert!(told.contains("`haul db migrate --to 3`"), "{verb}: {told}");
    }
    assert!(db.run("status").expect(0).stdout.contains("has only some of them"));
    assert!(before == db.everything(), "nothing was changed");
    // The way that the message names.
    std::fs::rename(db.migrations().join("003_squashed.sql"), db.path().join("aside")).unwrap();
    chain(db);
    assert_eq!(db.json("migrate --to 3", 0)["applied"], 1);
    std::fs::rename(db.path().join("aside"), db.migrations().join("003_squashed.sql")).unwrap();
    db.run("migrate").expect(0);
    assert_eq!(db.applied(), ["003_squashed"]);
}

fn what_a_squash_would_lose_is_refused(db: &Db) {
    db.write("001_a.sql", "CREATE TABLE full_one (a INT);\nINSERT INTO full_one VALUES (1);\n");
    let told = db.run("squash --to 1").expect(65).stderr;
    assert!(told.contains("these migrations leave rows in full_one"), "{told}");
    db.write("001_a.sql", "CREATE TABLE a (a INT);\nSELECT nothing;\n");
    let told = db.run("squash --to 1").expect(65).stderr;
    assert!(told.contains("in an empty database, ") && told.contains("001_a.sql:2"), "{told}");
    let outside = match db.engine() {
        Engine::Sqlite => {
            "-- haul: no-transaction\nATTACH 'other.db' AS o;\nCREATE TABLE o.t (a INT);\nCREATE TABLE a (a INT);\n"
        }
        Engine::Postgres => "CREATE TABLE a (a INT);\nDO $$ BEGIN CREATE ROLE haul_never_made; END $$;\n",
    };
    db.write("001_a.sql", outside);
    let told = db.run("squash --to 1").expect(2).stderr;
    assert!(told.contains("change roles, other databases or other files") && told.contains("001_a.sql:2"), "{told}");
    assert!(!db.path().join("other.db").exists());
    db.write("001_a.sql", "CREATE TABLE a (a INT);\nDROP TABLE a;\n");
    assert!(db.run("squash --to 1").expect(65).stderr.contains("leave nothing in the schema"));
    assert!(db.run("squash --to 7").expect(2).stderr.contains("there is no migration with version 7"));
    assert!(!db.migrations().join("001_squashed.sql").exists());
}

fn what_stays_besides_the_schema_is_in_the_squashed_file(db: &Db) {
    let (first, second, shown) = match db.engine() {
        Engine::Sqlite => (
            "CREATE TABLE a (id INTEGER PRIMARY KEY AUTOINCREMENT, x TEXT);\nPRAGMA user_version = 7;\n",
            "PRAGMA application_id = -3;\n",
            "SELECT name || ' ' || seq FROM sqlite_sequence WHERE name = 'a' UNION ALL SELECT user_version FROM \
             pragma_user_version UNION ALL SELECT application_id FROM pragma_application_id",
        ),
        Engine::Postgres => (
            "CREATE TABLE a (id BIGINT GENERATED ALWAYS AS IDENTITY, x TEXT);\nCREATE SEQUENCE \"my'ids\" START 10;\n",
            "CREATE SEQUENCE fresh;\nSELECT setval('\"my''ids\"', 40, false);\n",
            "SELECT last_value, is_called FROM a_id_seq UNION ALL SELECT last_value, is_called FROM \"my'ids\" UNION ALL \
             SELECT last_value, is_called FROM fresh",
        ),
    };
    let leaves_no_row = "INSERT INTO a (x) VALUES ('1'), ('2'), ('3');\nDELETE FROM a;\n";
    db.write("1_a.sql", &format!("{first}{leaves_no_row}")).write("2_b.sql", second);
    db.run("migrate").expect(0);
    db.run("squash --to 2").expect(0);
    let text = std::fs::read_to_string(db.migrations().join("2_squashed.sql")).unwrap();
    let new = other(db);
    new.write("2_squashed.sql", &text).run("migrate").expect(0);
    assert_eq!(new.rows(shown), db.rows(shown), "{text}");
    assert!(!text.contains("fresh', "), "{text}");
}

#[test]
fn settings_of_the_file_that_are_left_out_are_named_on_sqlite() {
    let db = Db::sqlite();
    db.write("1_a.sql", "-- haul: no-transaction\nPRAGMA journal_mode = WAL;\nCREATE TABLE a (a INT);\n");
    let end = db.json("squash --to 1", 0);
    assert!(end["left_out"][0].as_str().unwrap().ends_with("1_a.sql:2"), "{end}");
}

#[test]
#[ignore = "needs PostgreSQL"]
fn large_objects_are_rows_that_a_squash_would_lose_on_postgres() {
    let db = Db::postgres();
    db.write("1_a.sql", "CREATE TABLE a (a INT);\nSELECT lo_from_bytea(0, 'x');\n");
    assert!(db.run("squash --to 1").expect(65).stderr.contains("leave rows in pg_largeobject"));
}

/// Tables that refer to each other in an order that is not that of their names, with values that are hard to write.
fn reference_tables(db: &Db) {
    let (number, odd, values) = match db.engine() {
        Engine::Sqlite => (
            "INTEGER PRIMARY KEY AUTOINCREMENT",
            "a BLOB, b REAL, c, d INTEGER AS (id + 1)",
            "INSERT INTO \"odd ones\" (a, b, c) VALUES (X'00ff', 0.1, 'it''s'), (NULL, 1e300, CAST(X'610062' AS TEXT)), ('t', \
             -0.0, 7), (1, 9e999, '-- Down\n;');",
        ),
        Engine::Postgres => (
            "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
            "a BYTEA, b FLOAT8, c TEXT[], d BIGINT GENERATED ALWAYS AS (id + 1) STORED, e TIMESTAMPTZ, f INTERVAL, g JSONB",
            "SET datestyle = 'SQL, DMY';\nINSERT INTO \"odd ones\" (a, b, c, e, f, g) VALUES ('\\x00ff', 0.1, ARRAY['it''s', NULL, E'\\\\'], \
             '02/01/2026 03:04:05.678901 UTC', '1 mon 2 days', '{\"a\": [1, \"\\n\"]}'), (NULL, 'NaN', '{}', NULL, NULL, NULL), (NULL, \
             'Infinity', ARRAY[E'-- Down\n;'], 'infinity', NULL, NULL);\nCREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM countries;",
        ),
    };
    db.write(
        "1_a.sql",
        &format!(
            "CREATE TABLE z_currencies (id {number}, code TEXT NOT NULL UNIQUE);\nCREATE TABLE countries (name TEXT PRIMARY KEY, \
             currency TEXT REFERENCES z_currencies (code), part_of TEXT REFERENCES countries (name));\nCREATE TABLE \"odd \
             ones\" (id {number}, {odd});\n"
        ),
    );
    db.write(
        "2_b.sql",
        &format!(
            "-- haul: no-placeholders\nINSERT INTO z_currencies (code) VALUES ('EUR'), ('USD'), ('OLD');\nDELETE FROM z_currencies WHERE code = \
             'OLD';\nINSERT INTO countries VALUES ('all ${{x}}', NULL, NULL), ('France', 'EUR', 'all ${{x}}');\n{values}\n"
        ),
    );
}

fn rows_of_reference_tables_are_in_the_squashed_file_on_request(db: &Db) {
    reference_tables(db);
    db.run("migrate").expect(0);
    let told = db.run("squash --to 2").expect(65).stderr;
    assert!(told.contains("leave rows in countries, odd ones, z_currencies") && told.contains("--with-data"), "{told}");
    let told = db.run("squash --to 2 --with-data=countries,z_currencies").expect(65).stderr;
    assert!(told.contains("leave rows in odd ones"), "{told}");
    db.run("squash --to 2 --with-data").expect(0);
    let text = std::fs::read_to_string(db.migrations().join("2_squashed.sql")).unwrap();
    let new = other(db);
    new.write("2_squashed.sql", &text);
    assert_eq!(new.json("migrate", 0)["applied"], 1);
    let ascii = match db.engine() {
        Engine::Sqlite => {
            "SELECT id, quote(a), typeof(a), quote(b), hex(c), typeof(c), d FROM \"odd ones\" ORDER BY id"
        }
        Engine::Postgres => "SELECT * FROM \"odd ones\" ORDER BY id",
    };
    let next = "INSERT INTO z_currencies (code) VALUES ('GBP')";
    [db, &new].iter().for_each(|db| db.execute(next));
    for sql in [ascii, "SELECT * FROM z_currencies ORDER BY id", "SELECT * FROM countries ORDER BY name"] {
        assert_eq!(new.rows(sql), db.rows(sql), "{text}");
    }
    if db.engine() == Engine::Postgres {
        assert_eq!(new.rows("SELECT * FROM counted"), ["2"]);
    }
    assert_eq!(
        new.rows("SELECT id FROM z_currencies WHERE code = 'GBP'"),
        ["4"],
        "numbers go on behind those of the chain"
    );
    // A database with the chain records the file, and has nothing twice.
    db.run("migrate").expect(0);
    assert_eq!(
        (db.applied(), db.rows("SELECT count(*) FROM countries")),
        (vec!["2_squashed".into()], vec!["2".into()])
    );
}

fn rows_that_a_squashed_file_does_not_make_again_are_refused(db: &Db) {
    let trigger = match db.engine() {
        Engine::Sqlite => "CREATE TRIGGER t AFTER INSERT ON a BEGIN INSERT INTO log VALUES (NEW.x); END;",
        Engine::Postgres => {
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (NEW.x); RETURN NEW; END \
             $$;\nCREATE TRIGGER t AFTER INSERT ON a FOR EACH ROW EXECUTE FUNCTION f();"
        }
    };
    db.write(
        "1_a.sql",
        &format!("CREATE TABLE a (x INT);\nCREATE TABLE log (x INT);\n{trigger}\nINSERT INTO a VALUES (1);\n"),
    );
    let told = db.run("squash --to 1 --with-data").expect(65).stderr;
    assert!(
        told.contains("rows of ") && told.contains("log changed") && told.contains("nothing was written"),
        "{told}"
    );
    let numbers = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 10001)";
    db.write("1_a.sql", &format!("CREATE TABLE a (x INT);\nINSERT INTO a {numbers} SELECT x FROM n;\n"));
    let told = db.run("squash --to 1 --with-data").expect(65).stderr;
    assert!(
        told.contains("more rows than a squashed file should hold, up to those of a") && told.contains("--with-data="),
        "{told}"
    );
    assert!(!db.migrations().join("1_squashed.sql").exists());
    db.run("squash --to 1 --with-data=a").expect(0);
}

fn a_squashed_file_is_squashed_again(db: &Db) {
    chain(db);
    db.run("migrate").expect(0);
    squashed(db);
    db.write("004_later.sql", "CREATE TABLE later (a INT);\n").run("migrate").expect(0);
    // This one has the migrations of before the first squash.
    let behind = other(db);
    chain(&behind);
    behind.run("migrate").expect(0);
    db.run("squash --to 4").expect(0);
    db.remove("003_squashed.sql").remove("004_later.sql");
    db.run("migrate").expect(0);
    assert_eq!(db.applied(), ["004_squashed"]);
    let text = std::fs::read_to_string(db.migrations().join("004_squashed.sql")).unwrap();
    for name in ["001_people.sql", "002_notes.sql", "003_more.sql"] {
        behind.remove(name);
    }
    assert!(behind.write("004_squashed.sql", &text).run("migrate").expect(65).stderr.contains("only some of them"));
}

fn nothing_is_overwritten_and_the_database_is_not_touched(db: &Db) {
    chain(db);
    db.write("003_squashed.sql.bak", "");
    std::fs::write(db.path().join("mine.sql"), "mine").unwrap();
    let told = db.run("squash --to 3 --out mine.sql").expect(70).stderr;
    assert!(told.contains("a file with this name exists; it is kept"), "{told}");
    assert_eq!(std::fs::read_to_string(db.path().join("mine.sql")).unwrap(), "mine");
    let before = db.everything();
    assert_eq!(db.json("squash --to 3 --out out.sql", 0)["file"], "out.sql");
    assert!(before == db.everything() && db.path().join("out.sql").exists());
    // A hand may not give it another place in the order.
    std::fs::rename(db.path().join("out.sql"), db.migrations().join("005_other.sql")).unwrap();
    assert!(db.run("status").expect(2).stderr.contains("is not that of the last migration that it replaces"));
}

#[test]
#[ignore = "needs PostgreSQL"]
fn on_postgres_what_a_dump_does_not_have_is_refused_or_named() {
    let db = Db::postgres();
    db.write("1_a.sql", "CREATE TABLE a (a INT);\nGRANT SELECT ON a TO PUBLIC;\nALTER TABLE a OWNER TO postgres;\n");
    let told = db.run("squash --to 1").expect(2).stderr;
    assert!(
        told.contains("1_a.sql:2, ") && told.contains("1_a.sql:3") && told.contains("--without-privileges"),
        "{told}"
    );
    let end = db.json("squash --to 1 --without-privileges --out s.sql", 0);
    assert_eq!(end["left_out"].as_array().unwrap().len(), 2);
    db.write("1_a.sql", "CREATE TABLE a (a INT);\nCREATE PUBLICATION p FOR TABLE a;\n");
    let told = db.run("squash --to 1").expect(65).stderr;
    assert!(told.contains("the dump does not have all that these migrations make: publication p\n"), "{told}");
}

#[test]
#[ignore = "needs PostgreSQL"]
fn on_postgres_the_databases_of_the_proof_are_dropped_or_given() {
    let db = Db::postgres();
    chain(&db);
    db.write("003_more.sql", "SELECT nothing;\n");
    let scratch = "SELECT count(*) FROM pg_database WHERE datname LIKE 'haul_scratch_' || '{pid}' || '_%'";
    let left_by = |arguments: &str, code: i32| {
        let child =
            db.command(arguments).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn();
        let mut child = child.unwrap();
        let pid = child.id().to_string();
        assert_eq!(child.wait().unwrap().code(), Some(code));
        db.rows(&scratch.replace("{pid}", &pid))
    };
    assert_eq!(left_by("squash --to 3", 65), ["0"]);
    db.remove("003_more.sql");
    assert_eq!(left_by("squash --to 2 --out s.sql", 0), ["0"]);
    let (one, two) = (Db::postgres(), Db::postgres());
    let given = format!("squash --to 2 --out given.sql --scratch {} --scratch {}", one.url(), two.url());
    db.run(&given).expect(0);
    let text = |name: &str| std::fs::read_to_string(db.path().join(name)).unwrap();
    assert_eq!(text("s.sql"), text("given.sql"));
    // They are no longer empty.
    assert!(db.run(&given.replace("given.sql", "more.sql")).expect(2).stderr.contains("is not empty"));
    assert!(
        db.run(&format!("squash --to 2 --out x.sql --scratch {}", one.url()))
            .expect(2)
            .stderr
            .contains("two empty databases")
    );
}
