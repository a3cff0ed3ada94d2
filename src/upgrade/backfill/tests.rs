//! Backfills of real databases.
#![allow(clippy::disallowed_methods, reason = "tests lay out files")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::Connection;

use super::{
    BackfillDone, BatchDone, FileFacts, Limits, MeasureValue, SetFacts, measure, open_working, run, step_states,
};
use crate::migration::Error;
use crate::pipeline::StopToken;
use crate::upgrade::definition::{Definition, Measure, ShapeSql};
use crate::upgrade::plan::{Mode, StepState};
use crate::upgrade::schema::test_definition::{backfill, definition, member, sql};
use crate::upgrade::values::{AssumedZone, Values};

const ROWS: i64 = 2_500;
const ROWS_QUERY: &str = "SELECT id, name, haul_setting('factor') * id AS number FROM old ORDER BY id DESC";
const WRITE: &str = "INSERT INTO new (old_id, name, number, at) SELECT id, name, number, haul_now() FROM temp.haul_rows AS r \
                     WHERE n > ?1 AND n <= ?2 AND NOT EXISTS (SELECT 1 FROM new WHERE old_id = r.id)";

fn fill(connection: &Connection) {
    let old = format!(
        "PRAGMA foreign_keys = OFF; CREATE TABLE old (id INTEGER PRIMARY KEY, name TEXT); \
         CREATE TABLE new (id INTEGER PRIMARY KEY, old_id UNIQUE, name, number, at); \
         CREATE TABLE child (a REFERENCES old(id)); \
         WITH RECURSIVE k (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k WHERE i < {ROWS}) \
         INSERT INTO old SELECT i, 'name ' || i FROM k;"
    );
    connection.execute_batch(&old).unwrap();
}

fn database() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    fill(&connection);
    connection
}

fn values() -> Values {
    Values {
        run_clock: "2026-01-01T00:00:00Z".parse().unwrap(),
        zone: AssumedZone::default(),
        inputs: Default::default(),
        settings: [("factor".to_owned(), 2.0)].into(),
    }
}

fn one_backfill() -> Definition {
    Definition { backfills: vec![backfill("copy", ROWS_QUERY, WRITE)], ..definition() }
}

fn limits() -> Limits {
    Limits::new(StopToken::new())
}

