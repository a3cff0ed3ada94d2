//! Verification of a whole small upgrade, and of everything that can be wrong with it.

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::Connection;

use super::{CheckResult, Subject, Verification, verify};
use crate::pipeline::{Control, Silent, StopToken};
use crate::upgrade::backfill::{self, Limits, SetFacts, open_working};
use crate::upgrade::definition::{Definition, Expectation, TimedQuery};
use crate::upgrade::facts::{Baseline, Snapshot};
use crate::upgrade::hooks::Hooks;
use crate::upgrade::plan::{Mode, Plan, PlannedStep, Prediction, test_plan};
use crate::upgrade::schema::test_definition::{backfill, member, sql, with_groups};
use crate::upgrade::schema::{apply, step_states, tracking};
use crate::upgrade::set::Member;
use crate::upgrade::values::{AssumedZone, Values, register};

const OLD: &str = "PRAGMA foreign_keys = OFF; CREATE TABLE old (id INTEGER PRIMARY KEY, name TEXT); \
                   CREATE TABLE child (old_id REFERENCES old(id)); INSERT INTO child VALUES (1), (99); \
                   CREATE VIRTUAL TABLE found USING fts5(name, content='old', content_rowid='id'); \
                   WITH RECURSIVE k (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k WHERE i < 50) \
                   INSERT INTO old SELECT i, 'name ' || i FROM k; INSERT INTO found(found) VALUES ('rebuild');";
const GROUP: &str = "CREATE TABLE new (id INTEGER PRIMARY KEY, old_id INTEGER NOT NULL UNIQUE, name TEXT);\n\
                     CREATE INDEX idx_new ON new (name);\nALTER TABLE old ADD COLUMN state TEXT DEFAULT 'open';";
const ROWS: &str = "SELECT id, name FROM old WHERE id <= 40 ORDER BY id";
const WRITE: &str = "INSERT INTO new (old_id, name) SELECT id, name FROM temp.haul_rows WHERE n > ?1 AND n <= ?2 \
                     AND id NOT IN (SELECT old_id FROM new)";
const DIGEST: &str = "digest of the plan";

struct Set {
    directory: tempfile::TempDir,
    definition: Definition,
    values: Values,
    plan: Plan,
    hooks: Hooks,
}

fn definition() -> Definition {
    let expectation = Expectation {
        advisory: false,
        name: "rows are there".into(),
        tier: "t".into(),
        sql: "SELECT count(*) FROM new".into(),
        min: Some(40),
        max: Some(40),
    };
    let state = Expectation {
        advisory: false,
        name: "stale indexes".into(),
        sql: "SELECT fts_inconsistent FROM temp.haul_files WHERE file = 'a.db' AND integrity_ok AND pages > 3".into(),
        min: None,
        max: Some(1),
        ..expectation.clone()
    };
    let query = TimedQuery {
        name: "search".into(),
        tier: "t".into(),
        selects: vec![sql("SELECT rowid FROM found WHERE found MATCH 'name' LIMIT 10")],
        p95_ms: 60_000,
    };
    Definition {
        backfills: vec![backfill("copy", ROWS, WRITE)],
        expectations: vec![expectation, state],
        queries: vec![query],
        sha256: "definition".into(),
        ..with_groups(&[("001", GROUP)])
    }
}

/// Makes a set of one database, plans it, and carries phases 2 and 3 out.
fn upgraded(old: &str, before_plan: &str) -> Set {
    let directory = tempfile::tempdir().unwrap();
    let (live, staged) = (directory.path().join("live.db"), directory.path().join("staged.db"));
    for path in [&live, &staged] {
        let connection = Connection::open(path).unwrap();
        connection.execute_batch(&format!("{old} {before_plan}")).unwrap();
    }
    let values = Values {
        run_clock: "2026-01-01T00:00:00Z".parse().unwrap(),
        zone: AssumedZone::default(),
        inputs: Default::default(),
        settings: Default::default(),
    };
    let definition = definition();
    let mut working = open_working(&staged, Mode::Staged).unwrap();
    let connection = &mut working.connection;
    let mut steps = step_states(connection, &definition, &member()).unwrap();
    steps.extend(backfill::step_states(connection, &definition, &member()).unwrap());
    let plan = plan(&live, &values, steps);
    connection.execute_batch("BEGIN").unwrap();
    tracking::create(connection).unwrap();
    tracking::record_start(connection, DIGEST).unwrap();
    connection.execute_batch("COMMIT").unwrap();
    let (stop, set) = (StopToken::new(), SetFacts::default());
    apply(connection, &definition, &member(), &plan.members[0].steps, &stop).unwrap();
    backfill::run(connection, &definition, &member(), &set, &values, &Limits::new(stop), &mut |_| {}).unwrap();
    working.finish().unwrap();
    let hooks = Hooks::new(Vec::new(), "", Duration::ZERO);
    Set { directory, definition, values, plan, hooks }
}

