//! Hooks (docs/source-sql.md, "Hooks").

use std::fs;

use crate::support::db::Db;
use crate::support::db_contents::{Engine, on_both};

on_both! {
    hooks_run_around_a_run_and_each_migration
    the_sql_of_a_hook_is_in_the_transaction_of_its_migration
    hooks_of_sections_without_a_transaction_run_by_themselves
    what_a_hook_sets_is_gone_before_the_migration
    a_program_that_fails_stops_before_or_after
    a_program_is_told_what_happens_and_no_secret
    a_hook_that_ends_the_transaction_is_refused_before_anything_runs
    a_failing_run_has_its_own_hooks
    hooks_run_for_a_rollback_too
    hooks_are_shown_and_can_be_left_out
    a_hook_has_the_time_limit_of_a_migration
}

/// Writes `haul.toml` with hooks: when, and the rest of the table.
fn hooks(db: &Db, hooks: &[(&str, &str)]) {
    let text: Vec<_> = hooks.iter().map(|(when, what)| format!("[[db.hooks]]\nwhen = \"{when}\"\n{what}\n")).collect();
    fs::write(db.path().join("haul.toml"), text.concat()).unwrap();
}

fn sql(statement: &str) -> String {
    format!("sql = \"{statement}\"")
}

fn says(text: &str) -> String {
    sql(&format!("INSERT INTO seen (x) VALUES ('{text}')"))
}

/// A table for hooks to write to.
fn with_table(db: &Db) -> &Db {
    db.write("1_seen.sql", "CREATE TABLE seen (x TEXT);").run("migrate").expect(0);
    db
}

fn seen(db: &Db) -> String {
    db.rows("SELECT x FROM seen").join(" ")
}

fn hooks_run_around_a_run_and_each_migration(db: &Db) {
    with_table(db);
    let texts =
        ["before_run", "before_each", "after_each", "after_run", "after_failure"].map(|when| (when, says(when)));
    hooks(db, &texts.each_ref().map(|(when, what)| (*when, what.as_str())));
    db.run("migrate").expect(0);
    // Nothing is pending, so nothing runs.
    assert_eq!(seen(db), "");
    db.write("2_b.sql", "INSERT INTO seen VALUES ('b');").write("3_c.sql", "INSERT INTO seen VALUES ('c');");
    db.run("migrate").expect(0);
    assert_eq!(seen(db), "before_run before_each b after_each before_each c after_each after_run");
}

fn the_sql_of_a_hook_is_in_the_transaction_of_its_migration(db: &Db) {
    with_table(db);
    fs::create_dir(db.path().join("hooks")).unwrap();
    fs::write(db.path().join("hooks/x.sql"), "SELECT 1;\nINSERT INTO nowhere VALUES (1);").unwrap();
    hooks(db, &[("before_each", &says("before")), ("after_each", "file = \"hooks/x.sql\"")]);
    db.write("2_b.sql", "CREATE TABLE b (a INT);");
    let done = db.run("migrate").expect(1);
    assert!(done.stderr.contains("2_b.sql: the after_each hook hooks/x.sql:2 failed: "), "{}", done.stderr);
    assert_eq!((seen(db), db.tables(), db.applied()), (String::new(), vec!["seen".into()], vec!["1_seen".into()]));
    assert_eq!(db.outcomes().last().unwrap(), "2_b failed");
}

fn hooks_of_sections_without_a_transaction_run_by_themselves(db: &Db) {
    with_table(db);
    hooks(db, &[("before_each", &says("before")), ("after_each", &says("after"))]);
    db.write("2_b.sql", "-- haul: no-transaction\nINSERT INTO seen VALUES ('b');\nINSERT INTO nowhere VALUES (1);");
    db.run("migrate").expect(1);
    assert_eq!(seen(db), "before b");
    // A hook that fails does not change where the section goes on.
    hooks(db, &[("before_each", &sql("INSERT INTO nowhere VALUES (1)")), ("after_each", &says("after"))]);
    let end = db.json("migrate", 1);
    assert_eq!(
        (&end["applied"], &end["failure"]["name"], &end["failure"]["line"]),
        (&0.into(), &"2_b".into(), &1.into())
    );
    assert_eq!(db.outcomes().last().unwrap(), "2_b hook_failed");
    hooks(db, &[("before_each", &says("again")), ("after_each", &says("after"))]);
    db.write("2_b.sql", "-- haul: no-transaction\nINSERT INTO seen VALUES ('b');\nINSERT INTO seen VALUES ('c');");
    db.run("migrate").expect(0);
    assert_eq!(seen(db), "before b again c after");
}

