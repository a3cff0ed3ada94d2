//! An upgrade of an invented application, from its directory alone: nothing is tied to CORTEX.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use serde_json::Value;

use super::place::Set;

const LOANS: u32 = 2_500;

/// A set with its upgrade.toml in the same directory: catalog, slips, ledger and members.
pub fn library() -> Set {
    let set = Set::empty();
    let definition = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/upgrade-library");
    for entry in fs::read_dir(definition).unwrap().map(|entry| entry.unwrap()) {
        fs::copy(entry.path(), set.file(&entry.file_name().into_string().unwrap())).unwrap();
    }
    let numbers = format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {LOANS})");
    for (name, sql) in [
        (
            "books.db",
            "CREATE TABLE titles (isbn TEXT PRIMARY KEY, title TEXT, copies INTEGER);
             INSERT INTO titles VALUES ('1', 'One', 2), ('2', 'Two', 0), ('3', 'Three', 1500)"
                .to_owned(),
        ),
        (
            "desk.db",
            format!(
                "CREATE TABLE slips (slip INTEGER PRIMARY KEY, isbn TEXT, card TEXT, out_at TIMESTAMP, back_at TIMESTAMP);
                 {numbers} INSERT INTO slips SELECT i, '1', 'x', '2026-01-01T10:00:00', iif(i % 2, NULL, '2026-01-02 10:00:00')
                 FROM n"
            ),
        ),
        (
            "old-desk.db",
            "PRAGMA journal_mode = WAL;
             CREATE TABLE ledger (entry INTEGER PRIMARY KEY, book TEXT, reader TEXT, lent TEXT, returned TEXT);
             INSERT INTO ledger VALUES (1, '2', 'y', '2026-01-02 10:00:00', NULL)"
                .to_owned(),
        ),
        ("people.db", "CREATE TABLE cards (card TEXT, name TEXT, phone TEXT); INSERT INTO cards VALUES ('x', 'X', '1')".into()),
    ] {
        Connection::open(set.file(name)).unwrap().execute_batch(&sql).unwrap();
    }
    set
}

fn text(set: &Set, name: &str, sql: &str) -> String {
    let connection = Connection::open(set.file(name)).unwrap();
    connection
        .query_row(sql, [], |row| row.get::<_, rusqlite::types::Value>(0))
        .map(|value| format!("{value:?}"))
        .unwrap()
}

