//! What docs/source-sql.md, "What must hold" asks for, each on both engines.

use std::fs;

use crate::support::db::Db;
use crate::support::db_contents::{Engine, on_both};
use haul::db::Database;

on_both! {
    five_hundred_files_apply_once
    a_series_costs_one_commit_each
    a_failure_in_the_middle_of_a_file_leaves_no_trace
    a_changed_byte_stops_migrate_and_rollback
    line_ends_and_places_do_not_matter
    up_down_up_gives_the_same_schema
    rollback_goes_to_a_version_or_so_many_steps
    of_two_processes_one_works
    a_held_lock_names_its_owner
    a_migration_over_its_limit_is_rolled_back
    the_limit_counts_for_the_whole_section
    markers_in_literals_and_comments_are_text
    a_dry_run_changes_nothing
    a_dry_run_that_executes_changes_nothing
    a_dry_run_that_executes_finds_what_fails
    out_of_order_is_refused_unless_allowed
    statements_that_destroy_data_need_consent
    no_transaction_goes_on_where_it_stopped
    no_transaction_that_did_not_end_waits_for_an_operator
    a_baseline_and_a_repair_leave_rows_in_the_log
    redo_rolls_back_and_applies_again
    a_forced_rollback_removes_the_row_of_a_migration_without_down
    verify_tells_equal_from_changed_and_missing
    status_shows_the_state_of_each_migration
    another_ledger_is_reported_and_left_alone
    the_ledger_can_have_another_name
    a_stopped_run_goes_on
}

/// Files `001_t1.sql` to `N`, each making a table.
fn tables(db: &Db, count: u32) {
    for number in 1..=count {
        let text = format!("-- Up\nCREATE TABLE t{number} (a INT);\n-- Down\nDROP TABLE t{number};\n");
        db.write(&format!("{number:03}_t{number}.sql"), &text);
    }
}

fn five_hundred_files_apply_once(db: &Db) {
    tables(db, 500);
    let first = db.json("migrate", 0);
    assert_eq!(
        (&first["applied"], &first["skipped"], &first["pending"]),
        (&500.into(), &0.into(), &serde_json::json!([]))
    );
    let before = db.everything();
    let second = db.json("migrate", 0);
    assert_eq!(
        (&second["applied"], &second["skipped"], &second["details"]),
        (&0.into(), &500.into(), &serde_json::json!([]))
    );
    assert_eq!(db.everything(), before, "a run with nothing to do changes nothing");
    assert_eq!(db.tables().len(), 500);
    let numbers: Vec<_> = db.applied().iter().map(|name| name[..3].parse::<u32>().unwrap()).collect();
    assert_eq!(numbers, (1..=500).collect::<Vec<_>>());
}

/// Transactions that have written to the log, or to the whole of a SQLite database.
fn commits(db: &Db) -> u64 {
    match db.engine() {
        // The header counts the changes of the file.
        Engine::Sqlite => u32::from_be_bytes(fs::read(db.file()).unwrap()[24..28].try_into().unwrap()).into(),
        Engine::Postgres => db.rows("SELECT count(DISTINCT xmin::text) FROM haul_migrations_log")[0].parse().unwrap(),
    }
}

fn a_series_costs_one_commit_each(db: &Db) {
    tables(db, 1);
    db.run("migrate").expect(0);
    let before = commits(db);
    tables(db, 41);
    db.run("migrate").expect(0);
    // One more begins the first attempt; one more keeps the schema.
    let count = commits(db) - before;
    assert!((40..=42).contains(&count), "{count} commits for 40 migrations");
    if db.engine() == Engine::Postgres {
        let apart = "SELECT count(*) FROM haul_migrations m JOIN haul_migrations_log l USING (version) WHERE l.outcome = \
                     'applied' AND l.xmin <> m.xmin";
        assert_eq!(db.rows(apart), ["0"], "the ledger and the outcome are written together");
    }
}

