//! What the runners before haul did wrong (docs/source-sql.md, "What earlier runners do wrong"), each done right, on
//! both engines.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::db::Db;
use crate::support::db_contents::{Engine, on_both};
use crate::support::haul::Done;

on_both! {
    a_run_waits_for_another_as_long_as_it_is_told
    a_signal_ends_the_wait_for_another_run
    sections_run_inside_the_transaction_of_their_ledger_row
    a_failure_ends_the_run
    the_checksum_is_of_the_content_and_is_compared
    there_is_a_lock
    a_rollback_undoes_only_applied_migrations
    a_rollback_stops_at_its_first_failure
    table_names_are_not_pasted_into_sql
    failed_attempts_are_in_the_log
    the_result_has_the_documented_counts
    versions_are_numbers_and_unique
    scripts_that_end_the_transaction_are_refused_before_anything_runs
    a_script_does_not_record_itself
    a_killed_attempt_is_reported_and_repeated
    no_password_is_shown_or_stored
}

fn sections_run_inside_the_transaction_of_their_ledger_row(db: &Db) {
    // The ledger's row cannot be written: the section must not stay either.
    db.write("1_a.sql", "CREATE TABLE a (a INT);").run("migrate").expect(0);
    db.write("2_b.sql", "CREATE TABLE b (a INT);\nDROP TABLE haul_migrations;");
    db.json("migrate --yes", 1);
    assert_eq!((db.tables(), db.applied()), (vec!["a".into()], vec!["1_a".into()]));
}

fn a_failure_ends_the_run(db: &Db) {
    db.write("001_a.sql", "INSERT INTO nowhere VALUES (1);").write("002_b.sql", "CREATE TABLE b (a INT);");
    let end = db.json("migrate", 1);
    assert_eq!((&end["applied"], &end["failed"], end["details"].as_array().unwrap().len()), (&0.into(), &1.into(), 1));
    assert_eq!(db.tables(), [""; 0]);
}

fn the_checksum_is_of_the_content_and_is_compared(db: &Db) {
    db.write("001_x.sql", "CREATE TABLE x (a INT);").run("migrate").expect(0);
    let checksum = db.rows("SELECT checksum FROM haul_migrations");
    assert_eq!(checksum, [blake3::hash(b"CREATE TABLE x (a INT);").to_hex().to_string()]);
    db.write("001_x.sql", "CREATE TABLE x (a INT); ").run("migrate").expect(65);
}

fn there_is_a_lock(db: &Db) {
    db.write("001_x.sql", "CREATE TABLE x (a INT);");
    let target = haul::db::Target::parse(&match db.engine() {
        Engine::Sqlite => format!("sqlite:{}", db.file().display()),
        Engine::Postgres => db.url().to_owned(),
    });
    let mut holder = target.unwrap().creating().open().unwrap();
    holder.try_lock("haul_migrations", "pid 1 on elsewhere").unwrap().unwrap();
    db.run("migrate").expect(75);
    // Another connection cannot give it back, and a holder that is gone leaves nothing behind.
    drop(holder);
    db.run("migrate").expect(0);
}

fn a_rollback_undoes_only_applied_migrations(db: &Db) {
    db.write("1_a.sql", "-- Up\nCREATE TABLE a (a INT);\n-- Down\nDROP TABLE a;");
    db.write("2_b.sql", "-- Up\nCREATE TABLE b (a INT);\n-- Down\nDROP TABLE b;");
    db.run("migrate --to 1").expect(0);
    assert_eq!(db.json("rollback --steps 5 --yes", 0)["applied"], 1);
    assert_eq!(db.json("rollback --steps 5 --yes", 0)["applied"], 0);
}

