//! Runs in one transaction (docs/source-sql.md, "One transaction for the whole run").

use crate::support::db::Db;
use crate::support::db_contents::{Engine, on_both};

on_both! {
    a_single_transaction_keeps_all_or_nothing
    what_cannot_share_a_transaction_is_refused_before_anything_runs
    the_session_is_clean_between_the_files_of_a_single_transaction
    a_rollback_in_a_single_transaction_keeps_all_or_nothing
    hooks_are_part_of_a_single_transaction
    deferred_keys_are_checked_after_each_file_of_a_single_transaction
    a_stop_rolls_a_single_transaction_back
    a_killed_single_transaction_leaves_nothing
}

fn a_single_transaction_keeps_all_or_nothing(db: &Db) {
    db.write("1_a.sql", "CREATE TABLE a (a INT);").write("2_b.sql", "CREATE TABLE b (a INT);");
    db.write("3_c.sql", "CREATE TABLE c (a INT);\nINSERT INTO nowhere VALUES (1);").write("4_d.sql", "SELECT 1;");
    let end = db.json("migrate --single-transaction", 1);
    assert_eq!((&end["applied"], &end["failed"]), (&0.into(), &1.into()));
    assert_eq!((&end["failure"]["name"], &end["failure"]["kept"]), (&"3_c".into(), &"nothing".into()));
    assert_eq!((&end["details"][0]["status"], &end["details"][2]["status"]), (&"rolled_back".into(), &"failed".into()));
    assert_eq!(end["pending"], serde_json::json!(["1_a", "2_b", "3_c", "4_d"]));
    assert!(end["failure"]["next"].as_str().unwrap().contains("nothing of this run was kept"), "{end}");
    assert_eq!((db.tables(), db.applied()), (vec![], vec![]));
    assert_eq!(db.outcomes(), ["1_a started", "1_a stopped", "3_c failed"]);
    let error = db.rows("SELECT error FROM haul_migrations_log WHERE outcome = 'failed'").concat();
    assert!(error.contains("3_c.sql:2: statement 2 of 2"), "{error}");
    // No row refers to one that was rolled back.
    assert_eq!(db.rows("SELECT id, attempt FROM haul_migrations_log ORDER BY id"), ["1|1", "2|1", "3|3"]);
    db.write("3_c.sql", "CREATE TABLE c (a INT);");
    assert_eq!(db.json("migrate --single-transaction", 0)["applied"], 4);
    assert_eq!(db.applied(), ["1_a", "2_b", "3_c", "4_d"]);
    assert_eq!(db.json("migrate --single-transaction", 0)["applied"], 0);
    db.run("drift").expect(0);
}

fn what_cannot_share_a_transaction_is_refused_before_anything_runs(db: &Db) {
    db.write("1_a.sql", "CREATE TABLE a (id INTEGER PRIMARY KEY);");
    let mut cases = vec![
        "-- haul: no-transaction\nSELECT 1;",
        "-- Batch: SELECT id FROM a\nDELETE FROM a WHERE id IN (SELECT id FROM haul_batch);",
    ];
    if db.engine() == Engine::Sqlite {
        cases.extend(["PRAGMA case_sensitive_like = ON;", "-- haul: foreign-keys=on\nSELECT 1;"]);
    }
    for text in cases {
        db.write("2_b.sql", text);
        let done = db.run("migrate --single-transaction").expect(2);
        assert!(done.stderr.contains("2_b cannot run in one transaction") && done.stderr.contains("next: "), "{text}");
        let is_untouched = match db.engine() {
            Engine::Sqlite => !db.file().exists(),
            Engine::Postgres => db.rows("SELECT FROM pg_tables WHERE schemaname = 'public'").is_empty(),
        };
        assert!(is_untouched, "{text}");
    }
    assert_eq!(db.json("migrate --single-transaction --to 1", 0)["applied"], 1);
}