fn a_failure_in_the_middle_of_a_file_leaves_no_trace(db: &Db) {
    tables(db, 4);
    db.write("002_t2.sql", "CREATE TABLE t2 (a INT);\nINSERT INTO t2 VALUES (1);\nINSERT INTO\n  nowhere VALUES (1);\nCREATE TABLE t22 (a INT);\n");
    let done = db.run("migrate --json --progress none").expect(1);
    let end = done.json();
    assert_eq!((&end["applied"], &end["failed"]), (&1.into(), &1.into()));
    assert_eq!(end["pending"], serde_json::json!(["002_t2", "003_t3", "004_t4"]));
    let failure = &end["failure"];
    assert_eq!(
        (&failure["statement"], &failure["statements"], &failure["kept"]),
        (&3.into(), &4.into(), &"nothing".into())
    );
    let (line, code) = match db.engine() {
        Engine::Sqlite => (3, "SQLITE_ERROR"),
        Engine::Postgres => (4, "SQLSTATE 42P01"),
    };
    assert_eq!((&failure["line"], &failure["code"]), (&line.into(), &code.into()));
    assert!(failure["file"].as_str().unwrap().ends_with("002_t2.sql"));
    assert!(done.stderr.contains(&format!("002_t2.sql:{line}: statement 3 of 4: ")), "{}", done.stderr);
    assert_eq!(db.tables(), ["t1"]);
    assert_eq!(db.applied(), ["001_t1"]);
    assert_eq!(db.outcomes(), ["001_t1 started", "001_t1 applied", "002_t2 started", "002_t2 failed"]);
    let error = db.rows("SELECT error FROM haul_migrations_log WHERE outcome = 'failed'");
    assert!(error[0].contains("nowhere") && error[0].contains(code), "{error:?}");
    tables(db, 4);
    assert_eq!(db.json("migrate", 0)["applied"], 3);
}

fn a_changed_byte_stops_migrate_and_rollback(db: &Db) {
    tables(db, 2);
    db.run("migrate").expect(0);
    let text = fs::read_to_string(db.migrations().join("001_t1.sql")).unwrap();
    db.write("001_t1.sql", &text.replace("INT", "Int")).write("003_t3.sql", "CREATE TABLE t3 (a INT);");
    let before = db.everything();
    for verb in ["migrate", "migrate --dry-run", "rollback --steps 1 --yes", "redo --yes", "baseline 3"] {
        let done = db.run(verb).expect(65);
        assert!(done.stderr.contains("001_t1.sql was changed after it was applied"), "{verb}: {}", done.stderr);
    }
    assert_eq!(db.everything(), before);
    db.write("001_t1.sql", &text);
    db.remove("002_t2.sql");
    let done = db.run("migrate").expect(65);
    assert!(done.stderr.contains("002_t2 is applied, and its file is missing"), "{}", done.stderr);
}

fn line_ends_and_places_do_not_matter(db: &Db) {
    tables(db, 2);
    db.run("migrate").expect(0);
    let text = fs::read_to_string(db.migrations().join("001_t1.sql")).unwrap();
    db.write("001_t1.sql", &format!("\u{feff}{}", text.replace('\n', "\r\n")));
    db.remove("002_t2.sql").write("002_renamed.sql", &text.replace("t1", "t2"));
    fs::rename(db.migrations(), db.path().join("elsewhere")).unwrap();
    assert_eq!(db.json("migrate --dir elsewhere", 0)["skipped"], 2);
}

fn up_down_up_gives_the_same_schema(db: &Db) {
    let (number, body) = match db.engine() {
        Engine::Sqlite => {
            ("INTEGER PRIMARY KEY", "CREATE TRIGGER g AFTER INSERT ON a BEGIN UPDATE a SET n = n || ';'; END;")
        }
        Engine::Postgres => (
            "SERIAL PRIMARY KEY",
            "CREATE FUNCTION g() RETURNS int LANGUAGE plpgsql AS $f$ BEGIN\n-- Down\nRETURN 1; END; $f$;",
        ),
    };
    let undo = if db.engine() == Engine::Sqlite { "DROP TRIGGER g;" } else { "DROP FUNCTION g();" };
    db.write("1_a.sql", &format!("-- Up\nCREATE TABLE a (id {number}, n TEXT);\nCREATE INDEX i ON a (n);\n{body}\n-- Down\n{undo}\nDROP TABLE a;"));
    db.write("2_b.up.sql", "ALTER TABLE a ADD COLUMN b TEXT;").write("2_b.down.sql", "ALTER TABLE a DROP COLUMN b;");
    db.run("migrate").expect(0);
    let schema = db.schema();
    assert!(schema.contains("-- Down") == (db.engine() == Engine::Postgres));
    let back = db.json("rollback --to 0 --yes", 0);
    assert_eq!((&back["applied"], &back["details"][0]["name"]), (&2.into(), &"2_b".into()));
    assert_eq!((db.tables(), db.applied()), (vec![], vec![]));
    db.run("migrate").expect(0);
    assert_eq!(db.schema(), schema);
}