fn what_a_hook_sets_is_gone_before_the_migration(db: &Db) {
    with_table(db);
    let sets = match db.engine() {
        Engine::Sqlite => "CREATE TEMP TABLE seen (x TEXT)",
        Engine::Postgres => "CREATE TEMP TABLE seen (x TEXT); SET search_path = pg_catalog",
    };
    hooks(db, &[("before_run", &sql(sets)), ("before_each", &sql(sets)), ("after_each", &says("after"))]);
    db.write("2_b.sql", &format!("INSERT INTO seen VALUES ('b');\n{sets};"));
    db.run("migrate").expect(0);
    assert_eq!(seen(db), "b after");
    if db.engine() == Engine::Sqlite {
        hooks(db, &[("before_each", &sql("PRAGMA ignore_check_constraints = ON"))]);
        db.write("3_c.sql", "SELECT 1;");
        assert!(db.run("migrate").expect(2).stderr.contains("haul.toml, hook 1: a hook cannot run with a pragma"));
    }
}

fn a_program_that_fails_stops_before_or_after(db: &Db) {
    let program = "command = [\"/bin/sh\", \"-c\", \"echo told; exit 3\"]";
    db.write("1_a.sql", "CREATE TABLE a (a INT);").write("2_b.sql", "CREATE TABLE b (a INT);");
    for when in ["before_run", "before_each"] {
        hooks(db, &[(when, program)]);
        let done = db.run("migrate").expect(1);
        let what = format!("/bin/sh: the {when} hook failed: it ended with exit status: 3");
        assert!(done.stderr.contains(&what) && done.stderr.contains("told"), "{}", done.stderr);
        assert_eq!((db.tables(), db.applied()), (vec![], vec![]));
    }
    hooks(db, &[("after_each", program)]);
    let done = db.run("migrate").expect(1);
    assert!(done.stderr.contains("1_a stays applied"), "{}", done.stderr);
    assert_eq!((db.tables(), db.applied()), (vec!["a".into()], vec!["1_a".into()]));
    assert_eq!(db.outcomes()[db.outcomes().len() - 2..], ["1_a hook_failed", "2_b stopped"]);
    let end = db.json("migrate", 1);
    assert_eq!((&end["applied"], &end["failed"], &end["failure"]["kept"]), (&1.into(), &0.into(), &"all".into()));
    hooks(db, &[("after_run", program)]);
    db.write("3_c.sql", "CREATE TABLE c (a INT);").run("migrate").expect(1);
    assert_eq!(db.applied(), ["1_a", "2_b", "3_c"]);
}

fn a_program_is_told_what_happens_and_no_secret(db: &Db) {
    let print = "command = [\"/bin/sh\", \"-c\", \"env >> told\"]";
    hooks(db, &[("before_each", print), ("after_run", print)]);
    db.write("007_a.sql", "CREATE TABLE a (a INT);");
    let mut command = db.command("migrate");
    command.env("PGPASSWORD", "hidden-word").env("APP_ROLE", "app");
    crate::support::haul::Done::of(command.output().unwrap()).expect(0);
    let told = fs::read_to_string(db.path().join("told")).unwrap();
    for line in [
        "HAUL_HOOK=before_each",
        "HAUL_VERSION=7",
        "HAUL_NAME=007_a",
        "HAUL_DIRECTION=up",
        "HAUL_OUTCOME=pending",
        "HAUL_HOOK=after_run",
        "HAUL_VERSION=",
        "HAUL_OUTCOME=applied",
        "APP_ROLE=app",
    ] {
        assert!(told.lines().any(|told| told == line), "{line}: {told}");
    }
    assert!(!told.contains("hidden-word") && !told.contains("DATABASE_URL"), "{told}");
}

fn a_hook_that_ends_the_transaction_is_refused_before_anything_runs(db: &Db) {
    db.write("1_a.sql", "CREATE TABLE a (a INT);");
    for (what, said) in [
        (sql("SELECT 1;\\nCOMMIT"), "haul.toml, hook 1:2: "),
        (sql("SELECT '${x}'"), "is a placeholder"),
        ("file = \"nowhere.sql\"".to_owned(), "nowhere.sql"),
        ("sql = \"SELECT 1\"\ncommand = [\"true\"]".to_owned(), "hook 1 says not exactly one thing"),
    ] {
        hooks(db, &[("after_failure", &what)]);
        let done = db.run("migrate");
        assert!(done.stderr.contains(said) && done.stderr.contains("next: "), "{what}: {}", done.stderr);
        assert!(!db.file().exists() || db.tables().is_empty());
    }
    fs::write(db.path().join("haul.toml"), "[[db.hooks]]\nwhen = \"sometimes\"\n").unwrap();
    db.run("migrate").expect(2);
}

