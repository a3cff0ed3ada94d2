//! Changes of many rows, page by page: each row once, whatever happens in between.

use std::process::Stdio;
use std::time::Duration;

use crate::support::db::Db;
use crate::support::db_contents::{Engine, on_both};
use crate::support::haul::Done;
use haul::db::runner::{MigrateRequest, RunSummary};
use haul::pipeline::{Control, Event, Observer, StopToken};
use rustix::process::{Pid, Signal, kill_process};

on_both! {
    a_backfill_touches_each_row_once
    a_key_of_several_columns_is_walked_through
    keys_of_every_type_are_walked_through
    a_stopped_backfill_goes_on_behind_its_cursor
    a_page_that_fails_leaves_the_pages_before_it
    statements_before_the_batches_run_once
    several_batches_and_a_down_section_run
    a_query_that_is_no_key_is_refused
    a_file_that_was_changed_half_way_is_refused
    resolve_restarts_or_completes_unfinished_batches
    a_page_over_its_limit_is_rolled_back
    a_rehearsal_runs_the_first_page_and_changes_nothing
    rows_that_a_page_adds_behind_the_cursor_are_taken_once
    an_interrupt_stops_between_two_pages
}

const BACKFILL: &str = "-- Up\nALTER TABLE people ADD COLUMN seen INT DEFAULT 0;\n-- Batch: SELECT id FROM people\n\
                        -- haul: batch-rows=10\nUPDATE people SET seen = seen + 1 WHERE id IN (SELECT id FROM haul_batch);\n\
                        -- Down\nALTER TABLE people DROP COLUMN seen;\n";

/// On each engine, a query that has a row once the table of cursors is there.
const CURSORS_TABLE: [&str; 2] = [
    "SELECT 1 FROM sqlite_schema WHERE name = 'haul_migrations_cursors'",
    "SELECT 1 FROM pg_tables WHERE tablename = 'haul_migrations_cursors'",
];

/// A table `people` with ids from 1 to `count`.
fn people(db: &Db, count: u32) {
    db.write("001_people.sql", "CREATE TABLE people (id BIGINT PRIMARY KEY, name TEXT);");
    db.run("migrate").expect(0);
    let numbers = format!("WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {count})");
    db.execute(&format!("INSERT INTO people {numbers} SELECT n, 'Name ' || n FROM c"));
}

fn cursors(db: &Db) -> Vec<String> {
    db.rows("SELECT version || ' ' || row_count || ' ' || page_count FROM haul_migrations_cursors")
}

/// Runs through the library until `pages` pages were written, then asks for a stop.
fn migrate_until(db: &Db, pages: u64) -> RunSummary {
    struct StopAfter(StopToken, u64, std::sync::atomic::AtomicU64);
    impl Observer for StopAfter {
        fn observe(&self, event: &Event) {
            if matches!(event, Event::Progressed { records, .. } if *records > 1)
                && self.2.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1 == self.1
            {
                self.0.request();
            }
        }
    }
    let mut runner = db.runner();
    let stop = StopToken::new();
    let observer = StopAfter(stop.clone(), pages, 0.into());
    runner.migrate(&MigrateRequest::default(), &Control { stop: &stop, observer: &observer }).unwrap()
}

fn a_backfill_touches_each_row_once(db: &Db) {
    people(db, 95);
    db.write("002_seen.sql", BACKFILL);
    let end = db.json("migrate --rate-limit 1000000", 0);
    assert_eq!((&end["details"][0]["pages"]["rows"], &end["details"][0]["pages"]["pages"]), (&95.into(), &10.into()));
    assert_eq!(db.rows("SELECT seen, count(*) FROM people GROUP BY seen"), ["1|95"]);
    assert_eq!((cursors(db), db.applied().len()), (vec![], 2));
    assert_eq!(db.outcomes().last().unwrap(), "002_seen applied");
    assert_eq!(db.json("migrate", 0)["applied"], 0);
}

fn a_key_of_several_columns_is_walked_through(db: &Db) {
    db.write(
        "001_t.sql",
        "CREATE TABLE t (a TEXT, b BIGINT, done INT DEFAULT 0, PRIMARY KEY (b, a));
         WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n < 99)
         INSERT INTO t (a, b) SELECT 'it''s \\ ' || (n % 7), n / 7 FROM c;",
    );
    db.write(
        "002_done.sql",
        "-- haul: batch-rows=9\n-- Up\n-- Batch: SELECT b, a FROM t WHERE done = 0 -- what is left\nUPDATE t SET done = done + 1 \
         WHERE EXISTS (SELECT 1 FROM haul_batch k WHERE k.a = t.a AND k.b = t.b);",
    );
    assert_eq!(db.json("migrate", 0)["details"][1]["pages"]["rows"], 100);
    assert_eq!(db.rows("SELECT done, count(*) FROM t GROUP BY done"), ["1|100"]);
}