fn rollback_goes_to_a_version_or_so_many_steps(db: &Db) {
    tables(db, 12);
    db.run("migrate --to 11").expect(0);
    assert_eq!(db.applied().len(), 11);
    assert!(db.run("rollback --to 12 --yes").expect(2).stderr.contains("version 12 is not applied"));
    assert!(db.run("rollback --to 99 --yes").expect(2).stderr.contains("version 99 is not applied"));
    assert!(db.run("migrate --to 99").expect(2).stderr.contains("no migration with version 99"));
    db.run("rollback --to 9").expect(2);
    db.run("rollback --to 9 --yes").expect(0);
    assert_eq!(db.applied().last().unwrap(), "009_t9");
    db.run("rollback --steps 2 --yes").expect(0);
    assert_eq!(db.applied().last().unwrap(), "007_t7");
    db.run("rollback --yes").expect(2);
    // The newest by order of application, not by version.
    db.run("rollback --to 5 --yes").expect(0);
    db.remove("006_t6.sql").run("migrate --to 7").expect(0);
    db.write("006_t6.sql", "-- Up\nCREATE TABLE t6 (a INT);\n-- Down\nDROP TABLE t6;")
        .run("migrate --to 6 --allow-out-of-order")
        .expect(0);
    db.run("rollback --steps 1 --yes").expect(0);
    assert_eq!(db.applied().last().unwrap(), "007_t7");
}

fn of_two_processes_one_works(db: &Db) {
    tables(db, 60);
    let start = || {
        db.command("migrate").stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    let runs = [start(), start()];
    let ids = runs.each_ref().map(std::process::Child::id);
    let done = runs.map(|run| crate::support::haul::Done::of(run.wait_with_output().unwrap()));
    let mut codes = done.each_ref().map(|done| done.code);
    for (index, done) in done.iter().enumerate().filter(|(_, done)| done.code == 75) {
        let owner = format!("pid {} on ", ids[1 - index]);
        assert!(done.stderr.contains("another run is active: ") && done.stderr.contains(&owner), "{}", done.stderr);
    }
    codes.sort_unstable();
    // The second may have come after the first was done.
    assert!(codes == [0, 75] || codes == [0, 0], "{codes:?} {} {}", done[0].stderr, done[1].stderr);
    assert_eq!(db.applied().len(), 60);
    assert_eq!(db.rows("SELECT count(*) FROM haul_migrations_log WHERE outcome = 'applied'"), ["60"]);
}

fn a_held_lock_names_its_owner(db: &Db) {
    tables(db, 1);
    let mut holder: Box<dyn Database> = db.target().open().unwrap();
    let owner = format!("pid {} on here", std::process::id());
    holder.try_lock("haul_migrations", &owner).unwrap().unwrap();
    for verb in ["migrate", "rollback --to 0 --yes", "baseline 1 --yes", "migrate --lock-timeout 1"] {
        let done = db.run(verb).expect(75);
        let who = format!("pid {} on ", std::process::id());
        assert!(done.stderr.contains("another run is active: ") && done.stderr.contains(&who), "{}", done.stderr);
    }
    let locks = db.json("locks", 0);
    assert!(locks["lock"]["owner"].as_str().unwrap().contains(&format!("pid {} on ", std::process::id())));
    assert_eq!(db.json("status", 0)["lock"], locks["lock"]);
    let refused = db.run("unlock").expect(2);
    assert!(refused.stderr.contains("--force") && refused.stderr.contains(&std::process::id().to_string()));
    drop(holder);
    assert_eq!(db.json("locks", 0)["lock"], serde_json::Value::Null);
    assert_eq!(db.json("unlock --force", 0)["ended"], serde_json::Value::Null);
    db.run("migrate").expect(0);
}

/// A statement that would run for as long as anybody waits.
fn endless(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => {
            "INSERT INTO x WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c;"
        }
        Engine::Postgres => "INSERT INTO x SELECT 1 FROM pg_sleep(3600);",
    }
}