#[test]
fn an_upgrade_is_read_from_the_directory_of_the_databases() {
    let set = library();
    let plan = set.upgrade("plan", &["--json"]).expect(0).json();
    assert_eq!((&plan["upgrade"], &plan["to"]), (&Value::from("library-4"), &Value::from("4.0")));
    let end = set.upgrade("run", &["--yes", "--json", "--assume-tz=+01:00"]).expect(0).json();
    assert_eq!(end["stage"], "published", "{end}");
    assert_eq!(end["flags"]["set"], serde_json::json!(["lending_by_copy", "shelf_plan", "shelf_work"]));
    assert_eq!(text(&set, "books.db", "SELECT count(*) FROM copies"), "Integer(1502)");
    assert_eq!(text(&set, "desk.db", "SELECT count(*) FROM loan_events"), format!("Integer({})", LOANS + LOANS / 2));
    assert_eq!(text(&set, "desk.db", "SELECT due_at FROM slips WHERE slip = 1"), r#"Text("2026-01-29 09:00:00")"#);
    assert_eq!(text(&set, "old-desk.db", "SELECT due_at FROM ledger"), r#"Text("2026-01-30 10:00:00")"#);
    set.upgrade("monitor", &[]).expect(0);
    let refused = set.upgrade("cleanup", &["--yes"]).expect(2);
    assert!(refused.stderr.contains("are watched until"), "{}", refused.stderr);
    // A phase that was killed leaves this.
    let live = set.path().join("migration/live.json");
    fs::write(&live, "{}").unwrap();
    set.upgrade("cleanup", &["--dry-run", "--force"]).expect(0);
    assert!(live.exists());
    let end = set.upgrade("cleanup", &["--yes", "--force", "--drop-own-tables", "--json"]).expect(0).json();
    assert_eq!(end["dropped"].as_array().unwrap().len(), 8, "{end}");
    assert!(!live.exists() && live.with_file_name("journal.jsonl").exists());
}

#[test]
fn phases_come_in_their_order_and_each_can_be_repeated() {
    let set = library();
    let before = set.bytes();
    let early = set.upgrade("schema", &[]).expect(2);
    assert!(early.stderr.contains("haul upgrade freeze"), "{}", early.stderr);
    for phase in ["freeze", "schema", "backfill", "verify"] {
        for _ in 0..2 {
            set.upgrade(phase, &[]).expect(0);
        }
        let status = set.upgrade("status", &["--json"]).expect(0).json();
        assert_eq!(status["writes_frozen"], true, "{phase}: {status}");
    }
    let live: Vec<_> = before.keys().filter(|name| name.ends_with(".db") && *name != "old-desk.db").collect();
    let now = set.bytes();
    assert!(live.iter().all(|name| before[*name] == now[*name]), "the live files are switched by cutover alone");
    set.upgrade("cutover", &["--yes", "--soak", "0"]).expect(0);
    let status = set.upgrade("status", &["--json"]).expect(0).json();
    assert_eq!((&status["writes_frozen"], &status["run"]["stage"]), (&Value::from(false), &Value::from("published")));
}

#[test]
fn rows_written_between_freeze_and_cutover_are_not_lost_without_a_word() {
    let set = library();
    for phase in ["freeze", "schema", "backfill", "verify"] {
        set.upgrade(phase, &[]).expect(0);
    }
    let written = "INSERT INTO titles VALUES ('9', 'Late', 1)";
    Connection::open(set.file("books.db")).unwrap().execute_batch(written).unwrap();
    let refused = set.upgrade("cutover", &["--yes", "--soak", "0"]).expect(65);
    assert!(refused.stderr.contains("books.db"), "{}", refused.stderr);
    assert_eq!(text(&set, "books.db", "SELECT count(*) FROM titles"), "Integer(4)");
    set.upgrade("rollback", &["--yes"]).expect(0);
    assert_eq!(text(&set, "books.db", "SELECT count(*) FROM titles"), "Integer(4)");
    set.upgrade("run", &["--yes"]).expect(0);
    assert_eq!(text(&set, "books.db", "SELECT count(*) FROM titles"), "Integer(4)");
}

#[test]
fn another_program_that_writes_or_has_a_file_open_is_waited_for() {
    let set = library();
    let writer = Connection::open(set.file("desk.db")).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let busy = set.upgrade("freeze", &["--lock-timeout", "0"]).expect(75);
    assert!(busy.stderr.contains("desk.db"), "{}", busy.stderr);
    writer.execute_batch("ROLLBACK").unwrap();
    // An idle connection holds no lock, but what it wrote after the switch would be lost.
    let open = set.upgrade("run", &["--yes"]).expect(75);
    assert!(
        open.stderr.contains("desk.db") && open.stderr.contains(&std::process::id().to_string()),
        "{}",
        open.stderr
    );
    drop(writer);
    set.upgrade("run", &["--yes"]).expect(0);
}

#[test]
fn settings_that_the_upgrade_does_not_know_are_named() {
    let set = library();
    for (arguments, says) in [
        (&["--set", "loan-weeks=4"][..], "no setting loan-weeks"),
        (&["--set", "loan-days=many"], "not a number"),
        (&["--input", "cities=/dev/null"], "no input cities"),
        (&["--assume-tz", "Mars/Olympus"], "Mars/Olympus"),
        (&["--upgrade", "cortex-9.0"], "cortex-9.0"),
        (&["--exclude", "cats.db"], "cats.db does not exist"),
    ] {
        let refused = set.upgrade("plan", arguments).expect(2);
        assert!(refused.stderr.contains(says), "{arguments:?}: {}", refused.stderr);
    }
    let branches = set.file("branches.json");
    fs::write(&branches, r#"[{"branch": "north"}]"#).unwrap();
    let input = format!("branches={}", branches.display());
    let refused = set.upgrade("plan", &["--input", &input]);
    assert!(matches!(refused.code, 2 | 65) && refused.stderr.contains("floors"), "{}", refused.stderr);
}

#[test]
fn the_commands_of_the_operator_run_at_their_moments() {
    let set = library();
    let log = set.file("log.txt");
    let hook = |time: &str| format!("{time}=echo {time} $HAUL_PHASE >> {}", log.display());
    let hooks: Vec<String> = ["freeze", "drain", "thaw", "test", "rolled-back"]
        .iter()
        .flat_map(|time| ["--hook".to_owned(), hook(time)])
        .collect();
    let denied = ["--hook".to_owned(), "denied=false".to_owned()];
    let given: Vec<&str> = hooks.iter().chain(&denied).map(String::as_str).collect();
    set.upgrade("run", &[&["--yes"][..], &given].concat()).expect(0);
    set.upgrade("rollback", &[&["--yes"][..], &given].concat()).expect(0);
    let lines = fs::read_to_string(&log).unwrap();
    let first: Vec<_> = lines.lines().take(3).collect();
    assert_eq!(first[0].split(' ').next(), Some("test"), "{lines}");
    for wanted in ["freeze freeze", "drain freeze", "test schema", "test backfill", "test cutover", "thaw cutover"] {
        assert!(lines.lines().any(|line| line == wanted), "{wanted}: {lines}");
    }
    assert!(lines.lines().any(|line| line.starts_with("rolled-back")), "{lines}");
}

#[test]
fn a_test_of_the_application_that_fails_stops_the_upgrade_and_a_second_run_goes_on() {
    let set = library();
    let before = set.bytes();
    let failed = set.upgrade("run", &["--yes", "--hook", "test=test \"$HAUL_PHASE\" != backfill"]).expect(1);
    assert!(failed.stderr.contains("backfill"), "{}", failed.stderr);
    let now = set.bytes();
    assert_eq!(before["books.db"], now["books.db"]);
    set.upgrade("run", &["--yes"]).expect(0);
}

#[test]
fn keys_of_a_configuration_file_are_renamed_and_come_back() {
    let set = library();
    let config = set.file("app.json");
    fs::write(&config, b"{}").unwrap();
    let path = config.to_str().unwrap();
    let refused = set.upgrade("run", &["--yes", "--config", path]).expect(2);
    assert!(refused.stderr.contains("does not say how a configuration file changes"), "{}", refused.stderr);
    let definition = set.file("upgrade.toml");
    let rules =
        fs::read_to_string(&definition).unwrap() + "\n[configuration.rename]\n\"db.path\" = \"databases.path\"\n";
    fs::write(&definition, rules).unwrap();
    let old = br#"{"db": {"path": "x"}, "mine": 1}"#;
    fs::write(&config, old).unwrap();
    let end = set.upgrade("run", &["--yes", "--json", "--config", path]).expect(0).json();
    assert_eq!(end["configuration"]["unknown"], serde_json::json!(["mine"]), "{end}");
    assert!(fs::read_to_string(&config).unwrap().contains("databases"));
    set.upgrade("rollback", &["--yes"]).expect(0);
    assert_eq!(fs::read(&config).unwrap(), old);
}

#[test]
fn a_failed_check_can_roll_the_upgrade_back_by_itself() {
    let set = library();
    let before = set.bytes();
    let arguments = ["--yes", "--hook", "denied=true", "--on-failure", "rollback"];
    let failed = set.upgrade("run", &arguments).expect(65);
    assert!(failed.stderr.contains("must be denied"), "{}", failed.stderr);
    let status = set.upgrade("status", &["--json"]).expect(0).json();
    assert_eq!((&status["run"]["stage"], &status["writes_frozen"]), (&Value::from("rolled-back"), &Value::from(false)));
    assert_eq!(set.bytes()["books.db"], before["books.db"]);
    let stays = set.upgrade("run", &arguments[..3]).expect(65);
    assert!(stays.stderr.contains("haul upgrade rollback"), "{}", stays.stderr);
}

#[test]
fn the_plan_that_was_shown_is_carried_out_unless_something_has_changed() {
    let planned = |set: &Set, arguments: &[&str]| {
        let shown = set.upgrade("plan", &["--json"]).expect(0).json();
        set.upgrade("freeze", arguments).expect(0);
        let run: Value = serde_json::from_slice(&fs::read(set.file("migration/plan.json")).unwrap()).unwrap();
        shown["made_at"] == run["made_at"]
    };
    assert!(planned(&library(), &[]));
    assert!(!planned(&library(), &["--assume-tz=+01:00"]));
    assert!(!planned(&library(), &["--hook", "test=true"]), "its tests were not run for the plan");
    let set = library();
    set.upgrade("plan", &[]).expect(0);
    Connection::open(set.file("books.db"))
        .unwrap()
        .execute_batch("INSERT INTO titles VALUES ('9', 'Late', 1)")
        .unwrap();
    set.upgrade("run", &["--yes"]).expect(0);
    assert_eq!(text(&set, "books.db", "SELECT count(*) FROM copies"), "Integer(1503)");
    let other = library();
    let digest = other.upgrade("plan", &["--json"]).expect(0).json()["digest"].as_str().unwrap().to_owned();
    let refused = other.upgrade("freeze", &["--plan", &digest, "--set", "loan-days=7"]).expect(2);
    assert!(refused.stderr.contains("no longer the one that was approved"), "{}", refused.stderr);
    other.upgrade("freeze", &["--plan", &digest]).expect(0);
}
