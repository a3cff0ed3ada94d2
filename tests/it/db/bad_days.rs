//! Bad days: what comes between a run and its end, and databases and files that are not what they should be; on both
//! engines where both can have them. What the engines themselves refuse is in `engines.rs`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};

use crate::support::db::Db;
use crate::support::db_contents::{Engine, on_both};
use crate::support::haul::Done;
use crate::support::nobody::Nobody;
use crate::support::postgres::OwnServer;

use super::run_as;
use rustix::process::{Pid, Signal, kill_process};

on_both! {
    a_signal_rolls_the_migration_back
    a_signal_stops_a_backfill_between_two_pages
    a_signal_stops_before_a_statement_without_a_transaction
    a_second_signal_ends_at_once
    edited_files_stop_everything
    deleted_files_stop_everything
    renumbered_files_are_missing_and_pending
    a_checkout_with_other_line_ends_is_the_same
    two_versions_alike_stop_before_the_database_is_opened
    a_ledger_of_a_newer_haul_is_left_alone
    a_read_only_database_is_reported
    a_ledger_that_others_lock_is_temporary
    no_password_is_left_anywhere
}

const FIRST: &str = "-- Up\nCREATE TABLE a (a INT);\n-- Down\nDROP TABLE a;\n";
const SECOND: &str = "-- Up\nCREATE TABLE b (a INT);\n-- Down\nDROP TABLE b;\n";

/// A statement that would run for as long as anybody waits.
fn endless(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => {
            "INSERT INTO a WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c;"
        }
        Engine::Postgres => "INSERT INTO a SELECT 1 FROM pg_sleep(3600);",
    }
}