fn keys_of_every_type_are_walked_through(db: &Db) {
    let kinds: &[(&str, &str)] = match db.engine() {
        Engine::Sqlite => {
            &[("BLOB", "randomblob(16)"), ("REAL", "n / 7.0"), ("TEXT COLLATE NOCASE", "'k' || n"), ("", "n")]
        }
        Engine::Postgres => &[
            ("uuid", "md5(n::text)::uuid"),
            ("double precision", "n / 7.0::float8"),
            ("timestamptz", "now() + n * interval '1 us'"),
            ("bytea", "decode(md5(n::text), 'hex')"),
            ("varchar(9)", "'\\k''' || n"),
            ("numeric(10,3)", "n / 7.0"),
        ],
    };
    for (index, (kind, value)) in kinds.iter().enumerate() {
        db.write(
            &format!("{}_a.sql", 2 * index + 1),
            &format!(
                "CREATE TABLE t{index} (\"the key\" {kind} PRIMARY KEY, done INT DEFAULT 0);
                 WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 50)
                 INSERT INTO t{index} (\"the key\") SELECT {value} FROM c;"
            ),
        );
        db.write(
            &format!("{}_b.sql", 2 * index + 2),
            &format!(
                "-- haul: batch-rows=7\n-- Up\n-- Batch: SELECT \"the key\" FROM t{index}\nUPDATE t{index} SET done = done + 1 WHERE \"the key\" IN (SELECT \"the key\" FROM haul_batch);"
            ),
        );
    }
    db.run("migrate").expect(0);
    for (index, kind) in kinds.iter().enumerate() {
        assert_eq!(db.rows(&format!("SELECT done, count(*) FROM t{index} GROUP BY done")), ["1|50"], "{kind:?}");
    }
}

fn a_stopped_backfill_goes_on_behind_its_cursor(db: &Db) {
    people(db, 95);
    db.write("002_seen.sql", BACKFILL).write("003_more.sql", "CREATE TABLE more (a INT);");
    let end = migrate_until(db, 3);
    assert!(end.stopped && end.failure.is_none());
    assert_eq!((end.applied, end.pending), (0, vec!["002_seen".to_owned(), "003_more".to_owned()]));
    assert_eq!(db.rows("SELECT seen, count(*) FROM people GROUP BY seen ORDER BY seen"), ["0|65", "1|30"]);
    assert_eq!(cursors(db), ["2 30 3"]);
    assert_eq!(db.outcomes().last().unwrap(), "002_seen stopped");
    let pending = &db.json("status", 0)["pending"][0];
    assert_eq!(pending["earlier_attempt"], "batch 1 is under way, 30 rows are done; the next run continues there");
    // Rows behind the cursor are taken, rows before it are not looked for.
    db.execute("INSERT INTO people (id, name) VALUES (1000, 'late'), (-1, 'early')");
    assert_eq!(db.json("migrate", 0)["details"][0]["pages"]["rows"], 66);
    assert_eq!(db.rows("SELECT id FROM people WHERE seen <> 1"), ["-1"]);
    assert_eq!(db.applied(), ["001_people", "002_seen", "003_more"]);
}

fn a_page_that_fails_leaves_the_pages_before_it(db: &Db) {
    people(db, 50);
    let check = "-- Up\nCREATE TABLE seen (id BIGINT CHECK (id <> 25));\n-- Batch: SELECT id FROM people\n-- haul: batch-rows=10\nINSERT INTO seen SELECT id FROM haul_batch;";
    db.write("002_seen.sql", check);
    let end = db.json("migrate", 1);
    assert_eq!((&end["failure"]["kept"], &end["failure"]["line"]), (&"pages_before".into(), &5.into()));
    assert_eq!(db.rows("SELECT count(*) FROM seen"), ["20"]);
    db.execute("UPDATE people SET id = 1025 WHERE id = 25");
    db.run("migrate").expect(0);
    assert_eq!(db.rows("SELECT count(*), count(DISTINCT id) FROM seen"), ["50|50"]);
}