fn a_migration_over_its_limit_is_rolled_back(db: &Db) {
    tables(db, 1);
    let endless = endless(db.engine());
    db.write(
        "002_x.sql",
        &format!("-- haul: timeout=300ms\nCREATE TABLE x (a INT);\n{endless}\nCREATE TABLE y (a INT);"),
    );
    let end = db.json("migrate", 1);
    let failure = &end["failure"];
    assert_eq!(failure["error"], "cancelled at the time limit of 300 ms");
    assert_eq!((&failure["statement"], &failure["line"], &failure["kept"]), (&2.into(), &3.into(), &"nothing".into()));
    assert_eq!((db.tables(), db.applied()), (vec!["t1".into()], vec!["001_t1".into()]));
    assert_eq!(db.outcomes().last().unwrap(), "002_x failed");
    // The same with the limit of the command.
    db.write("002_x.sql", &format!("CREATE TABLE x (a INT);\n{endless}"));
    assert_eq!(db.json("migrate --timeout 1", 1)["failure"]["error"], "cancelled at the time limit of 1 s");
    assert_eq!(db.tables(), ["t1"]);
}

fn the_limit_counts_for_the_whole_section(db: &Db) {
    let short = match db.engine() {
        Engine::Sqlite => {
            "INSERT INTO x WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 200000) SELECT count(*) FROM c;\n"
        }
        Engine::Postgres => "SELECT pg_sleep(0.02);\n",
    };
    // Each is far below the limit; together they are far above it.
    db.write("1_x.sql", &format!("-- haul: timeout=400ms\nCREATE TABLE x (a INT);\n{}", short.repeat(2000)));
    let failure = &db.json("migrate", 1)["failure"];
    assert_eq!(failure["error"], "cancelled at the time limit of 400 ms");
    assert!(failure["statement"].as_u64().unwrap() > 2, "{failure}");
    assert_eq!(db.tables(), [""; 0]);
}

/// Writes a migration whose literals and comments hold what looks like a marker.
fn write_markers(db: &Db) {
    let more = match db.engine() {
        Engine::Sqlite => "CREATE TRIGGER g AFTER INSERT ON t BEGIN\n-- Down\n  UPDATE t SET a = 'x';\n-- Down\nEND;",
        Engine::Postgres => "CREATE FUNCTION g() RETURNS text LANGUAGE sql AS $$\n-- Down\nSELECT 'x'; $$;",
    };
    db.write(
        "1_t.sql",
        &format!(
            "-- Up\nCREATE TABLE t (a TEXT, \"b\n-- Down\n\" TEXT);\n/*\n-- Down\n*/\n{more}\nINSERT INTO t (a) VALUES ('\n-- Down\n');\n\
             CREATE TABLE last (a INT);\n-- Down\nDROP TABLE last;\n"
        ),
    );
}

fn markers_in_literals_and_comments_are_text(db: &Db) {
    write_markers(db);
    db.run("migrate").expect(0);
    assert_eq!(db.tables(), ["last", "t"]);
    let value = if db.engine() == Engine::Sqlite { "x" } else { "\n-- Down\n" };
    assert_eq!(db.rows("SELECT a FROM t"), [value]);
    db.run("rollback --steps 1 --yes").expect(0);
    assert_eq!(db.tables(), ["t"]);
}

/// The engine's own shell sees one row, as haul does.
fn shell_sees_one_row(db: &Db) {
    write_markers(db);
    db.run("migrate").expect(0);
    assert_eq!(db.shell("SELECT count(*) FROM t;").trim(), "1");
}

#[test]
#[ignore = "needs the program sqlite3"]
fn sqlite_shell_sees_one_row() {
    shell_sees_one_row(&Db::sqlite());
}

#[test]
#[ignore = "needs PostgreSQL"]
fn the_shell_of_postgres_sees_one_row() {
    shell_sees_one_row(&Db::postgres());
}

fn a_dry_run_changes_nothing(db: &Db) {
    tables(db, 3);
    let before = db.everything();
    let plan = db.json("migrate --dry-run --to 2", 0);
    let names: Vec<_> =
        plan["would_apply"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["001_t1", "002_t2"]);
    assert_eq!(plan["would_apply"][0]["statement_texts"], serde_json::json!(["2: CREATE TABLE t1 (a INT);"]));
    assert_eq!(plan["rehearsal"], serde_json::Value::Null);
    assert_eq!(db.everything(), before);
    if db.engine() == Engine::Sqlite {
        assert!(fs::read_dir(db.path()).unwrap().count() == 1, "neither a database nor a lock is created");
    }
    db.run("migrate --to 1").expect(0);
    let before = db.everything();
    for verb in ["migrate --dry-run", "status", "verify", "log", "locks"] {
        db.run(verb).expect(0);
        assert_eq!(db.everything(), before, "{verb}");
    }
}