/// A run under way.
fn start(db: &Db, arguments: &str) -> Child {
    let mut command = db.command(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("haul runs")
}

fn signal(run: &Child, signal: Signal) {
    kill_process(Pid::from_child(run), signal).expect("it is there");
}

fn end(run: Child) -> Done {
    Done::of(run.wait_with_output().expect("an end"))
}

/// Waits until the log has a row of this kind about a version, while `run` runs.
fn wait_for(db: &Db, run: &mut Child, version: u32, outcome: &str) {
    let sql = format!("SELECT count(*) FROM haul_migrations_log WHERE version = '{version}' AND outcome = '{outcome}'");
    while db.rows(&sql) == ["0"] {
        assert!(run.try_wait().expect("a status").is_none(), "it runs until it is asked to stop");
    }
}

fn last_outcome(db: &Db) -> String {
    db.outcomes().pop().expect("a row")
}

fn a_signal_rolls_the_migration_back(db: &Db) {
    db.write("1_a.sql", FIRST).run("migrate").expect(0);
    let text = format!("CREATE TABLE b (a INT);\n{}\nCREATE TABLE c (a INT);", endless(db.engine()));
    db.write("2_b.sql", &text).write("3_d.sql", "CREATE TABLE d (a INT);");
    for (attempt, kind) in [Signal::TERM, Signal::INT].into_iter().enumerate() {
        let mut run = start(db, "migrate --timeout 0 --json --progress none");
        while db.rows("SELECT id FROM haul_migrations_log WHERE outcome = 'started'").len() < attempt + 2 {
            assert!(run.try_wait().unwrap().is_none(), "it runs until it is asked to stop");
        }
        signal(&run, kind);
        let done = end(run).expect(75);
        let document = done.json();
        assert_eq!(
            (&document["applied"], &document["failed"], &document["stopped"]),
            (&0.into(), &0.into(), &true.into())
        );
        assert_eq!(document["pending"], serde_json::json!(["2_b", "3_d"]));
        assert!(done.stderr.contains("db migrate --timeout 0 "), "{}", done.stderr);
        assert_eq!((db.tables(), db.applied()), (vec!["a".into()], vec!["1_a".into()]));
        assert_eq!(last_outcome(db), "2_b stopped");
    }
    assert_eq!(db.json("locks", 0)["lock"], serde_json::Value::Null);
    let earlier = &db.json("status", 0)["pending"][0]["earlier_attempt"];
    assert_eq!(earlier, "stopped on request; it was rolled back");
    db.write("2_b.sql", SECOND);
    assert_eq!(db.json("migrate", 0)["applied"], 2);
    assert_eq!(db.tables(), ["a", "b", "d"]);
}

fn a_signal_stops_a_backfill_between_two_pages(db: &Db) {
    const BACKFILL: &str = "-- Batch: SELECT id FROM p\n-- haul: batch-rows=10\n\
                            UPDATE p SET n = n + 1 WHERE id IN (SELECT id FROM haul_batch);\n";
    db.write("1_p.sql", "CREATE TABLE p (id INT PRIMARY KEY, n INT NOT NULL DEFAULT 0);").run("migrate").expect(0);
    db.execute("INSERT INTO p (id) WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 2000) SELECT n FROM c");
    db.write("2_n.sql", BACKFILL);
    let mut run = start(db, "migrate --rate-limit 200");
    while db.rows("SELECT count(*) FROM p WHERE n > 0") == ["0"] {
        assert!(run.try_wait().unwrap().is_none(), "it takes ten seconds");
    }
    signal(&run, Signal::TERM);
    end(run).expect(75);
    let done: u32 = db.rows("SELECT count(*) FROM p WHERE n = 1")[0].parse().unwrap();
    assert!(done > 0 && done < 2000 && done.is_multiple_of(10), "{done}");
    assert_eq!((last_outcome(db), db.applied().len()), ("2_n stopped".into(), 1));
    assert_eq!(db.json("migrate", 0)["details"][0]["pages"]["rows"], 2000 - done);
    assert_eq!(db.rows("SELECT n, count(*) FROM p GROUP BY n"), ["1|2000"]);
}

fn a_signal_stops_before_a_statement_without_a_transaction(db: &Db) {
    db.write("1_a.sql", FIRST).run("migrate").expect(0);
    let slow = match db.engine() {
        Engine::Sqlite => {
            "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 100000) SELECT max(n) FROM c;\n"
        }
        Engine::Postgres => "SELECT pg_sleep(0.02);\n",
    };
    let steps: String = (1..=200).map(|number| format!("{slow}INSERT INTO a VALUES ({number});\n")).collect();
    db.write("2_b.sql", &format!("-- haul: no-transaction\n{steps}"));
    let mut run = start(db, "migrate --timeout 0");
    wait_for(db, &mut run, 2, "running");
    signal(&run, Signal::INT);
    end(run).expect(75);
    assert_eq!((last_outcome(db), db.applied().len()), ("2_b stopped".into(), 1));
    let reached: u32 =
        db.rows("SELECT max(statement) FROM haul_migrations_log WHERE outcome = 'stopped'")[0].parse().unwrap();
    assert_eq!(db.rows("SELECT count(*) FROM a"), [((reached - 1) / 2).to_string()]);
    db.run("migrate --timeout 0").expect(0);
    assert_eq!(db.rows("SELECT count(*), count(DISTINCT a), max(a) FROM a"), ["200|200|200"]);
}

fn a_second_signal_ends_at_once(db: &Db) {
    db.write("1_a.sql", FIRST).run("migrate").expect(0);
    db.write("2_b.sql", &format!("-- haul: no-transaction\n{}", endless(db.engine())));
    let mut run = start(db, "migrate --timeout 0");
    wait_for(db, &mut run, 2, "running");
    // A statement without a transaction is not cancelled, so the first one waits for its end.
    signal(&run, Signal::TERM);
    while run.try_wait().unwrap().is_none() {
        let _ = kill_process(Pid::from_child(&run), Signal::TERM);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(end(run).code, 128 + 15);
    if db.engine() == Engine::Postgres {
        // The server sees that the client is gone when it next has something to say.
        db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'haul%' AND datname = current_database()");
    }
    while !db.json("locks", 0)["lock"].is_null() {}
    let done = db.run("migrate").expect(1);
    assert!(done.stderr.contains("it is not known whether statement 1 of 2_b took effect"), "{}", done.stderr);
    assert!(done.stderr.contains("haul db resolve --version 2"), "{}", done.stderr);
    db.run("resolve --version 2 --not-begun --yes").expect(0);
    db.write("2_b.sql", SECOND).run("migrate").expect(0);
}

/// Every verb that acts refuses, and nothing changes.
fn refused(db: &Db, what: &str) {
    let before = db.everything();
    for verb in ["migrate", "migrate --dry-run", "rollback --steps 1 --yes", "redo --yes", "verify"] {
        let done = db.run(verb).expect(65);
        let texts = done.texts();
        assert!(texts.contains(what), "{verb}: {texts}");
    }
    assert_eq!(db.everything(), before);
}

fn two_applied(db: &Db) {
    db.write("001_a.sql", FIRST).write("002_b.sql", SECOND).run("migrate").expect(0);
    db.write("003_c.sql", "CREATE TABLE c (a INT);");
}

fn edited_files_stop_everything(db: &Db) {
    two_applied(db);
    db.write("002_b.sql", &SECOND.replace("a INT", "a  INT"));
    refused(db, "002_b");
    db.run("repair --all --yes").expect(0);
    assert_eq!(db.json("migrate", 0)["applied"], 1);
}

fn deleted_files_stop_everything(db: &Db) {
    two_applied(db);
    db.remove("001_a.sql");
    refused(db, "001_a");
    db.write("001_a.sql", FIRST);
    assert_eq!(db.json("migrate", 0)["applied"], 1);
}

fn renumbered_files_are_missing_and_pending(db: &Db) {
    two_applied(db);
    fs::rename(db.migrations().join("002_b.sql"), db.migrations().join("004_b.sql")).unwrap();
    refused(db, "002_b");
    let status = db.json("status", 0);
    assert_eq!((&status["missing"][0]["version"], &status["pending"][1]["version"]), (&"2".into(), &"4".into()));
    fs::rename(db.migrations().join("004_b.sql"), db.migrations().join("0002_b.sql")).unwrap();
    assert_eq!(db.json("migrate", 0)["applied"], 1, "zeros in front make no other version");
}

fn a_checkout_with_other_line_ends_is_the_same(db: &Db) {
    let body = match db.engine() {
        Engine::Sqlite => "CREATE TRIGGER g AFTER INSERT ON a BEGIN\n  UPDATE a SET a = 1;\nEND;",
        Engine::Postgres => "CREATE FUNCTION g() RETURNS int LANGUAGE plpgsql AS $f$\nBEGIN\n  RETURN 1;\nEND;\n$f$;",
    };
    let texts = [FIRST.to_owned(), format!("-- haul: timeout=5s\n\n-- Up\n{body}\n")];
    let write = |line_end: &str| {
        for (number, text) in texts.iter().enumerate() {
            db.write(&format!("{}_x.sql", number + 1), &text.replace('\n', line_end));
        }
    };
    // Applied from one kind of checkout, verified and taken back from the other.
    for (one, other) in [("\r\n", "\n"), ("\n", "\r\n")] {
        write(one);
        assert_eq!(db.json("migrate", 0)["applied"], 2);
        write(other);
        db.run("verify").expect(0);
        assert_eq!(db.json("migrate", 0)["skipped"], 2);
        db.execute(if db.engine() == Engine::Sqlite { "DROP TRIGGER g" } else { "DROP FUNCTION g" });
        db.run("rollback --to 0 --force --yes").expect(0);
        assert_eq!(db.tables(), [""; 0]);
    }
}

fn two_versions_alike_stop_before_the_database_is_opened(db: &Db) {
    for (one, other) in
        [("1_a.sql", "01_b.sql"), ("V1__a.sql", "1_a.sql"), ("1_a.up.sql", "1_a.sql"), ("1_a.sql", "1_A.sql")]
    {
        db.write(one, FIRST).write(other, SECOND);
        let done = db.run("migrate").expect(2);
        assert!(done.stderr.contains("version 1 is also that of"), "{one}, {other}: {}", done.stderr);
        db.remove(one).remove(other);
    }
    let is_untouched = match db.engine() {
        Engine::Sqlite => !db.file().exists(),
        Engine::Postgres => db.rows("SELECT 1 FROM pg_tables WHERE tablename LIKE 'haul%'").is_empty(),
    };
    assert!(is_untouched);
}

fn a_ledger_of_a_newer_haul_is_left_alone(db: &Db) {
    two_applied(db);
    db.execute("ALTER TABLE haul_migrations ADD COLUMN proof TEXT");
    let before = db.everything();
    for verb in ["migrate", "status", "rollback --to 0 --yes", "log", "verify"] {
        let done = db.run(verb).expect(1);
        assert!(done.stderr.contains("use the version of haul that wrote it"), "{verb}: {}", done.stderr);
    }
    assert_eq!(db.everything(), before);
}

fn a_read_only_database_is_reported(db: &Db) {
    two_applied(db);
    if db.engine() == Engine::Sqlite {
        let nobody = Nobody::at(db.path());
        fs::set_permissions(db.path(), fs::Permissions::from_mode(0o555)).unwrap();
        fs::set_permissions(db.file(), fs::Permissions::from_mode(0o444)).unwrap();
        for (verb, code) in [("status", 0), ("migrate --dry-run", 0), ("migrate", 1), ("rollback --to 0 --yes", 1)] {
            let done = run_as(&nobody, db, verb).expect(code);
            assert!(code == 0 || done.stderr.contains("next: "), "{verb}: {}", done.stderr);
        }
        fs::set_permissions(db.path(), fs::Permissions::from_mode(0o755)).unwrap();
    } else {
        let name = db.rows("SELECT current_database()").remove(0);
        db.execute(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on"));
        db.run("status").expect(0);
        db.run("migrate --dry-run").expect(0);
        let done = db.run("migrate").expect(1);
        assert!(
            done.stderr.contains("SQLSTATE 25006") && done.stderr.contains("connect to the primary"),
            "{}",
            done.stderr
        );
        let mut session = db.client();
        session.batch_execute("SET default_transaction_read_only = off").unwrap();
        session.batch_execute(&format!("ALTER DATABASE {name} RESET ALL")).unwrap();
    }
    assert_eq!(db.applied(), ["001_a", "002_b"]);
}

fn a_ledger_that_others_lock_is_temporary(db: &Db) {
    two_applied(db);
    let others = match db.engine() {
        Engine::Sqlite => {
            let writer = rusqlite::Connection::open(db.file()).unwrap();
            writer.execute_batch("BEGIN EXCLUSIVE").unwrap();
            Box::new(writer) as Box<dyn std::any::Any>
        }
        Engine::Postgres => {
            let mut session = db.client();
            session.batch_execute("BEGIN; LOCK TABLE haul_migrations").unwrap();
            Box::new(session)
        }
    };
    let url = match db.engine() {
        Engine::Sqlite => db.url().to_owned(),
        Engine::Postgres => format!("{}?options=-c%20lock_timeout%3D200ms", db.url()),
    };
    for verb in ["status", "migrate"] {
        let done = Done::of(db.command(verb).env("DATABASE_URL", &url).output().unwrap()).expect(75);
        assert!(done.stderr.contains("next: "), "{verb}: {}", done.stderr);
    }
    drop(others);
    assert_eq!(db.json("migrate", 0)["applied"], 1);
}

fn no_password_is_left_anywhere(db: &Db) {
    const SECRETS: [&str; 2] = ["s3cret", "s3%63ret"];
    let urls = match db.engine() {
        Engine::Sqlite => vec!["postgres://me:s3cret@127.0.0.1:1/x?connect_timeout=1".to_owned()],
        Engine::Postgres => vec![
            db.url().replacen("postgres@", "postgres:s3%63ret@", 1),
            format!("{}?password=s3cret", db.url()),
            format!("{}x?password=s3cret", db.url()),
            db.url().replacen("postgres@", "nobody_here:s3cret@", 1),
        ],
    };
    two_applied(db);
    db.write("004_d.sql", "INSERT INTO nowhere VALUES ('postgres://me:s3cret@host/x', 'password=s3cret');");
    let mut texts = String::new();
    for url in &urls {
        for verb in [
            "migrate --progress json",
            "migrate --dry-run --json",
            "status",
            "log --json",
            "locks",
            "unlock --force",
            "repair",
        ] {
            let done = Done::of(db.command(verb).env("DATABASE_URL", url).output().unwrap());
            texts = format!("{texts}{}{}", done.stdout, done.stderr);
        }
    }
    for name in ["haul_migrations", "haul_migrations_log"] {
        texts = format!("{texts}{}", db.rows(&format!("SELECT * FROM {name}")).join("\n"));
    }
    for entry in fs::read_dir(db.path()).unwrap().flatten().filter(|entry| entry.path().is_file()) {
        texts.push_str(&String::from_utf8_lossy(&fs::read(entry.path()).unwrap()));
    }
    for secret in SECRETS {
        assert!(!texts.contains(secret), "{texts}");
    }
    if db.engine() == Engine::Postgres {
        assert!(db.rows("SELECT query FROM pg_stat_activity").iter().all(|query| !query.contains("s3cret")));
    }
}

/// A pipe in the place of a file is an error, and nobody waits for its other end.
#[test]
fn a_pipe_in_the_place_of_a_file_is_not_waited_for() {
    let db = Db::sqlite();
    two_applied(&db);
    let files = [db.migrations().join("002_b.sql"), db.path().join("haul.toml"), db.file()];
    for path in files {
        let _ = fs::rename(&path, db.path().join("aside"));
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
        let done = db.run("status");
        assert!(done.stderr.contains("it is not a regular file"), "{}: {}", path.display(), done.stderr);
        fs::remove_file(&path).unwrap();
        let _ = fs::rename(db.path().join("aside"), &path);
    }
    assert_eq!(db.applied(), ["001_a", "002_b"]);
}

#[test]
fn a_write_ahead_log_is_part_of_the_database() {
    let db = Db::sqlite();
    db.write("1_a.sql", FIRST).run("migrate").expect(0);
    let writer = rusqlite::Connection::open(db.file()).unwrap();
    writer.pragma_update(None, "journal_mode", "wal").unwrap();
    writer.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
    writer.execute_batch("INSERT INTO a VALUES (1), (2), (3)").unwrap();
    let files = || ["x.db", "x.db-wal"].map(|name| fs::read(db.path().join(name)).unwrap());
    let before = files();
    db.write("2_b.sql", "CREATE TABLE b AS SELECT count(*) AS n FROM a;\nINSERT INTO a SELECT n FROM b WHERE n = 3;");
    // The rehearsal runs on a copy with the rows that are in the log alone.
    assert_eq!(db.json("migrate --dry-run=execute", 0)["rehearsal"]["applied"], 1);
    db.run("migrate --dry-run").expect(0);
    assert!(files() == before, "a dry run leaves both files as they are");
    // As a writer leaves them that was killed: the log stands beside the file, and no index of it.
    let copy = Db::sqlite();
    copy.write("1_a.sql", FIRST).write("2_b.sql", &fs::read_to_string(db.migrations().join("2_b.sql")).unwrap());
    fs::write(copy.file(), &before[0]).unwrap();
    fs::write(copy.path().join("x.db-wal"), &before[1]).unwrap();
    copy.run("migrate").expect(0);
    assert_eq!(
        (copy.rows("SELECT n FROM b"), copy.rows("SELECT count(*) FROM a")),
        (vec!["3".into()], vec!["4".into()])
    );
    db.run("migrate").expect(0);
    drop(writer);
    assert_eq!((db.rows("SELECT n FROM b"), db.rows("PRAGMA integrity_check")), (vec!["3".into()], vec!["ok".into()]));
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_postgres_server_that_is_killed_is_temporary_and_the_next_run_knows_where_it_stands() {
    let server = OwnServer::start();
    let db = Db::on(server.server());
    let endless = endless(db.engine());
    db.write("1_a.sql", FIRST).run("migrate").expect(0);

    // In a transaction: nothing of it stays.
    db.write("2_b.sql", &format!("CREATE TABLE b (a INT);\n{endless}"));
    lose_server(&db, server, "started");
    assert_eq!(
        (db.tables(), db.applied(), last_outcome(&db)),
        (vec!["a".into()], vec!["1_a".into()], "2_b started".into())
    );
    let earlier = db.json("status", 0)["pending"][0]["earlier_attempt"].to_string();
    assert!(earlier.contains("did not end; it was rolled back"), "{earlier}");
    let told = db.write("2_b.sql", SECOND).run("migrate").expect(0);
    assert!(told.stderr.contains("trying again"), "{}", told.stderr);

    // Without one: nobody knows, and haul says what to do.
    db.write(
        "3_c.sql",
        &format!("-- haul: no-transaction\nCREATE TABLE c (a INT);\n{endless}\nCREATE TABLE d (a INT);"),
    );
    lose_server(&db, server, "running");
    assert_eq!(db.tables(), ["a", "b", "c"]);
    let done = db.run("migrate").expect(1);
    assert!(done.stderr.contains("it is not known whether statement 2 of 3_c took effect"), "{}", done.stderr);
    db.run("resolve --version 3 --from-statement 3 --yes").expect(0);
    db.run("migrate").expect(0);
    assert_eq!((db.tables().len(), db.rows("SELECT count(*) FROM a")), (4, vec!["0".into()]));

    // A server that is not there.
    server.crash();
    for verb in ["status", "migrate", "log"] {
        let done = db.run(verb).expect(75);
        assert!(done.stderr.contains("next: "), "{}", done.stderr);
    }
    server.restart();
    assert_eq!(db.json("migrate", 0)["skipped"], 3);
}

/// Runs until the newest migration is at its endless statement, and kills the server.
fn lose_server(db: &Db, server: &OwnServer, outcome: &str) {
    let mut run = start(db, "migrate --timeout 0 --json --progress none");
    let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'INSERT INTO a SELECT%' AND state = 'active' AND pid <> \
                    pg_backend_pid()";
    while db.rows(sleeping) == ["0"] {
        assert!(run.try_wait().unwrap().is_none(), "it runs until the server goes");
    }
    server.crash();
    let done = end(run).expect(75);
    assert_eq!(done.json()["failure"]["statement"], 2);
    assert!(done.stderr.contains("next: ") && !done.stderr.contains("panicked"), "{}", done.stderr);
    server.restart();
    assert!(last_outcome(db).ends_with(outcome));
}