fn fill_with(
    connection: &Connection,
    definition: &Definition,
    limits: &Limits,
    on_batch: &mut dyn FnMut(&BatchDone<'_>),
) -> Result<Vec<BackfillDone>, Error> {
    run(connection, definition, &member(), &SetFacts::default(), &values(), limits, on_batch)
}

fn text(connection: &Connection, sql: &str) -> String {
    connection.query_row(sql, [], |row| row.get::<_, Option<String>>(0)).unwrap().unwrap_or_default()
}

fn new_rows(connection: &Connection) -> String {
    let sql = "SELECT count(*) || ' ' || min(number) || ' ' || max(number) || ' ' || max(at) || ' ' || \
               sum(id = 2501 - old_id) FROM new";
    text(connection, sql)
}

const ALL_ROWS: &str = "2500 2.0 5000.0 2026-01-01 00:00:00 2500";

#[test]
fn rows_are_written_in_batches_and_a_second_run_writes_none() {
    let (connection, definition) = (database(), one_backfill());
    let mut batches = Vec::new();
    let done = fill_with(&connection, &definition, &limits(), &mut |batch| {
        batches.push((batch.rows_done, batch.rows_total, batch.rows_written));
    })
    .unwrap();
    assert_eq!(batches, [(1000, 2500, 1000), (2000, 2500, 1000), (2500, 2500, 500)]);
    assert_eq!((done[0].rows_read, done[0].rows_written, done[0].batches, done[0].is_new), (2500, 2500, 3, true));
    assert_eq!(new_rows(&connection), ALL_ROWS);
    assert_eq!(text(&connection, "SELECT group_concat(name || success) FROM migrations"), "copy1");
    assert_eq!(text(&connection, "SELECT step || ' ' || cursor || ' ' || rows FROM haul_progress"), "copy 2500 2500");
    assert_eq!(step_states(&connection, &definition, &member()).unwrap()[0].state, StepState::Applied);
    let again = fill_with(&connection, &definition, &limits(), &mut |_| panic!("nothing is to be written")).unwrap();
    assert_eq!((again[0].is_new, again[0].rows_written, again[0].batches), (false, 2500, 0));
    // Also if nothing is known of the first run.
    connection.execute_batch("DROP TABLE haul_steps; DROP TABLE haul_progress").unwrap();
    let again = fill_with(&connection, &definition, &limits(), &mut |_| {}).unwrap();
    assert!(again[0].is_new && again[0].rows_written == 0, "{again:?}");
    assert_eq!(new_rows(&connection), ALL_ROWS);
}

#[test]
fn no_transaction_writes_more_rows_than_the_limit() {
    let mut connection = database();
    let (rows, most) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let counted = rows.clone();
    let on_update = move |_, _: &str, table: &str, _: i64| {
        counted.fetch_add(u64::from(table == "new"), Ordering::Relaxed);
    };
    connection.update_hook(Some(on_update)).unwrap();
    let (counted, seen) = (rows.clone(), most.clone());
    connection
        .commit_hook(Some(move || {
            seen.fetch_max(counted.swap(0, Ordering::Relaxed), Ordering::Relaxed);
            false
        }))
        .unwrap();
    fill_with(&connection, &one_backfill(), &limits(), &mut |_| {}).unwrap();
    assert_eq!(most.load(Ordering::Relaxed), 1000);
    let many = "INSERT INTO new (old_id) SELECT r.id + 10000 * k FROM temp.haul_rows AS r, \
                (SELECT 1 AS k UNION SELECT 2) WHERE n > ?1 AND n <= ?2";
    let definition = Definition { backfills: vec![backfill("many", ROWS_QUERY, many)], ..definition() };
    let error = fill_with(&connection, &definition, &limits(), &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("it wrote 2000 rows, more than a transaction may"), "{error}");
    assert_eq!(new_rows(&connection), ALL_ROWS);
}

#[test]
fn a_backfill_that_was_killed_between_batches_continues_with_the_same_rows() {
    for mode in [Mode::Staged, Mode::InPlace] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.db");
        fill(&Connection::open(&path).unwrap());
        let working = open_working(&path, mode).unwrap();
        let stop = StopToken::new();
        let limits_with_stop = Limits::new(stop.clone());
        let result = fill_with(&working.connection, &one_backfill(), &limits_with_stop, &mut |_| stop.request());
        assert!(matches!(result, Err(Error::Stopped { .. })));
        // What a killed process leaves: the files as they are, and nothing of the connection.
        let copy = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(directory.path()).unwrap() {
            let from = entry.unwrap().path();
            std::fs::copy(&from, copy.path().join(from.file_name().unwrap())).unwrap();
        }
        let resumed = open_working(&copy.path().join("a.db"), mode).unwrap();
        assert_eq!(text(&resumed.connection, "SELECT cursor || ' ' || rows FROM haul_progress"), "1000 1000");
        let mut batches = 0;
        let done = fill_with(&resumed.connection, &one_backfill(), &limits(), &mut |_| batches += 1).unwrap();
        assert_eq!((batches, done[0].rows_written), (2, 2500));
        assert_eq!(new_rows(&resumed.connection), ALL_ROWS);
        resumed.finish().unwrap();
        assert_eq!(std::fs::read_dir(copy.path()).unwrap().count(), 1);
    }
}

#[test]
fn a_failing_batch_is_rolled_back_and_the_cursor_stays() {
    let connection = database();
    connection.execute_batch("UPDATE old SET name = NULL WHERE id = 1").unwrap();
    let write = WRITE.replace("SELECT id, name,", "SELECT id, iif(name IS NULL, abs(-9223372036854775808), name),");
    let definition = Definition { backfills: vec![backfill("copy", ROWS_QUERY, &write)], ..definition() };
    let error = fill_with(&connection, &definition, &limits(), &mut |_| {}).unwrap_err();
    assert!(
        error.to_string().contains("a.db: backfill: backfill copy: rows 2001 to 2500: integer overflow"),
        "{error}"
    );
    assert_eq!(text(&connection, "SELECT cursor || ' ' || rows FROM haul_progress"), "2000 2000");
    assert_eq!(text(&connection, "SELECT '' || count(*) FROM new"), "2000");
    assert!(connection.is_autocommit());
    connection.execute_batch("UPDATE old SET name = 'x' WHERE id = 1").unwrap();
    fill_with(&connection, &definition, &limits(), &mut |_| {}).unwrap();
    assert_eq!(new_rows(&connection), ALL_ROWS);
}