fn a_dry_run_that_executes_changes_nothing(db: &Db) {
    tables(db, 3);
    let index = if db.engine() == Engine::Sqlite { "VACUUM;" } else { "CREATE INDEX CONCURRENTLY i ON t1 (a);" };
    db.write("004_i.sql", &format!("-- haul: no-transaction\n{index}"));
    db.run("migrate --to 1").expect(0);
    db.execute("INSERT INTO t1 VALUES (7)");
    db.write("002_t2.sql", "DELETE FROM t1;\nDROP TABLE t1;\nCREATE TABLE t2 (a INT);");
    let before = db.everything();
    let end = db.json("migrate --dry-run=execute", 0);
    // A copy can run what has no transaction.
    let (applied, left_out) =
        if db.engine() == Engine::Sqlite { (3, serde_json::json!([])) } else { (2, serde_json::json!(["004_i"])) };
    assert_eq!((&end["rehearsal"]["applied"], &end["not_exercised"]), (&applied.into(), &left_out));
    assert_eq!(db.everything(), before);
    assert_eq!(db.applied(), ["001_t1"]);
}

fn a_dry_run_that_executes_finds_what_fails(db: &Db) {
    tables(db, 2);
    db.write("003_x.sql", "CREATE TABLE t2 (a INT);").write("004_t4.sql", "CREATE TABLE t4 (a INT);");
    let done = db.run("migrate --dry-run=execute").expect(1);
    assert!(
        done.stderr.contains("003_x.sql:1: statement 1 of 1: ") && done.stderr.contains("already exists"),
        "{}",
        done.stderr
    );
    assert_eq!(db.tables(), [""; 0]);
}

fn out_of_order_is_refused_unless_allowed(db: &Db) {
    tables(db, 10);
    db.remove("009_t9.sql").run("migrate").expect(0);
    assert_eq!(db.applied().last().unwrap(), "010_t10", "10 comes after 9");
    db.write("009_t9.sql", "CREATE TABLE t9 (a INT);");
    assert!(db.run("migrate").expect(2).stderr.contains("009_t9 is pending, and a higher version is applied"));
    assert_eq!(db.json("status", 0)["pending"][0]["out_of_order"], true);
    db.run("migrate --allow-out-of-order").expect(0);
    assert_eq!(db.applied().last().unwrap(), "009_t9");
}

fn statements_that_destroy_data_need_consent(db: &Db) {
    db.write("1_t.sql", "CREATE TABLE t (a INT, b INT);").run("migrate").expect(0);
    db.write("2_d.sql", "ALTER TABLE t DROP COLUMN b;\n\nDROP TABLE t;");
    let before = db.everything();
    let asked = db.run("migrate").expect(2);
    assert!(
        asked.stderr.contains("2_d.sql:1 drops a column") && asked.stderr.contains("2_d.sql:3 drops a table"),
        "{}",
        asked.stderr
    );
    assert_eq!(db.everything(), before);
    db.run("migrate --yes").expect(0);
    assert_eq!(db.tables(), [""; 0]);
}

fn no_transaction_goes_on_where_it_stopped(db: &Db) {
    db.write("1_x.sql", "-- haul: no-transaction\nCREATE TABLE a (a INT);\nCREATE TABLE b (a INT);\nINSERT INTO later VALUES (1);\nCREATE TABLE c (a INT);");
    let failure = &db.json("migrate", 1)["failure"];
    assert_eq!((&failure["statement"], &failure["kept"]), (&3.into(), &"statements_before".into()));
    assert_eq!((db.tables(), db.applied()), (vec!["a".into(), "b".into()], vec![]));
    db.execute("CREATE TABLE later (a INT)");
    // What took effect must be what the file still says.
    let text = fs::read_to_string(db.migrations().join("1_x.sql")).unwrap();
    db.write("1_x.sql", &text.replace("TABLE a", "TABLE other"));
    assert!(db.run("migrate").expect(65).stderr.contains("the 2 statements that took effect before were changed"));
    db.write("1_x.sql", &text);
    assert_eq!(db.json("migrate", 0)["applied"], 1);
    assert_eq!(
        (db.tables(), db.rows("SELECT a FROM later")),
        (vec!["a".into(), "b".into(), "c".into(), "later".into()], vec!["1".into()])
    );
}

