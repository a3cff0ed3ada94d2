//! Which server is chosen, what is left behind on it, and what is said if it has limits of its own.

use std::process::Stdio;

use haul::db::state::Tables;
use haul::db::{Schema, Target};

use crate::support::db::Db;
use crate::support::haul::Done;

/// Runs with this URL instead of the one of the database.
fn run_at(db: &Db, url: &str, arguments: &str) -> Done {
    Done::of(db.command(arguments).env("DATABASE_URL", url).output().unwrap())
}

/// The URL of the database with a parameter.
fn url_with(db: &Db, parameter: &str) -> String {
    format!("{}?{parameter}", db.url())
}

/// The URL of the database for another role.
fn url_of(db: &Db, role: &str) -> String {
    db.url().replacen("postgres@", &format!("{role}@"), 1)
}

/// Runs a statement in the database of the test, whose name takes the place of DATABASE.
fn alter(db: &Db, sql: &str) {
    let database = db.rows("SELECT current_database()").remove(0);
    db.execute(&sql.replace("DATABASE", &format!("DATABASE {database}")));
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_server_of_the_wanted_kind_is_chosen() {
    let db = Db::postgres();
    db.write("1_a.sql", "CREATE TABLE a (a INT);");
    for wanted in ["any", "read-write", "primary", "prefer-standby"] {
        let url = url_with(&db, &format!("target_session_attrs={wanted}"));
        run_at(&db, &url, "migrate").expect(0);
        run_at(&db, &url, "status").expect(0);
    }
    for wanted in ["read-only", "standby"] {
        let done = run_at(&db, &url_with(&db, &format!("target_session_attrs={wanted}")), "status").expect(75);
        assert!(done.stderr.contains("the server is a primary"), "{}", done.stderr);
    }
    alter(&db, "ALTER DATABASE SET default_transaction_read_only = on");
    let done = run_at(&db, &url_with(&db, "target_session_attrs=read-write"), "status").expect(75);
    assert!(done.stderr.contains("this role or database are read-only"), "{}", done.stderr);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn the_next_host_is_tried_if_one_does_not_answer() {
    let db = Db::postgres();
    db.write("1_a.sql", "CREATE TABLE a (a INT);");
    let (user, rest) = db.url().split_once('@').unwrap();
    let url = format!("{user}@127.0.0.1:1,{rest}");
    run_at(&db, &url, "migrate").expect(0);
    assert_eq!(db.applied(), ["1_a"]);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn words_and_variables_name_a_database_too() {
    let db = Db::postgres();
    db.write("1_a.sql", "CREATE TABLE a (a INT);");
    let socket = db.rows("SHOW unix_socket_directories").remove(0);
    let database = db.rows("SELECT current_database()").remove(0);
    run_at(&db, &format!("host={socket} user=postgres dbname={database}"), "migrate").expect(0);
    let by_variables = |url: &str| {
        let mut command = db.command("status");
        command.env("DATABASE_URL", url).env("PGHOST", &socket).env("PGUSER", "postgres").env("PGDATABASE", &database);
        Done::of(command.output().unwrap()).expect(0).stdout
    };
    assert!(by_variables("postgres://").contains("1 applied"), "{}", by_variables("postgres://"));
    let services = db.path().join("services");
    std::fs::write(&services, format!("[app]\nhost={socket}\nuser=postgres\ndbname={database}\n")).unwrap();
    let mut command = db.command("status");
    command.env("DATABASE_URL", "postgres:///?service=app").env("PGSERVICEFILE", services);
    assert!(Done::of(command.output().unwrap()).expect(0).stdout.contains("1 applied"));
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_password_file_that_others_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let db = Db::postgres();
    let file = db.path().join("passwords");
    std::fs::write(&file, "*:*:*:*:s3cret\n").unwrap();
    let run = |mode| {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        Done::of(db.command("locks").env("PGPASSFILE", &file).output().unwrap())
    };
    run(0o600).expect(0);
    let done = run(0o644).expect(2);
    assert!(done.stderr.contains("chmod 600") && !done.stderr.contains("s3cret"), "{}", done.stderr);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn reading_leaves_no_setting_in_a_session_that_others_may_get() {
    let db = Db::postgres();
    db.execute("CREATE SCHEMA other; CREATE TABLE other.t (a INT)");
    let mut reader = Target::parse(db.url()).unwrap().open_read_only().unwrap();
    let path = "SELECT current_setting('search_path')";
    let before = reader.query(path, &[]).unwrap();
    let schema = Schema::read(&mut *reader, &Tables::default()).unwrap();
    assert!(schema.text.contains("CREATE TABLE other.t"), "{}", schema.text);
    assert_eq!(reader.query(path, &[]).unwrap(), before);
    let set = "SELECT name FROM pg_settings WHERE source = 'session' AND name NOT LIKE 'transaction%'";
    assert_eq!(reader.query(set, &[]).unwrap(), Vec::<Vec<_>>::new());
    // A query that fails leaves a session that can be used.
    assert!(reader.query("SELECT 1 / 0", &[]).is_err());
    assert_eq!(reader.query(path, &[]).unwrap(), before);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn what_is_read_is_one_state_of_the_database() {
    let db = Db::postgres();
    db.write("1_a.sql", "CREATE TABLE a (a INT);");
    let mut reader = Target::parse(db.url()).unwrap().open_read_only().unwrap();
    let tables = "SELECT relname::text FROM pg_class WHERE relname ~ '^haul_' ORDER BY 1";
    assert!(reader.query(tables, &[]).unwrap().is_empty());
    db.run("migrate").expect(0);
    assert!(reader.query(tables, &[]).unwrap().is_empty());
}

#[test]
#[ignore = "needs PostgreSQL"]
fn the_lock_of_a_killed_run_ends_with_it() {
    let db = Db::postgres();
    db.write("1_a.sql", "SELECT pg_sleep(3600);");
    let mut run = db.command("migrate --timeout 0").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while db.json("locks", 0)["lock"].is_null() {
        assert!(run.try_wait().unwrap().is_none(), "it runs until it is killed");
    }
    // A run whose session looks elsewhere first is excluded too.
    db.execute("CREATE SCHEMA IF NOT EXISTS app");
    let elsewhere = url_with(&db, "options=-c%20search_path%3Dapp");
    assert!(run_at(&db, &elsewhere, "migrate").expect(75).stderr.contains("another run is active"));
    run.kill().unwrap();
    run.wait().unwrap();
    let held = db.json("locks", 0);
    if !held["lock"].is_null() {
        assert!(held["lock"]["owner"].as_str().unwrap().contains("that process has ended"), "{held}");
    }
    // The server looks for its client every second; without that, the lock would last an hour.
    db.write("1_a.sql", "CREATE TABLE a (a INT);").run("migrate --lock-timeout 30").expect(0);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn notices_of_the_server_are_shown() {
    let db = Db::postgres();
    db.write(
        "1_a.sql",
        "DO $$ BEGIN RAISE NOTICE 'three rows'; RAISE WARNING 'be\u{1b}ware'; END $$;\nCREATE TABLE IF NOT EXISTS a (a INT);",
    );
    db.write("2_b.sql", "-- haul: no-transaction\nDROP TABLE IF EXISTS nothing;");
    let done = db.run("migrate --yes").expect(0);
    for text in
        ["1_a: NOTICE: three rows", "1_a: WARNING: be\\u{1b}ware", "2_b: NOTICE: table \"nothing\" does not exist"]
    {
        assert!(done.stderr.contains(text), "{text}: {}", done.stderr);
    }
    assert_eq!(done.stderr.matches("NOTICE").count(), 2, "{}", done.stderr);
    db.write("3_c.sql", "-- Up\nSELECT 1;\n-- Down\nDROP TABLE IF EXISTS nothing;").run("migrate").expect(0);
    let done = db.run("rollback --steps 1 --yes").expect(0);
    assert!(done.stderr.contains("3_c: NOTICE: table \"nothing\" does not exist"), "{}", done.stderr);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn notices_of_the_server_are_in_the_summary_and_in_the_log() {
    let db = Db::postgres();
    let many =
        "DO $$ BEGIN FOR n IN 1..60 LOOP RAISE NOTICE 'row %', n; END LOOP; RAISE WARNING E'two\nlines'; END $$;";
    db.write("1_a.sql", "DO $$ BEGIN RAISE NOTICE 'three rows'; RAISE WARNING E'be\\u001bware\\n!'; END $$;");
    db.write("2_b.sql", &format!("-- haul: no-transaction\n{many}"));
    db.write("3_c.sql", "DO $$ BEGIN RAISE NOTICE 'it is too late'; END $$;\nSELECT nothing;");
    let end = db.json("migrate", 1);
    assert_eq!(end["details"][0]["notices"][0], "NOTICE: three rows");
    let log = db.json("log --last 100", 0)["log"].as_array().unwrap().clone();
    let noticed: Vec<_> = log.iter().filter(|row| row["outcome"] == "noticed").collect();
    let lines = |index: usize| noticed[index]["error"].as_str().unwrap().lines().collect::<Vec<_>>();
    assert_eq!(lines(0), ["NOTICE: three rows", "WARNING: be\\u{1b}ware\\u{a}!"]);
    assert_eq!((lines(1).len(), lines(1)[50]), (51, "and 11 more notices of the server"));
    assert_eq!(lines(2), ["NOTICE: it is too late"]);
    // Each row belongs to the attempt that it is about, and is not the state of the migration.
    for (row, name) in noticed.iter().zip(["1_a", "2_b", "3_c"]) {
        let start = log.iter().find(|other| other["id"] == row["attempt"]).unwrap();
        assert_eq!((&row["name"], &start["name"], &start["outcome"]), (&name.into(), &name.into(), &"started".into()));
    }
    assert!(db.run("log").expect(0).stdout.contains("WARNING: be\\u{1b}ware\\u{a}!"));
    let pending = &db.json("status", 0)["pending"][0]["earlier_attempt"];
    assert!(pending.as_str().unwrap().starts_with("failed at "), "{pending}");
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_limit_of_the_server_is_told_from_one_of_haul() {
    let db = Db::postgres();
    alter(&db, "ALTER DATABASE SET statement_timeout = '100ms'");
    db.write("1_a.sql", "SELECT pg_sleep(5);");
    let done = db.run("migrate").expect(1);
    assert!(done.stderr.contains("a statement_timeout of this role or database"), "{}", done.stderr);
    assert!(!done.stderr.contains("correct the file"), "{}", done.stderr);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_read_only_server_is_reported_once() {
    let db = Db::postgres();
    db.write("1_a.sql", "CREATE TABLE a (a INT);").run("migrate").expect(0);
    alter(&db, "ALTER DATABASE SET default_transaction_read_only = on");
    db.write("2_b.sql", "CREATE TABLE b (a INT);");
    for verb in ["migrate", "migrate --dry-run=execute"] {
        let done = db.run(verb).expect(1);
        assert!(done.stderr.contains("SQLSTATE 25006"), "{}", done.stderr);
        assert!(!done.stderr.contains("was not kept") && !done.stderr.contains("25P02"), "{}", done.stderr);
    }
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_role_that_may_not_create_the_tables_is_told_what_it_needs() {
    let db = Db::postgres();
    let role = format!("weak_{}", db.rows("SELECT current_database()")[0]);
    db.execute(&format!("CREATE ROLE {role} LOGIN"));
    db.write("1_a.sql", "SELECT 1;");
    let done = run_at(&db, &url_of(&db, &role), "migrate").expect(1);
    assert!(done.stderr.contains("GRANT CREATE ON SCHEMA"), "{}", done.stderr);
    assert!(!done.stderr.contains("was not kept"), "{}", done.stderr);
    db.execute(&format!("DROP ROLE {role}"));
}