fn the_session_is_clean_between_the_files_of_a_single_transaction(db: &Db) {
    db.write("1_a.sql", "CREATE TABLE users (name TEXT);");
    let more = match db.engine() {
        Engine::Sqlite => "CREATE TEMP VIEW v AS SELECT 1;\nCREATE TEMP TABLE \"a\"\"b\" (a INT);",
        Engine::Postgres => {
            "SET search_path = pg_catalog;\nSET LOCAL work_mem = '64kB';\nPREPARE p AS SELECT 1;\nDECLARE c CURSOR FOR SELECT 1;"
        }
    };
    db.write("2_b.sql", &format!("CREATE TEMP TABLE users (name TEXT);\n{more}"));
    let again = match db.engine() {
        Engine::Sqlite => "CREATE TEMP VIEW v AS SELECT 1;",
        Engine::Postgres => {
            "PREPARE p AS SELECT 1;\nDECLARE c CURSOR FOR SELECT 1;\nCREATE TABLE mem AS SELECT current_setting('work_mem') AS mem;"
        }
    };
    db.write("3_c.sql", &format!("INSERT INTO users VALUES ('x');\n{again}"));
    assert_eq!(db.json("migrate --single-transaction", 0)["applied"], 3);
    assert_eq!(db.rows("SELECT name FROM users"), ["x"]);
    if db.engine() == Engine::Postgres {
        assert_ne!(db.rows("SELECT mem FROM mem"), ["64kB"]);
    }
}

fn a_rollback_in_a_single_transaction_keeps_all_or_nothing(db: &Db) {
    db.write("1_a.sql", "-- Up\nCREATE TABLE a (a INT);\n-- Down\nDROP TABLE a;\nDROP TABLE nowhere;");
    db.write("2_b.sql", "-- Up\nCREATE TABLE b (a INT);\n-- Down\nDROP TABLE b;");
    db.run("migrate").expect(0);
    let end = db.json("rollback --to 0 --yes --single-transaction", 1);
    assert_eq!((&end["applied"], &end["pending"]), (&0.into(), &serde_json::json!(["2_b", "1_a"])));
    assert_eq!((db.tables(), db.applied()), (vec!["a".into(), "b".into()], vec!["1_a".into(), "2_b".into()]));
    db.write("1_a.sql", "-- Up\nCREATE TABLE a (a INT);\n-- Down\nDROP TABLE a;").run("repair --all --yes").expect(0);
    assert_eq!(db.json("rollback --to 0 --yes --single-transaction", 0)["applied"], 2);
    assert_eq!((db.tables(), db.applied()), (vec![], vec![]));
}

fn hooks_are_part_of_a_single_transaction(db: &Db) {
    let hook = |when: &str, sql: &str| format!("[[db.hooks]]\nwhen = \"{when}\"\nsql = \"{sql}\"\n");
    let before =
        hook("before_run", "CREATE TABLE seen (x TEXT)") + &hook("after_each", "INSERT INTO seen VALUES ('each')");
    std::fs::write(db.path().join("haul.toml"), before.clone() + &hook("after_run", "INSERT INTO nowhere VALUES (1)"))
        .unwrap();
    db.write("1_a.sql", "CREATE TABLE a (a INT);").write("2_b.sql", "CREATE TABLE b (a INT);");
    let done = db.run("migrate --single-transaction").expect(1);
    assert!(done.stderr.contains("the after_run hook failed"), "{}", done.stderr);
    assert_eq!((db.tables(), db.applied()), (vec![], vec![]));
    assert_eq!(db.outcomes(), ["1_a started", "1_a stopped", "after_run hook_failed"]);
    std::fs::write(db.path().join("haul.toml"), before).unwrap();
    db.run("migrate --single-transaction").expect(0);
    assert_eq!(db.rows("SELECT x FROM seen"), ["each", "each"]);
}