fn no_transaction_that_did_not_end_waits_for_an_operator(db: &Db) {
    db.write(
        "1_x.sql",
        "-- haul: no-transaction\nCREATE TABLE a (a INT);\nINSERT INTO later VALUES (1);\nCREATE TABLE c (a INT);",
    );
    db.run("migrate").expect(1);
    db.execute("CREATE TABLE later (a INT)");
    // What the log of a run looks like that was killed in its second statement.
    db.execute("DELETE FROM haul_migrations_log WHERE outcome = 'failed'");
    let stuck = db.run("migrate").expect(1);
    assert!(
        stuck.stderr.contains("1_x.sql:3: it is not known whether statement 2 of 1_x took effect"),
        "{}",
        stuck.stderr
    );
    assert!(stuck.stderr.contains("haul db resolve --version 1 --from-statement 2"), "{}", stuck.stderr);
    assert_eq!(db.tables(), ["a", "later"]);
    assert!(db.run("resolve --version 1 --from-statement 9").expect(2).stderr.contains("has 3 statements"));
    db.run("resolve --version 1 --from-statement 2 --yes").expect(0);
    db.run("migrate").expect(0);
    assert_eq!(
        (db.tables(), db.rows("SELECT a FROM later")),
        (vec!["a".into(), "c".into(), "later".into()], vec!["1".into()])
    );
    assert!(db.run("resolve --version 1").expect(2).stderr.contains("nothing to resolve"));
}

fn a_baseline_and_a_repair_leave_rows_in_the_log(db: &Db) {
    tables(db, 3);
    db.execute("CREATE TABLE t1 (a INT); CREATE TABLE t2 (a INT)");
    assert_eq!(db.json("baseline 2", 0)["declared"], serde_json::json!(["001_t1", "002_t2"]));
    assert_eq!(db.json("migrate", 0)["applied"], 1);
    db.write("001_t1.sql", "-- Up\nCREATE TABLE t1 (a INT);\n-- Down\nDROP TABLE t1; -- corrected");
    db.run("migrate").expect(65);
    db.run("repair").expect(2);
    assert_eq!(db.json("repair --all --yes", 0)["repaired"][0]["name"], "001_t1");
    db.run("migrate").expect(0);
    let audit =
        db.rows("SELECT name || ' ' || outcome || ' ' || error FROM haul_migrations_log WHERE outcome = 'repaired'");
    assert!(audit[0].starts_with("001_t1 repaired checksum was "), "{audit:?}");
    assert_eq!(db.outcomes()[..2], ["001_t1 baseline", "002_t2 baseline"]);
    let log = db.json("log --last 1", 0);
    assert_eq!((log["log"].as_array().unwrap().len(), &log["log"][0]["outcome"]), (1, &"repaired".into()));
}