fn plan(live: &std::path::Path, values: &Values, steps: Vec<PlannedStep>) -> Plan {
    let snapshot = Snapshot::take(live, &StopToken::new()).unwrap();
    register(snapshot.connection(), values).unwrap();
    let added = [("old".to_owned(), "state".to_owned())];
    let baseline = Baseline::take(snapshot.connection()).unwrap();
    let mut plan = test_plan::plan();
    plan.definition_sha256 = "definition".into();
    let planned = &mut plan.members[0];
    planned.member = Member { path: live.into(), ..member() };
    planned.baseline = baseline.without_columns(snapshot.connection(), &added).unwrap();
    planned.steps = steps;
    planned.predictions = vec![Prediction { step: "copy".into(), rows: 40 }];
    plan
}

impl Set {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn verify(&self) -> Verification {
        let (staged, live) = (self.path("staged.db"), self.path("live.db"));
        let stop = StopToken::new();
        verify(&Subject {
            plan: &self.plan,
            plan_digest: DIGEST,
            definition: &self.definition,
            values: &self.values,
            working: &|_| staged.clone(),
            backup: &|_| live.clone(),
            backups: &|| {
                let (name, figure) = ("backups".to_owned(), String::new());
                Ok(CheckResult { name, passed: true, figure, detail: Vec::new() })
            },
            hooks: &self.hooks,
            control: &Control { stop: &stop, observer: &Silent },
        })
        .unwrap()
    }

    fn with(self, sql: &str) -> Self {
        let connection = Connection::open(self.path("staged.db")).unwrap();
        connection.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        connection.execute_batch(sql).unwrap();
        drop(connection);
        self
    }
}

fn failed(found: &Verification) -> Vec<(&str, &str)> {
    let failed = found.checks.iter().filter(|check| !check.passed);
    failed.flat_map(|check| check.detail.iter().map(move |line| (check.name.as_str(), line.as_str()))).collect()
}

fn figure<'a>(found: &'a [CheckResult], name: &str) -> &'a str {
    &found.iter().find(|check| check.name == name).unwrap().figure
}

#[test]
fn a_good_upgrade_passes_all_checks_and_leaves_no_side_file() {
    let set = upgraded(OLD, "");
    let before = std::fs::read(set.path("staged.db")).unwrap();
    let found = set.verify();
    assert!(found.passed, "{found:?}");
    assert!(found.failure("x").is_none());
    let names: Vec<_> = found.checks.iter().map(|check| check.name.as_str()).collect();
    let all = [
        "backups",
        "plan",
        "schema",
        "old data",
        "rebuilds",
        "new data",
        "records",
        "integrity",
        "boundary",
        "speed",
        "operation",
    ];
    assert_eq!(names, all);
    assert_eq!((found.criteria.len(), found.criteria.iter().all(|criterion| criterion.passed)), (5, true));
    assert_eq!(figure(&found.checks, "schema"), "1 tables, 1 indexes, 1 columns in 1 databases");
    assert_eq!(figure(&found.checks, "old data"), "52 rows of 2 old tables are as they were");
    assert_eq!(figure(&found.checks, "new data"), "40 rows written as predicted, 2 expectations met");
    assert_eq!(figure(&found.checks, "records"), "2 steps recorded in 1 databases");
    let integrity = "before: 1 rows violate keys, 0 of 1 full-text indexes are stale; nothing is worse now";
    assert_eq!(figure(&found.checks, "integrity"), integrity);
    assert!(figure(&found.checks, "speed").starts_with("search: p95 "));
    assert_eq!(std::fs::read_dir(set.directory.path()).unwrap().count(), 2);
    assert!(std::fs::read(set.path("staged.db")).unwrap() == before);
}