fn statements_before_the_batches_run_once(db: &Db) {
    people(db, 20);
    let bad = BACKFILL.replace("SELECT id FROM people\n", "SELECT id FROM elsewhere\n");
    db.write("002_seen.sql", &bad);
    let end = db.json("migrate", 1);
    let error = end["failure"]["error"].as_str().unwrap();
    assert!(error.contains("the batch on line 3") && error.contains("elsewhere"), "{error}");
    assert_eq!(end["failure"]["kept"], "pages_before");
    // The column is there, and the next run does not add it again.
    assert_eq!(db.rows("SELECT count(seen) FROM people"), ["20"]);
    db.write("002_seen.sql", BACKFILL);
    assert!(db.run("migrate").expect(65).stderr.contains("changed while its batches were unfinished"));
    db.write("002_seen.sql", &bad).execute("CREATE TABLE elsewhere (id BIGINT PRIMARY KEY)");
    db.run("migrate").expect(0);
}

fn several_batches_and_a_down_section_run(db: &Db) {
    people(db, 30);
    db.write(
        "002_two.sql",
        "-- haul: batch-rows=7\n-- Up\nCREATE TABLE a (id BIGINT);\n-- Batch: SELECT id FROM people\nINSERT INTO a SELECT id FROM \
         haul_batch;\n-- Batch: SELECT id FROM people WHERE id > 10\nINSERT INTO a SELECT -id FROM haul_batch;\nUPDATE people \
         SET name = 'x' WHERE id IN (SELECT id FROM haul_batch);\n-- Down\nUPDATE people SET name = 'y';\n-- Batch: SELECT id \
         FROM a WHERE id > 0\nDELETE FROM a WHERE id IN (SELECT id FROM haul_batch);\n",
    );
    assert_eq!(db.json("migrate", 0)["details"][0]["pages"]["rows"], 50);
    assert_eq!(db.rows("SELECT count(*), sum(id) FROM a"), ["50|55"]);
    assert_eq!(db.rows("SELECT count(*) FROM people WHERE name = 'x'"), ["20"]);
    let back = db.json("rollback --steps 1 --yes", 0);
    assert_eq!((&back["applied"], &back["details"][0]["pages"]["rows"]), (&1.into(), &30.into()));
    assert_eq!(db.rows("SELECT count(*) FROM a"), ["20"]);
    assert_eq!((db.applied(), cursors(db)), (vec!["001_people".to_owned()], vec![]));
}

fn a_query_that_is_no_key_is_refused(db: &Db) {
    people(db, 30);
    db.execute("CREATE TABLE t (a INT, b TEXT); INSERT INTO t SELECT 1, name FROM people");
    let batch = |query: &str| {
        format!("-- Up\n-- haul: batch-rows=9\n-- Batch: {query}\nDELETE FROM t WHERE a IN (SELECT 1 FROM haul_batch);")
    };
    db.write("002_t.sql", &batch("SELECT a FROM t"));
    let told = db.run("migrate").expect(1).stderr;
    assert!(told.contains("the keys of the batch are not unique") && told.contains("primary key"), "{told}");
    db.execute("UPDATE t SET b = NULL WHERE b = 'Name 20'");
    db.write("002_t.sql", &batch("SELECT b FROM t"));
    assert!(db.run("migrate").expect(1).stderr.contains("a key of the batch is NULL"));
    assert_eq!(db.rows("SELECT count(*) FROM t"), ["30"]);
}

fn a_file_that_was_changed_half_way_is_refused(db: &Db) {
    people(db, 50);
    db.write("002_seen.sql", BACKFILL);
    migrate_until(db, 2);
    db.write("002_seen.sql", &BACKFILL.replace("seen + 1", "seen + 2"));
    let told = db.run("migrate").expect(65).stderr;
    assert!(
        told.contains("changed while its batches were unfinished, after 20 rows") && told.contains("resolve"),
        "{told}"
    );
    // Another page size is no change of what is done.
    db.write("002_seen.sql", &BACKFILL.replace("batch-rows=10", "batch-rows=30"));
    db.run("migrate").expect(0);
    assert_eq!(db.rows("SELECT seen, count(*) FROM people GROUP BY seen"), ["1|50"]);
}