fn redo_rolls_back_and_applies_again(db: &Db) {
    tables(db, 2);
    db.run("migrate").expect(0);
    db.execute("INSERT INTO t2 VALUES (1)");
    db.run("redo").expect(2);
    let end = db.json("redo --yes", 0);
    let statuses: Vec<_> =
        end["details"].as_array().unwrap().iter().map(|row| row["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["reverted", "applied"]);
    assert_eq!((db.rows("SELECT count(*) FROM t2"), db.applied().len()), (vec!["0".into()], 2));
}

fn a_forced_rollback_removes_the_row_of_a_migration_without_down(db: &Db) {
    tables(db, 2);
    db.write("003_x.sql", "CREATE TABLE x (a INT);").run("migrate").expect(0);
    assert!(db.run("rollback --to 0 --yes").expect(2).stderr.contains("003_x has no Down section"));
    assert_eq!(db.applied().len(), 3, "nothing is taken back if one cannot be");
    let end = db.json("rollback --steps 2 --force --yes", 0);
    assert_eq!((&end["details"][0]["status"], &end["details"][1]["status"]), (&"forgotten".into(), &"reverted".into()));
    assert_eq!((db.tables(), db.applied()), (vec!["t1".into(), "x".into()], vec!["001_t1".into()]));
    // A failed statement stops it also then.
    db.execute("DROP TABLE t1");
    db.json("rollback --steps 1 --force --yes", 1);
    assert_eq!(db.applied(), ["001_t1"]);
}

fn verify_tells_equal_from_changed_and_missing(db: &Db) {
    tables(db, 3);
    db.run("migrate").expect(0);
    db.run("verify").expect(0);
    db.remove("003_t3.sql").write("002_t2.sql", "CREATE TABLE t2 (a INT);");
    let found = db.json("verify", 65);
    let states: Vec<_> =
        found["migrations"].as_array().unwrap().iter().map(|row| row["state"].as_str().unwrap()).collect();
    assert_eq!((states, &found["differences"]), (vec!["equal", "changed", "missing"], &2.into()));
}

fn status_shows_the_state_of_each_migration(db: &Db) {
    tables(db, 2);
    db.write("005_x.sql", "-- for the figures\n-- Up\nCREATE TABLE x (a INT);");
    db.run("create-database").expect(0);
    let fresh = db.json("status", 0);
    assert_eq!((fresh["pending"].as_array().unwrap().len(), &fresh["applied"]), (3, &serde_json::json!([])));
    db.run("status --exit-code").expect(1);
    db.run("migrate --to 2").expect(0);
    let status = db.json("status", 0);
    assert_eq!(status["pending"][0]["header"], serde_json::json!(["for the figures"]));
    assert_eq!(status["gaps"], serde_json::json!([["2", "5"]]));
    db.run("migrate").expect(0);
    db.run("status --exit-code").expect(0);
    assert_eq!(db.json("status", 0)["pending"], serde_json::json!([]));
    db.remove("005_x.sql").run("status --exit-code").expect(65);
}

fn another_ledger_is_reported_and_left_alone(db: &Db) {
    db.execute("CREATE TABLE __migrations (name VARCHAR(255) PRIMARY KEY, checksum VARCHAR(64) NOT NULL)");
    db.execute("INSERT INTO __migrations VALUES ('001_t1', '371092dcc8b7ad1e')");
    tables(db, 1);
    let table = if db.engine() == Engine::Sqlite { "__migrations" } else { "public.__migrations" };
    assert_eq!(db.json("status", 0)["other_ledgers"], serde_json::json!([[table, "the documented runner"]]));
    db.run("migrate").expect(2);
    db.run("migrate --allow-other-ledger").expect(0);
    assert_eq!(db.rows("SELECT * FROM __migrations"), ["001_t1|371092dcc8b7ad1e"]);
}

fn the_ledger_can_have_another_name(db: &Db) {
    tables(db, 1);
    db.execute("CREATE TABLE haul_migrations (x INT)");
    assert!(db.run("migrate").expect(1).stderr.contains("the table haul_migrations is not one of haul's"));
    assert!(db.run("migrate --table a\"b").expect(2).stderr.contains("cannot be the name of the ledger"));
    db.run("migrate --table My_ledger").expect(0);
    assert_eq!(db.rows("SELECT name FROM \"My_ledger\""), ["001_t1"]);
    assert_eq!(db.json("migrate --table My_ledger", 0)["skipped"], 1);
    db.execute("ALTER TABLE \"My_ledger\" ADD COLUMN more INT");
    assert!(
        db.run("migrate --table My_ledger")
            .expect(1)
            .stderr
            .contains("columns that this version of haul does not know")
    );
}

fn a_stopped_run_goes_on(db: &Db) {
    use haul::db::runner::MigrateRequest;
    use haul::pipeline::{Control, Event, Observer, StopToken};

    /// Asks for a stop after the first migration.
    struct StopAfterFirst(StopToken);
    impl Observer for StopAfterFirst {
        fn observe(&self, event: &Event) {
            if matches!(event, Event::BatchWritten { .. } | Event::Progressed { .. }) {
                self.0.request();
            }
        }
    }

    tables(db, 3);
    let mut runner = db.runner();
    let stop = StopToken::new();
    let control = Control { stop: &stop, observer: &StopAfterFirst(stop.clone()) };
    let end = runner.migrate(&MigrateRequest::default(), &control).unwrap();
    assert!(end.stopped && end.failure.is_none());
    assert_eq!((end.applied, end.pending), (1, vec!["002_t2".to_owned(), "003_t3".to_owned()]));
    drop(runner);
    assert_eq!(db.outcomes().last().unwrap(), "002_t2 stopped");
    assert_eq!(db.json("migrate", 0)["applied"], 2);
}