fn deferred_keys_are_checked_after_each_file_of_a_single_transaction(db: &Db) {
    db.write("1_a.sql", "CREATE TABLE p (id INTEGER PRIMARY KEY);\nCREATE TABLE c (p INT REFERENCES p (id) DEFERRABLE INITIALLY DEFERRED);");
    db.write("2_b.sql", "INSERT INTO c VALUES (7);\nINSERT INTO p VALUES (7);");
    // A table with checks that are still due cannot be altered.
    db.write("3_c.sql", "ALTER TABLE c ADD COLUMN n INT;").write("4_d.sql", "INSERT INTO c (p) VALUES (8);");
    db.write("5_e.sql", "INSERT INTO p VALUES (8);");
    assert_eq!(db.json("migrate --single-transaction", 1)["failure"]["name"], "4_d");
    assert_eq!(db.json("migrate --single-transaction --to 3", 0)["applied"], 3);
}

fn a_stop_rolls_a_single_transaction_back(db: &Db) {
    use haul::db::runner::MigrateRequest;
    use haul::pipeline::{Control, Event, Observer, StopToken};
    use parking_lot::Mutex;
    /// Asks to stop after the first migration.
    struct Stopping(StopToken, Mutex<u32>);
    impl Observer for Stopping {
        fn observe(&self, event: &Event) {
            if matches!(event, Event::BatchWritten { .. } | Event::Progressed { .. }) {
                *self.1.lock() += 1;
                self.0.request();
            }
        }
    }
    db.write("1_a.sql", "CREATE TABLE a (a INT);").write("2_b.sql", "CREATE TABLE b (a INT);");
    let stop = StopToken::new();
    let observer = Stopping(stop.clone(), Mutex::new(0));
    let request = MigrateRequest { single_transaction: true, ..MigrateRequest::default() };
    let end = db.runner().migrate(&request, &Control { stop: &stop, observer: &observer }).unwrap();
    assert_eq!((end.applied, end.stopped, *observer.1.lock()), (0, true, 1));
    assert_eq!((db.tables(), db.applied()), (vec![], vec![]));
    assert_eq!(db.outcomes(), ["1_a started", "1_a stopped"]);
}

fn a_killed_single_transaction_leaves_nothing(db: &Db) {
    let endless = match db.engine() {
        Engine::Sqlite => "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c;",
        Engine::Postgres => "SELECT pg_sleep(60);",
    };
    // The program tells when the second file is about to run, within the transaction.
    let hook = "[[db.hooks]]\nwhen = \"before_each\"\ncommand = [\"/bin/sh\", \"-c\", \"touch at-$HAUL_VERSION\"]\n";
    std::fs::write(db.path().join("haul.toml"), hook).unwrap();
    db.write("1_a.sql", "CREATE TABLE a (a INT);").write("2_b.sql", &format!("CREATE TABLE b (a INT);\n{endless}"));
    let mut run = db.command("migrate --single-transaction").stderr(std::process::Stdio::null()).spawn().unwrap();
    while !db.path().join("at-2").exists() {
        assert!(run.try_wait().unwrap().is_none(), "it runs until it is killed");
        std::thread::yield_now();
    }
    run.kill().unwrap();
    run.wait().unwrap();
    db.write("2_b.sql", "CREATE TABLE b (a INT);");
    let end = db.json("migrate --single-transaction --lock-timeout 30", 0);
    assert_eq!((&end["applied"], db.tables()), (&2.into(), vec!["a".into(), "b".into()]));
    assert_eq!(db.outcomes(), ["1_a started", "1_a started", "1_a applied", "2_b started", "2_b applied"]);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn postgres_has_no_use_of_an_enum_value_in_the_transaction_that_adds_it() {
    let db = Db::postgres();
    db.write("1_a.sql", "CREATE TYPE mood AS ENUM ('ok');").run("migrate").expect(0);
    db.write("2_b.sql", "ALTER TYPE mood ADD VALUE 'bad';")
        .write("3_c.sql", "CREATE TABLE c AS SELECT 'bad'::mood AS m;");
    let done = db.run("migrate --single-transaction").expect(1);
    assert!(done.stderr.contains("run without --single-transaction"), "{}", done.stderr);
    // For a run in one transaction, the rehearsal shows it; for others it is unclear.
    db.run("migrate --single-transaction --dry-run=execute").expect(1);
    assert_eq!(db.json("migrate --dry-run=execute", 0)["unclear"][0]["name"], "3_c");
    assert_eq!(db.json("migrate", 0)["applied"], 2);
}