fn resolve_restarts_or_completes_unfinished_batches(db: &Db) {
    people(db, 50);
    db.write("002_seen.sql", BACKFILL);
    migrate_until(db, 2);
    db.run("resolve --version 2 --from-statement 2").expect(2);
    db.run("resolve --version 2 --not-begun --yes").expect(0);
    assert_eq!(cursors(db), [""; 0]);
    // It starts over, and finds the column that is already there.
    assert!(db.run("migrate").expect(1).stderr.contains("seen"));
    db.execute("ALTER TABLE people DROP COLUMN seen");
    migrate_until(db, 2);
    db.run("resolve --version 2 --yes").expect(0);
    assert_eq!((db.applied().len(), cursors(db)), (2, vec![]));
    assert_eq!(db.json("migrate", 0)["applied"], 0);
}

fn a_page_over_its_limit_is_rolled_back(db: &Db) {
    people(db, 30);
    let endless = match db.engine() {
        Engine::Sqlite => {
            "INSERT INTO seen WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c WHERE (SELECT min(id) FROM haul_batch) > 10"
        }
        Engine::Postgres => "INSERT INTO seen SELECT 1 FROM pg_sleep((SELECT 600 FROM haul_batch WHERE id = 20))",
    };
    let endless = match db.engine() {
        Engine::Sqlite => format!("{endless} AND n > 0"),
        Engine::Postgres => endless.into(),
    };
    db.write(
        "002_seen.sql",
        &format!(
            "-- haul: timeout=700ms, batch-rows=10\n-- Up\nCREATE TABLE seen (id BIGINT);\n-- Batch: SELECT id FROM people\nINSERT INTO seen SELECT id FROM haul_batch;\n{endless};"
        ),
    );
    let end = db.json("migrate", 1);
    assert!(end["failure"]["error"].as_str().unwrap().contains("cancelled at the time limit of 700 ms"), "{end}");
    assert_eq!((&end["failure"]["line"], &end["failure"]["kept"]), (&6.into(), &"pages_before".into()));
}

fn a_rehearsal_runs_the_first_page_and_changes_nothing(db: &Db) {
    people(db, 50);
    db.write("002_seen.sql", BACKFILL);
    let before = db.everything();
    let rehearsal = db.json("migrate --dry-run=execute", 0);
    assert_eq!(rehearsal["first_pages_only"], serde_json::json!(["002_seen"]));
    assert_eq!(rehearsal["rehearsal"]["details"][0]["pages"]["rows"], 10);
    assert!(db.everything() == before);
    db.write("002_seen.sql", &BACKFILL.replace("seen + 1", "seen + one"));
    db.run("migrate --dry-run=execute").expect(1);
    assert!(db.everything() == before);
}

fn rows_that_a_page_adds_behind_the_cursor_are_taken_once(db: &Db) {
    people(db, 20);
    db.write(
        "002_copy.sql",
        "-- haul: batch-rows=6\n-- Up\n-- Batch: SELECT id FROM people WHERE id < 100\nINSERT INTO people SELECT id + 20, 'copy' FROM \
         haul_batch WHERE id <= 20;",
    );
    assert_eq!(db.json("migrate", 0)["details"][0]["pages"]["rows"], 40);
    assert_eq!(db.rows("SELECT count(*) FROM people"), ["40"]);
}

fn an_interrupt_stops_between_two_pages(db: &Db) {
    people(db, 3000);
    db.write("002_seen.sql", BACKFILL);
    // A page every 100 ms: far from done when its first page is seen.
    let arguments = "migrate --rate-limit 100 --json --progress events";
    let command = &mut db.command(arguments);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("haul runs");
    // The cursor is there before the first page, without one.
    let has_page = || cursors(db).iter().any(|cursor| !cursor.ends_with(" 0"));
    while db.rows(CURSORS_TABLE[db.engine() as usize]).is_empty() || !has_page() {
        std::thread::sleep(Duration::from_millis(10));
    }
    kill_process(Pid::from_child(&child), Signal::INT).expect("a signal");
    let done = Done::of(child.wait_with_output().expect("it ends")).expect(75);
    let rows = done.json()["details"][0]["pages"]["rows"].as_u64().expect("rows");
    assert_eq!(done.json()["stopped"], true);
    assert_eq!(done.stderr.matches(r#""event":"progressed""#).count() as u64, rows / 10, "{}", done.stderr);
    assert!(rows < 3000 && done.stderr.contains("next: run again: "), "{}", done.stderr);
    assert_eq!(db.rows("SELECT seen, count(*) FROM people WHERE seen > 0 GROUP BY seen"), [format!("1|{rows}")]);
    assert_eq!(db.json("migrate", 0)["details"][0]["pages"]["rows"], 3000 - rows);
    assert_eq!(db.rows("SELECT seen, count(*) FROM people GROUP BY seen"), ["1|3000"]);
}