#[test]
fn each_damage_fails_the_check_that_is_about_it() {
    for (damage, check, what) in [
        ("DROP INDEX idx_new", "schema", "a.db: create index idx_new"),
        (
            "DROP INDEX idx_new; CREATE INDEX idx_new ON new (id)",
            "schema",
            "a.db: create index idx_new as idx_new_2: the name is taken",
        ),
        ("CREATE TABLE stray (a)", "schema", "a.db: table stray was not planned"),
        ("UPDATE old SET name = 'x' WHERE id = 50", "old data", "a.db: rows of table old have changed"),
        ("INSERT INTO child VALUES (NULL)", "old data", "a.db: table child has 3 rows, not 2"),
        ("DELETE FROM new WHERE id = 1", "new data", "a.db: rows are there: 39, at least 40 expected"),
        ("INSERT INTO new (old_id) VALUES (900)", "new data", "a.db: rows are there: 41, at most 40 expected"),
        ("UPDATE haul_progress SET rows = 39", "new data", "a.db: copy: 40 rows were predicted, 39 were written"),
        ("DELETE FROM migrations WHERE name = '001'", "records", "a.db: step 001 has no row of success in migrations"),
        (
            "DELETE FROM haul_steps WHERE name = 'copy'",
            "records",
            "a.db: step copy is not in haul_steps with its checksum",
        ),
        (
            "DELETE FROM migrations WHERE name = 'MIGRATION_START'",
            "records",
            "a.db: MIGRATION_START with the digest of the plan is not in migrations",
        ),
        ("UPDATE haul_steps SET checksum = 'x'", "plan", "a.db: step 001 was applied with other scripts"),
        (
            "DELETE FROM found WHERE rowid = 7",
            "integrity",
            "a.db: full-text index found: database disk image is malformed",
        ),
    ] {
        let found = upgraded(OLD, "").with(damage).verify();
        assert!(failed(&found).contains(&(check, what)), "{damage}: {:?}", failed(&found));
        assert!(!found.passed && found.criteria.iter().any(|criterion| !criterion.passed));
        let error = found.failure("run `haul upgrade rollback`").unwrap();
        assert_eq!(error.exit_code(), 65);
        assert_eq!(error.next_step().unwrap(), "run `haul upgrade rollback`");
    }
}

#[test]
fn what_was_damaged_before_is_no_failure() {
    let stale = "DELETE FROM found WHERE rowid = 7; CREATE TABLE wrong (a REFERENCES old(absent)); INSERT INTO wrong VALUES (1);";
    let found = upgraded(OLD, stale).verify();
    assert!(found.passed, "{:?}", failed(&found));
    let integrity = found.checks.iter().find(|check| check.name == "integrity").unwrap();
    let new_data = found.checks.iter().find(|check| check.name == "new data").unwrap();
    assert!(new_data.detail.contains(&"a.db: stale indexes: 1".to_owned()), "{new_data:?}");
    assert!(integrity.detail.iter().any(|line| line.contains("found disagrees with its table, as before")));
    assert!(integrity.detail.iter().any(|line| line.contains("foreign key mismatch")));
}

#[test]
fn what_an_earlier_attempt_has_left_may_grow() {
    let half = "ALTER TABLE old ADD COLUMN state TEXT DEFAULT 'open'; \
                CREATE TABLE new (id INTEGER PRIMARY KEY, old_id INTEGER NOT NULL UNIQUE, name TEXT); \
                CREATE TABLE migrations (id INTEGER PRIMARY KEY, name, applied_at, checksum, success, error_message); \
                INSERT INTO migrations (name, success) VALUES ('old', 0);";
    let set = upgraded(OLD, half).with("UPDATE old SET state = 'done'");
    let found = set.verify();
    assert!(found.passed, "{:?}", failed(&found));
    let found = set.with("DELETE FROM migrations WHERE name <> 'MIGRATION_START'").verify();
    assert!(!failed(&found).iter().any(|(check, _)| *check == "old data"), "{:?}", failed(&found));
}

#[test]
fn a_slow_query_an_open_door_and_another_plan_fail() {
    let mut set = upgraded(OLD, "");
    set.definition.queries[0].p95_ms = 0;
    set.plan.definition_sha256 = "other".into();
    set.hooks = Hooks::new(vec!["denied=true".parse().unwrap()], "", Duration::ZERO);
    let found = set.verify();
    let names: Vec<_> = found.checks.iter().filter(|check| !check.passed).map(|check| check.name.as_str()).collect();
    assert_eq!(names, ["plan", "boundary", "speed"]);
    set.definition.queries[0].p95_ms = 60_000;
    set.plan.definition_sha256 = "definition".into();
    set.hooks = Hooks::new(vec!["denied=false".parse().unwrap()], "", Duration::ZERO);
    let found = set.verify();
    assert_eq!(figure(&found.checks, "boundary"), "1 commands denied");
    assert!(found.passed);
}

#[test]
fn other_encodings_small_pages_and_a_log_make_no_difference() {
    for pragma in ["encoding = 'UTF-16le'", "page_size = 1024", "journal_mode = WAL"] {
        let set = upgraded(&format!("PRAGMA {pragma}; {OLD}"), "");
        let found = set.verify();
        assert!(found.passed, "{pragma}: {:?}", failed(&found));
        assert!(!set.path("staged.db-wal").exists() && !set.path("staged.db-shm").exists(), "{pragma}");
    }
}