fn a_failing_run_has_its_own_hooks(db: &Db) {
    with_table(db);
    let print = "command = [\"/bin/sh\", \"-c\", \"echo $HAUL_NAME $HAUL_OUTCOME; exit 1\"]";
    hooks(db, &[("after_failure", &says("failed")), ("after_failure", print), ("after_run", &says("ran"))]);
    db.write("2_b.sql", "INSERT INTO nowhere VALUES (1);");
    let done = db.run("migrate").expect(1);
    assert!(
        done.stderr.contains("2_b failed") && done.stderr.contains("the after_failure hook failed too"),
        "{}",
        done.stderr
    );
    // What counts is why the run failed.
    assert!(done.stderr.contains("2_b.sql:1: statement 1 of 1"), "{}", done.stderr);
    assert_eq!(seen(db), "failed");
}

fn hooks_run_for_a_rollback_too(db: &Db) {
    with_table(db);
    db.write("2_b.sql", "-- Up\nCREATE TABLE b (a INT);\n-- Down\nDROP TABLE b;").run("migrate").expect(0);
    let print = "command = [\"/bin/sh\", \"-c\", \"echo $HAUL_HOOK $HAUL_DIRECTION $HAUL_OUTCOME >> told\"]";
    hooks(db, &[("before_run", print), ("after_each", print), ("after_each", &says("reverted")), ("after_run", print)]);
    db.run("rollback --steps 1 --yes").expect(0);
    let told = fs::read_to_string(db.path().join("told")).unwrap();
    assert_eq!(told, "before_run down pending\nafter_each down reverted\nafter_run down reverted\n");
    assert_eq!(seen(db), "reverted");
    db.run("migrate --no-hooks").expect(0);
    fs::remove_file(db.path().join("told")).unwrap();
    db.run("redo --yes").expect(0);
    let told = fs::read_to_string(db.path().join("told")).unwrap();
    assert_eq!(told, "before_run up pending\nafter_each down reverted\nafter_each up applied\nafter_run up applied\n");
}

fn hooks_are_shown_and_can_be_left_out(db: &Db) {
    with_table(db);
    let fails = "command = [\"/bin/sh\", \"-c\", \"touch told\"]";
    hooks(db, &[("before_run", &says("before")), ("before_each", fails)]);
    db.write("2_b.sql", "CREATE TABLE b (a INT);");
    let shown = db.json("migrate --dry-run", 0);
    assert_eq!(shown["hooks"][0], serde_json::json!({"when": "before_run", "name": "haul.toml, hook 1"}));
    assert_eq!(shown["hooks"][1], serde_json::json!({"when": "before_each", "name": "/bin/sh"}));
    assert!(db.run("migrate --dry-run").expect(0).stdout.contains("before_each /bin/sh"));
    // A rehearsal runs the SQL of hooks, and no program.
    assert_eq!(db.json("migrate --dry-run=execute", 0)["rehearsal"]["applied"], 1);
    hooks(db, &[("before_run", &sql("INSERT INTO nowhere VALUES (1)")), ("before_each", fails)]);
    assert_eq!(db.json("migrate --dry-run=execute", 1)["rehearsal"]["failure"]["name"], "before_run");
    db.run("migrate --no-hooks").expect(0);
    assert_eq!((seen(db), db.path().join("told").exists()), (String::new(), false));
}

fn a_hook_has_the_time_limit_of_a_migration(db: &Db) {
    let endless = match db.engine() {
        Engine::Sqlite => "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c",
        Engine::Postgres => "SELECT pg_sleep(60)",
    };
    db.write("1_a.sql", "-- haul: timeout=50ms\nCREATE TABLE a (a INT);");
    hooks(db, &[("before_each", &sql(endless))]);
    let done = db.run("migrate").expect(1);
    assert!(done.stderr.contains("cancelled at the time limit of 50 ms"), "{}", done.stderr);
    hooks(db, &[("after_run", &sql(&format!("-- haul: timeout=50ms\\n{endless}")))]);
    let done = db.run("migrate").expect(1);
    assert!(done.stderr.contains("after_run hook failed: cancelled at the time limit of 50 ms"), "{}", done.stderr);
    assert_eq!(db.applied(), ["1_a"]);
}