fn a_rollback_stops_at_its_first_failure(db: &Db) {
    db.write("1_a.sql", "-- Up\nCREATE TABLE a (a INT);\n-- Down\nDROP TABLE a;");
    db.write("2_b.sql", "-- Up\nCREATE TABLE b (a INT);\n-- Down\nDROP TABLE b;\nDROP TABLE nowhere;");
    db.write("3_c.sql", "-- Up\nCREATE TABLE c (a INT);\n-- Down\nDROP TABLE c;");
    db.run("migrate").expect(0);
    let end = db.json("rollback --to 0 --yes", 1);
    assert_eq!((&end["applied"], &end["pending"]), (&1.into(), &serde_json::json!(["2_b", "1_a"])));
    assert_eq!((db.tables(), db.applied()), (vec!["a".into(), "b".into()], vec!["1_a".into(), "2_b".into()]));
    assert_eq!(db.outcomes().last().unwrap(), "2_b failed");
}

fn table_names_are_not_pasted_into_sql(db: &Db) {
    db.write("1_a.sql", "CREATE TABLE a (a INT);");
    for name in ["x;DROP", "\"", "x'y", "1x", "sqlite_x"] {
        assert!(db.run(&format!("migrate --table {name}")).expect(2).stderr.contains("cannot be the name"));
    }
    // A word of SQL is a name when it is quoted.
    db.run("migrate --table select").expect(0);
    assert_eq!(db.rows("SELECT name FROM \"select\""), ["1_a"]);
}

fn failed_attempts_are_in_the_log(db: &Db) {
    db.write("1_a.sql", "CREATE TABLE a (a INT);\nINSERT INTO nowhere VALUES (1);");
    db.run("migrate").expect(1);
    db.run("migrate").expect(1);
    let rows = db.json("log", 0);
    let failed: Vec<_> = rows["log"].as_array().unwrap().iter().filter(|row| row["outcome"] == "failed").collect();
    assert_eq!(failed.len(), 2);
    let row = failed[0];
    assert_eq!((&row["version"], &row["direction"], &row["statement"]), (&"1".into(), &"up".into(), &2.into()));
    assert!(row["owner"].as_str().unwrap().starts_with("pid ") && row["duration_ms"].is_u64());
    assert_eq!(row["haul_version"], env!("CARGO_PKG_VERSION"));
    assert!(row["started_at"].as_str().unwrap() <= row["finished_at"].as_str().unwrap());
}

fn the_result_has_the_documented_counts(db: &Db) {
    db.write("1_a.sql", "CREATE TABLE a (a INT);").run("migrate").expect(0);
    db.write("2_b.sql", "CREATE TABLE b (a INT);")
        .write("3_c.sql", "INSERT INTO nowhere VALUES (1);")
        .write("4_d.sql", "SELECT 1;");
    let end = db.json("migrate", 1);
    assert_eq!((&end["applied"], &end["skipped"], &end["failed"]), (&1.into(), &1.into(), &1.into()));
    assert_eq!((&end["details"][0]["name"], &end["details"][0]["status"]), (&"2_b".into(), &"applied".into()));
    assert!(end["details"][0]["durationMs"].is_u64() && end["details"][0].get("error").is_none());
    assert!(end["details"][1]["error"].as_str().unwrap().contains("3_c.sql:1"));
    assert_eq!(end["pending"], serde_json::json!(["3_c", "4_d"]));
}

fn versions_are_numbers_and_unique(db: &Db) {
    db.write("10_c.sql", "INSERT INTO b VALUES (10);")
        .write("9_b.sql", "CREATE TABLE b (a INT);")
        .run("migrate")
        .expect(0);
    assert_eq!(db.applied(), ["9_b", "10_c"]);
    db.write("009_d.sql", "SELECT 1;");
    assert!(db.run("migrate").expect(2).stderr.contains("version 9 is also that of"));
    db.remove("009_d.sql").write("seed.sql", "SELECT 1;");
    assert!(db.run("migrate").expect(2).stderr.contains("seed.sql: the name does not begin with a version"));
}

