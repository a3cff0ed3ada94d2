//! The library in an application: embedded files, and tokio.

use std::future::Future;
use std::task::Poll;

use haul::db::runner::MigrateRequest;
use haul::db::{AsyncRunner, Dialect, Migrations, Runner, RunnerOptions};
use haul::pipeline::{Control, Silent, StopToken};

use crate::support::db::Db;
use crate::support::db_contents::{Engine, on_both};

on_both! {
    an_async_runner_applies_and_closes_in_a_task
    a_dropped_call_stops_the_run
    embedded_files_in_folders_are_read_as_on_disk
}

fn migrations(dialect: Dialect, texts: &[(&str, &str)]) -> Migrations {
    Migrations::from_texts(dialect, texts.iter().copied()).unwrap()
}

fn migrate(runner: &mut Runner) {
    let control = Control { stop: &StopToken::new(), observer: &Silent };
    let end = runner.migrate(&MigrateRequest::default(), &control).unwrap();
    assert!(end.failure.is_none(), "{:?}", end.failure);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

fn an_async_runner_applies_and_closes_in_a_task(db: &Db) {
    let target = db.target();
    let migrations = migrations(target.dialect(), &[("1_a.sql", "CREATE TABLE a (a INT);")]);
    runtime().block_on(async {
        let mut runner = AsyncRunner::open(target, migrations, RunnerOptions::default()).await.unwrap();
        assert_eq!(runner.migrate(MigrateRequest::default()).await.unwrap().applied, 1);
        assert_eq!(runner.plan().await.unwrap().applied.len(), 1);
    });
    assert_eq!(db.applied(), ["1_a"]);
}

fn a_dropped_call_stops_the_run(db: &Db) {
    let target = db.target();
    let endless = match db.engine() {
        Engine::Sqlite => {
            "CREATE TABLE b AS WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n FROM c;"
        }
        Engine::Postgres => "CREATE TABLE b AS SELECT 1 FROM pg_sleep(3600);",
    };
    let texts = [("1_a.sql", "CREATE TABLE a (a INT);"), ("2_b.sql", endless)];
    let migrations = migrations(target.dialect(), &texts);
    let begun = "SELECT count(*) FROM haul_migrations_log WHERE version = '2'";
    runtime().block_on(async {
        let options = RunnerOptions { timeout: None, ..RunnerOptions::default() };
        let mut runner = AsyncRunner::open(target, migrations, options).await.unwrap();
        runner.migrate(MigrateRequest { to: Some("1".parse().unwrap()), ..MigrateRequest::default() }).await.unwrap();
        {
            let mut call = std::pin::pin!(runner.migrate(MigrateRequest::default()));
            let begin = std::future::poll_fn(|context| Poll::Ready(call.as_mut().poll(context).is_pending()));
            assert!(begin.await, "it is under way");
            // The work is done by another thread.
            let wait = || while db.rows(begun) == ["0"] {};
            std::thread::scope(|scope| scope.spawn(wait).join()).unwrap();
        }
        let error = runner.plan().await.unwrap_err().to_string();
        assert!(error.contains("was cancelled"), "{error}");
    });
    // The runtime waits for the thread when it is dropped.
    assert_eq!((db.applied(), db.outcomes().pop().unwrap()), (vec!["1_a".to_owned()], "2_b stopped".to_owned()));
}

fn embedded_files_in_folders_are_read_as_on_disk(db: &Db) {
    let target = db.target();
    let texts = [
        ("20260102000000_b/migration.sql", "CREATE TABLE b (a INT);"),
        ("2026-01-03-000000_c/up.sql", "CREATE TABLE c (a INT);"),
        ("2026-01-03-000000_c/down.sql", "DROP TABLE c;"),
        ("more/20260101000000_a.sql", "CREATE TABLE a (a INT);"),
        ("more/notes.txt", "no migration"),
    ];
    let mut runner =
        Runner::new(target.open().unwrap(), migrations(target.dialect(), &texts), RunnerOptions::default()).unwrap();
    migrate(&mut runner);
    assert_eq!(db.applied(), ["20260101000000_a", "20260102000000_b", "20260103000000_c"]);
    let error = Migrations::from_texts(target.dialect(), [("1_a.SQL", "SELECT 1;")]).unwrap_err().to_string();
    assert!(error.starts_with("1_a.SQL: "), "{error}");
}