#[test]
fn a_slow_batch_is_kept_and_stops_the_phase() {
    let connection = database();
    let slow = Limits { batch_time: Duration::ZERO, ..limits() };
    let error = fill_with(&connection, &one_backfill(), &slow, &mut |_| {}).unwrap_err();
    assert_eq!(error.exit_code(), 75);
    assert!(error.to_string().contains("a batch of 1000 rows took"), "{error}");
    assert!(error.next_step().unwrap().contains("haul upgrade backfill"));
    assert_eq!(text(&connection, "SELECT cursor || '' FROM haul_progress"), "1000");
}

#[test]
fn statements_that_do_not_fit_are_refused() {
    let twice = "INSERT INTO new (name) SELECT name FROM temp.haul_rows WHERE n > ?1 AND n <= ?2";
    let child = "INSERT INTO child SELECT id + 90000 FROM temp.haul_rows AS r WHERE n > ?1 AND n <= ?2 \
                 AND NOT EXISTS (SELECT 1 FROM child WHERE a = r.id + 90000)";
    for (rows, write, code, what) in [
        (ROWS_QUERY, twice, 65, "a second pass would write 1000 rows again"),
        (ROWS_QUERY, child, 65, "foreign keys are violated more than before: 2500 rows, child -> old"),
        ("SELECT gone FROM old", WRITE, 2, "its rows: no such column"),
        (ROWS_QUERY, "INSERT INTO absent SELECT 1 WHERE ?1 < ?2", 2, "no such table: absent"),
    ] {
        let connection = database();
        let definition = Definition { backfills: vec![backfill("x", rows, write)], ..definition() };
        let error = fill_with(&connection, &definition, &limits(), &mut |_| {}).unwrap_err();
        assert_eq!(error.exit_code(), code, "{error}");
        assert!(error.to_string().contains(what), "{error}");
        assert!(connection.is_autocommit());
    }
    let connection = database();
    fill_with(&connection, &one_backfill(), &limits(), &mut |_| {}).unwrap();
    let changed = Definition { backfills: vec![backfill("copy", ROWS_QUERY, &format!("{WRITE} "))], ..definition() };
    let error = fill_with(&connection, &changed, &limits(), &mut |_| {}).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert_eq!(step_states(&connection, &changed, &member()).unwrap()[0].state, StepState::Drifted);
}

#[test]
fn backfills_see_the_whole_set_and_what_was_measured() {
    let count = Measure {
        name: "count".into(),
        tier: "t".into(),
        selects: vec![sql("SELECT count(*) FROM old"), ShapeSql { shapes: vec!["other".into()], ..sql("SELECT 0") }],
    };
    let rows = "SELECT 1 AS id, (SELECT value || typeof(value) FROM temp.haul_measures WHERE name = 'count') AS name, \
                (SELECT sum(free_pages) FROM temp.haul_files WHERE integrity_ok) AS number";
    let definition =
        Definition { measures: vec![count], backfills: vec![backfill("report", rows, WRITE)], ..definition() };
    let connection = database();
    let measures = measure(&connection, &definition, &member(), &values()).unwrap();
    let expected = MeasureValue { file: "a.db".into(), tier: "t".into(), name: "count".into(), value: Some(2500.0) };
    assert_eq!(measures, [expected]);
    let file = |free_pages, integrity_ok| FileFacts {
        file: "a.db".into(),
        tier: "t".into(),
        shape: "s".into(),
        is_primary: true,
        pages: 10,
        free_pages,
        integrity_ok,
        foreign_key_findings: 0,
        fts_inconsistent: 0,
    };
    let set = SetFacts { files: vec![file(3, true), file(4, true), file(5, false)], measures };
    run(&connection, &definition, &member(), &set, &values(), &limits(), &mut |_| {}).unwrap();
    assert_eq!(text(&connection, "SELECT name || ' ' || number FROM new"), "2500integer 7");
}

#[test]
fn other_encodings_and_small_pages_make_no_difference() {
    for pragma in ["encoding = 'UTF-16le'", "encoding = 'UTF-16be'", "page_size = 1024"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.db");
        let made = Connection::open(&path).unwrap();
        made.execute_batch(&format!("PRAGMA {pragma}")).unwrap();
        fill(&made);
        drop(made);
        let working = open_working(&path, Mode::Staged).unwrap();
        fill_with(&working.connection, &one_backfill(), &limits(), &mut |_| {}).unwrap();
        assert_eq!(new_rows(&working.connection), ALL_ROWS, "{pragma}");
        working.finish().unwrap();
    }
}