fn scripts_that_end_the_transaction_are_refused_before_anything_runs(db: &Db) {
    db.write("1_a.sql", "CREATE TABLE a (a INT);");
    for control in ["COMMIT", "commit work", "END", "ROLLBACK", "BEGIN", "/* x */ COMMIT"] {
        let text = if control == "commit work" && db.engine() == Engine::Sqlite { "COMMIT" } else { control };
        db.write("2_b.sql", &format!("CREATE TABLE b (a INT);\n{text};\nINSERT INTO nowhere VALUES (1);"));
        let done = db.run("migrate").expect(2);
        assert!(
            done.stderr.contains("2_b.sql:2: ") && done.stderr.contains("end or nest the transaction of haul"),
            "{}",
            done.stderr
        );
    }
    for savepoint in ["SAVEPOINT s", "RELEASE s", "ROLLBACK TO s"] {
        db.write("2_b.sql", &format!("CREATE TABLE b (a INT);\n{savepoint};"));
        let done = db.run("migrate").expect(2);
        assert!(done.stderr.contains("2_b.sql:2: ") && done.stderr.contains("has no use here"), "{}", done.stderr);
    }
    let (psql, line) = match db.engine() {
        Engine::Sqlite => (".read other.sql\nSELECT 1;", "`.read` is a command of the sqlite3 shell"),
        Engine::Postgres => ("\\i other.sql\nSELECT 1;", "`\\i` is a command of the psql shell"),
    };
    db.write("2_b.sql", psql);
    assert!(db.run("migrate").expect(2).stderr.contains(line));
    let is_untouched = match db.engine() {
        Engine::Sqlite => !db.file().exists(),
        Engine::Postgres => db.tables().is_empty(),
    };
    assert!(is_untouched);
    // A section that does without a transaction may have its own.
    db.write("2_b.sql", "-- haul: no-transaction\nBEGIN;\nCREATE TABLE b (a INT);\nCOMMIT;\nCREATE TABLE c (a INT);");
    db.run("migrate").expect(0);
    assert_eq!(db.tables(), ["a", "b", "c"]);
    db.write("3_d.sql", "-- haul: no-transaction\nCREATE TABLE d (a INT);\nBEGIN;\nCREATE TABLE e (a INT);\nINSERT INTO nowhere VALUES (1);\nCOMMIT;");
    db.run("migrate").expect(1);
    assert_eq!(db.tables(), ["a", "b", "c", "d"]);
    db.execute("CREATE TABLE nowhere (a INT)");
    db.run("migrate").expect(0);
    assert_eq!(db.tables(), ["a", "b", "c", "d", "e", "nowhere"]);
    db.write("4_f.sql", "-- haul: no-transaction\nBEGIN;\nCREATE TABLE f (a INT);");
    assert!(db.run("migrate").expect(1).stderr.contains("leaves a transaction open"));
    assert_eq!(db.tables().len(), 6);
}

fn a_script_does_not_record_itself(db: &Db) {
    db.write("1_a.sql", "CREATE TABLE a (a INT);\nINSERT INTO a VALUES (1);");
    for _ in 0..3 {
        db.run("migrate").expect(0);
    }
    assert_eq!(db.rows("SELECT count(*) FROM a"), ["1"]);
}

fn a_killed_attempt_is_reported_and_repeated(db: &Db) {
    db.write("1_a.sql", "CREATE TABLE a (a INT);").run("migrate").expect(0);
    db.write("2_b.sql", "CREATE TABLE b (a INT);").run("migrate").expect(0);
    // What a process leaves that was killed in the second: the row that began it.
    db.execute("DELETE FROM haul_migrations WHERE version = '2'");
    db.execute("DELETE FROM haul_migrations_log WHERE version = '2' AND outcome = 'applied'");
    db.execute("DROP TABLE b");
    let status = db.json("status", 0);
    assert!(status["pending"][0]["earlier_attempt"].as_str().unwrap().contains("did not end; it was rolled back"));
    let done = db.run("migrate").expect(0);
    assert!(
        done.stderr.contains("note: 2_b: an attempt of pid ") && done.stderr.contains("trying again"),
        "{}",
        done.stderr
    );
    assert_eq!(db.tables(), ["a", "b"]);
}

