//! Runs as a role other than the user who connects, and servers that are waited for.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::db::Db;
use crate::support::haul::Done;
use crate::support::postgres::OwnServer;

/// Creates a user who may log in, and a role that it is a member of and that owns the schema `own`.
fn roles(db: &Db) -> (String, String) {
    let database = db.rows("SELECT current_database()").remove(0);
    let (user, role) = (format!("user_{database}"), format!("Role {database}"));
    db.execute(&format!(
        "CREATE ROLE \"{role}\"; CREATE ROLE {user} LOGIN NOINHERIT; GRANT \"{role}\" TO {user}; CREATE SCHEMA \"{role}\" \
         AUTHORIZATION \"{role}\""
    ));
    (user, role)
}

fn run_as(db: &Db, user: &str, role: &str, arguments: &str) -> Done {
    let url = db.url().replacen("postgres@", &format!("{user}@"), 1);
    let mut command = db.command(arguments);
    Done::of(command.args(["--role", role]).env("DATABASE_URL", url).output().unwrap())
}

#[test]
#[ignore = "needs PostgreSQL"]
fn everything_runs_as_the_role() {
    let db = Db::postgres();
    let (user, role) = roles(&db);
    db.write("1_a.sql", "-- Up\nCREATE TABLE a AS SELECT current_user AS who;\n-- Down\nDROP TABLE a;\n");
    db.write("2_b.sql", "-- haul: no-transaction\nSET work_mem = '1MB';\nCREATE TABLE b (a INT);\nCREATE TABLE c AS SELECT current_user AS who;");
    db.write("3_d.sql", "-- Up\nCREATE TABLE d (a INT PRIMARY KEY);\n-- Batch: SELECT a FROM d\nUPDATE d SET a = a WHERE a IN (SELECT a FROM haul_batch);\n-- Down\nDROP TABLE d;\n");
    run_as(&db, &user, &role, "migrate --backup required").expect(0);
    let others = format!(
        "SELECT tablename FROM pg_tables WHERE tablename !~ '^(pg|sql)_' AND (tableowner, schemaname) <> ('{role}', '{role}')"
    );
    assert_eq!(db.rows(&others), [""; 0]);
    let own = format!("SELECT count(*) FROM pg_tables WHERE schemaname = '{role}'");
    assert_eq!(db.rows(&own), ["8"]);
    assert_eq!(db.rows(&format!("SELECT a.who, c.who FROM \"{role}\".a, \"{role}\".c")), [format!("{role}|{role}")]);
    for verb in ["status", "verify", "drift", "dump", "log", "locks", "migrate --dry-run=execute", "redo --yes"] {
        run_as(&db, &user, &role, verb).expect(0);
    }
    // Nothing of this is open to the user itself.
    let done = run_as(&db, &user, &user, "status").expect(1);
    assert!(done.stderr.contains("SQLSTATE 42501"), "{}", done.stderr);
    std::fs::write(db.path().join("haul.toml"), format!("[db]\nrole = \"{role}\"\n")).unwrap();
    let url = db.url().replacen("postgres@", &format!("{user}@"), 1);
    let done = Done::of(db.command("status").env("DATABASE_URL", url).output().unwrap()).expect(0);
    assert!(done.stdout.contains("3 applied, 0 pending"), "{}", done.stdout);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn the_databases_of_a_list_are_changed_as_the_role() {
    let db = Db::postgres();
    let (user, role) = roles(&db);
    let url = db.url().replacen("postgres@", &format!("{user}@"), 1);
    std::fs::write(db.path().join("list"), format!("{url}\n")).unwrap();
    db.write("1_a.sql", "CREATE TABLE a (a INT);");
    run_as(&db, &user, &role, "migrate --databases list").expect(0);
    let owners = db.rows("SELECT DISTINCT tableowner FROM pg_tables WHERE tablename !~ '^(pg|sql)_'");
    assert_eq!(owners, [role]);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_role_that_cannot_be_taken_is_refused_before_anything_runs() {
    let db = Db::postgres();
    let (user, role) = roles(&db);
    db.write("1_a.sql", "CREATE TABLE a (a INT);");
    db.execute(&format!("REVOKE \"{role}\" FROM {user}"));
    for verb in ["status", "migrate"] {
        let done = run_as(&db, &user, &role, verb).expect(1);
        assert!(done.stderr.contains("GRANT ROLE TO USER"), "{}", done.stderr);
        let done = run_as(&db, &user, "no such role", verb).expect(1);
        assert!(done.stderr.contains("create the role"), "{}", done.stderr);
    }
    assert_eq!(db.tables(), [""; 0]);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_server_that_starts_is_waited_for() {
    let server = OwnServer::start();
    let db = Db::on(server.server());
    db.write("1_a.sql", "CREATE TABLE a (a INT);");
    server.crash();
    let waiting = |seconds: u32| {
        let mut command = db.command(&format!("migrate --wait-for-server {seconds}"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let mut run = waiting(60);
    // It is told from a run that fails at once by a second one, which begins later and does fail.
    let failed = Done::of(waiting(1).wait_with_output().unwrap()).expect(75);
    assert!(failed.stderr.contains("after a wait of 1 s"), "{}", failed.stderr);
    assert!(run.try_wait().unwrap().is_none(), "it waits");
    server.restart();
    Done::of(run.wait_with_output().unwrap()).expect(0);
    assert_eq!(db.applied(), ["1_a"]);
}

/// A server that is there and answers nothing, or one that hangs up again and again.
#[test]
fn a_signal_ends_the_wait_for_a_server() {
    let db = Db::sqlite();
    db.write("1_a.sql", "CREATE TABLE a (a INT);");
    for hangs_up in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("postgres://me@{}/x?sslmode=disable", listener.local_addr().unwrap());
        let mut command = db.command("status --wait-for-server 3600 --json --progress none");
        let command = command.env("DATABASE_URL", url).stdout(Stdio::piped()).stderr(Stdio::piped());
        let run = command.spawn().unwrap();
        let first = listener.accept().unwrap();
        let kept = if hangs_up {
            drop(first);
            // It has begun to wait by now.
            listener.accept().map(drop).unwrap();
            None
        } else {
            Some(first)
        };
        kill_process(Pid::from_child(&run), Signal::TERM).unwrap();
        let done = Done::of(run.wait_with_output().unwrap()).expect(75);
        let said = &done.stderr;
        assert!(said.contains("error: stopped on request") && said.contains("next: run again: "), "{said}");
        assert_eq!(done.json()["error"]["exit_code"], 75);
        drop(kept);
    }
}

/// What waits for an answer of the server after that is no run: a signal ends it as it ends any program.
#[test]
fn a_signal_has_its_usual_effect_after_the_wait_for_a_server() {
    let db = Db::sqlite();
    db.write("1_a.sql", "CREATE TABLE a (a INT);");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://me@{}/x?sslmode=disable", listener.local_addr().unwrap());
    let mut command = db.command("status --wait-for-server 3600");
    let run = command.env("DATABASE_URL", url).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The first attempt gets an answer that no wait heals; the next connection is that of the command.
    let (mut first, _) = listener.accept().unwrap();
    assert!(first.read(&mut [0; 1024]).unwrap() > 0);
    first.write_all(b"E\0\0\0\x1cSFATAL\0C28P01\0Mrefused\0\0").unwrap();
    drop(first);
    let _second = listener.accept().unwrap();
    kill_process(Pid::from_child(&run), Signal::TERM).unwrap();
    Done::of(run.wait_with_output().unwrap()).expect(128 + 15);
}