fn no_password_is_shown_or_stored(db: &Db) {
    const SECRET: &str = "s3cret";
    let url = match db.engine() {
        Engine::Sqlite => "postgres://me:s3cret@127.0.0.1:1/x?connect_timeout=1".to_owned(),
        Engine::Postgres => db.url().replacen("postgres@", "postgres:s3cret@", 1),
    };
    db.write("1_a.sql", "CREATE TABLE a (a INT);\nALTER ROLE nobody_here PASSWORD 's3cret';");
    let mut texts = String::new();
    for arguments in
        ["migrate --json", "migrate", "status --verbose", "log", "locks", "verify --json", "--help", "migrate --x"]
    {
        for by_argument in [false, true] {
            let mut command = db.command(arguments);
            command.env("DATABASE_URL", &url);
            if by_argument {
                command.env_remove("DATABASE_URL").args(["--database", &url]);
            }
            let done = crate::support::haul::Done::of(command.output().unwrap());
            texts = format!("{texts}{}{}", done.stdout, done.stderr);
        }
    }
    std::fs::write(db.path().join("haul.toml"), format!("[db]\ndatabase = \"{url}\"\n")).unwrap();
    let done = crate::support::haul::Done::of(db.command("migrate").env_remove("DATABASE_URL").output().unwrap());
    texts.push_str(&done.texts());
    assert!(!texts.contains(SECRET), "{texts}");
    if db.engine() == Engine::Postgres {
        let state = db.rows("SELECT * FROM haul_migrations_log").join("\n");
        assert!(state.contains("nobody_here") && !state.contains(SECRET), "{state}");
        assert!(texts.contains("PASSWORD '***'"), "{texts}");
    }
}

fn a_signal_ends_the_wait_for_another_run(db: &Db) {
    db.write("1_a.sql", "CREATE TABLE a (a INT);").run("migrate").expect(0);
    let mut holder = db.target().open().unwrap();
    holder.try_lock("haul_migrations", "another").unwrap().unwrap();
    db.write("2_b.sql", "CREATE TABLE b (a INT);");
    for signal in [Signal::INT, Signal::TERM] {
        let mut command = db.command("migrate --wait 3600 --json --progress none");
        let mut run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(run.stderr.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        assert!(line.starts_with("note: waiting for another run: "), "{line}");
        kill_process(Pid::from_child(&run), signal).unwrap();
        let mut rest = String::new();
        lines.read_to_string(&mut rest).unwrap();
        let done = Done::of(run.wait_with_output().unwrap()).expect(75);
        assert!(rest.contains("error: stopped on request") && rest.contains("next: run again: "), "{rest}");
        assert_eq!(done.json()["error"]["exit_code"], 75);
    }
    drop(holder);
    assert_eq!((db.tables(), db.applied()), (vec!["a".into()], vec!["1_a".into()]));
}

fn a_run_waits_for_another_as_long_as_it_is_told(db: &Db) {
    db.write("1_a.sql", "CREATE TABLE a (a INT);");
    // A database of SQLite is there before it can be locked.
    db.run("migrate").expect(0);
    let mut holder = db.target().open().unwrap();
    holder.try_lock("haul_migrations", "another").unwrap().unwrap();
    db.write("2_b.sql", "CREATE TABLE b (a INT);");
    let start = |wait: &str| {
        let mut command = db.command(&format!("migrate {wait} 60"));
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let runs = ["--wait", "--lock-timeout"].map(start);
    db.run("migrate --wait 0").expect(75);
    drop(holder);
    assert!(runs.into_iter().all(|mut run| run.wait().unwrap().success()));
    assert_eq!(db.applied(), ["1_a", "2_b"]);
}
