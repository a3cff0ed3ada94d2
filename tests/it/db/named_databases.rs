//! Never another database than the one that was meant, and none that nobody asked for.

use std::fs;

use crate::support::db::Db;
use crate::support::haul::Done;

fn run_at(db: &Db, url: &str, arguments: &str) -> Done {
    Done::of(db.command(arguments).env("DATABASE_URL", url).output().unwrap())
}

/// Runs without `--create`.
fn run_plainly(db: &Db, arguments: &str) -> Done {
    Done::of(db.command("").args(arguments.split(' ')).output().unwrap())
}

fn files(db: &Db) -> Vec<String> {
    let names = fs::read_dir(db.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name != "migrations").collect();
    names.sort();
    names
}

#[test]
fn a_file_that_does_not_exist_is_created_on_request_only() {
    let db = Db::sqlite();
    db.write("1_a.sql", "CREATE TABLE a (a INT);");
    let verbs =
        ["migrate", "migrate --dry-run", "migrate --dry-run=execute", "status", "verify", "log", "locks", "unlock"];
    for verb in verbs.into_iter().chain(["drift", "dump", "baseline 1", "rollback --steps 1", "redo --yes", "repair"]) {
        let done = run_plainly(&db, verb).expect(2);
        assert!(done.stderr.contains("x.db does not exist yet"), "{verb}: {}", done.stderr);
        assert!(done.stderr.contains("--create"), "{verb}: {}", done.stderr);
        assert_eq!(files(&db), [""; 0], "{verb}");
    }
    assert!(run_plainly(&db, "migrate --create --dry-run").expect(0).stdout.contains("CREATE TABLE a"));
    assert_eq!(files(&db), [""; 0]);
    run_plainly(&db, "migrate --create").expect(0);
    assert_eq!(db.applied(), ["1_a"]);
    run_plainly(&db, "migrate --create").expect(0);
}

#[test]
fn create_database_creates_one_that_is_empty() {
    let db = Db::sqlite();
    db.write("1_a.sql", "CREATE TABLE a (a INT);");
    assert_eq!(db.json("create-database", 0)["created"], true);
    assert_eq!(db.json("create-database", 0)["created"], false);
    assert!(db.run("status").expect(0).stdout.contains("0 applied, 1 pending"));
    run_plainly(&db, "migrate").expect(0);
}

#[test]
fn parameters_of_a_url_are_no_part_of_the_name() {
    let db = Db::sqlite();
    db.write("1_a.sql", "CREATE TABLE a (a INT);");
    run_at(&db, "sqlite://app.db?mode=rwc", "migrate").expect(0);
    run_at(&db, "sqlite:my%20app.db?mode=rw", "migrate").expect(0);
    run_at(&db, "sqlite:file:z.db", "migrate").expect(0);
    let databases: Vec<_> = files(&db).into_iter().filter(|name| name.ends_with(".db")).collect();
    assert_eq!(databases, ["app.db", "my app.db", "z.db"]);
    run_at(&db, "sqlite:app.db?mode=ro", "status").expect(0);
    let bytes = fs::read(db.path().join("app.db")).unwrap();
    db.write("2_b.sql", "CREATE TABLE b (a INT);");
    assert!(run_at(&db, "sqlite:app.db?mode=ro", "migrate").expect(2).stderr.contains("mode=ro"));
    assert_eq!(fs::read(db.path().join("app.db")).unwrap(), bytes);
    for url in ["sqlite:app.db?cache=shared", "sqlite:app.db?mode=memory", "sqlite:app.db?rwc", "sqlite:%zz"] {
        run_at(&db, url, "migrate").expect(2);
    }
    assert_eq!(files(&db).into_iter().filter(|name| name.ends_with(".db")).count(), 3);
}

#[test]
fn an_empty_name_is_an_error_and_the_default_is_not_created_unasked() {
    let db = Db::sqlite();
    db.write("1_a.sql", "CREATE TABLE a (a INT);");
    for url in ["", " "] {
        assert!(run_at(&db, url, "migrate").expect(2).stderr.contains("DATABASE_URL names an empty database URL"));
    }
    let done = Done::of(db.command("migrate").args(["--database", ""]).output().unwrap()).expect(2);
    assert!(done.stderr.contains("--database names an empty"), "{}", done.stderr);
    let done = Done::of(db.command("status").env_remove("DATABASE_URL").output().unwrap()).expect(2);
    assert!(done.stderr.contains("sqlite:./haul.db does not exist yet"), "{}", done.stderr);
    for text in ["[db]\ndatabase = \"\"\n", "[db]\ndatabas = \"sqlite:y.db\"\n", "database = \"sqlite:y.db\"\n"] {
        fs::write(db.path().join("haul.toml"), text).unwrap();
        let done = Done::of(db.command("migrate").env_remove("DATABASE_URL").output().unwrap()).expect(2);
        assert!(done.stderr.contains("haul.toml"), "{}", done.stderr);
    }
    assert_eq!(files(&db), ["haul.toml"]);
}

#[test]
fn a_path_that_nobody_has_meant_is_an_error() {
    let db = Db::sqlite();
    db.write("1_a.sql", "CREATE TABLE a (a INT);");
    for url in [
        "sqlite:x.db ",
        "sqlite:x.db\n",
        "sqlite:\"x.db\"",
        "sqlite:${DB}",
        "sqlite:x.db#1",
        "sqlite:x.db;",
        "sqlite:///./x.db",
    ] {
        let done = run_at(&db, url, "migrate").expect(2);
        assert!(done.stderr.contains("the URL of the database cannot be read"), "{url}: {}", done.stderr);
    }
    assert_eq!(files(&db), [""; 0]);
}

#[test]
fn a_user_or_database_that_is_written_and_empty_is_an_error() {
    let db = Db::sqlite();
    for (url, what) in [
        ("postgres://me:pw@127.0.0.1:1/", "an empty database"),
        ("postgres://me@127.0.0.1:1/app?dbname=", "an empty database"),
        ("postgres://", "an empty database"),
        ("postgres://:pw@127.0.0.1:1/app", "an empty user"),
        ("host=127.0.0.1 port=1 user=me dbname=", "an empty database"),
        ("host=127.0.0.1 port=1 user= dbname=app", "a word has no value"),
    ] {
        let mut command = db.command("migrate");
        command.env("DATABASE_URL", url).env_remove("PGDATABASE").env_remove("PGUSER");
        let done = Done::of(command.output().unwrap()).expect(2);
        assert!(done.stderr.contains(what), "{url}: {}", done.stderr);
    }
    // Elsewhere it may be named.
    let mut command = db.command("status");
    command.env("DATABASE_URL", "postgres://127.0.0.1:1/").env("PGDATABASE", "app").env("PGUSER", "me");
    assert!(Done::of(command.output().unwrap()).expect(75).stderr.contains("me@127.0.0.1:1/app"));
}

#[test]
fn a_password_in_a_wrong_place_is_not_shown() {
    let db = Db::sqlite();
    let url = "postgres://me:s3cret@127.0.0.1:1/db";
    for words in [
        vec!["status", url],
        vec!["status", "--env", url],
        vec!["status", "--databse", url],
        vec!["status", "--database", "postgres://me%3As3cret@127.0.0.1:1/db"],
        vec!["status", "--database", "user=me:s3cret host=127.0.0.1 port=1"],
    ] {
        let texts = Done::of(db.command("").args(&words).output().unwrap()).expect(2).texts();
        assert!(!texts.contains("s3cret"), "{words:?}: {texts}");
    }
}

#[test]
fn no_part_of_a_password_is_shown() {
    let db = Db::sqlite();
    for password in ["first@second", "fir/st@second", "a:b@second", "p@ss:second", "x@second/z", "1?second", "1/second"]
    {
        let url = format!("postgres://me:{password}@127.0.0.1:1/db");
        for arguments in ["status", "status --json", "locks", "migrate", "create-database"] {
            let texts = run_at(&db, &url, arguments).expect(2).texts();
            assert!(!texts.contains("second") && !texts.contains("first"), "{password}: {texts}");
        }
    }
}

mod on_postgres {
    use crate::support::db::Db;
    use crate::support::haul::Done;

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn a_database_is_created_on_request_only() {
        let db = Db::postgres();
        db.write("1_a.sql", "CREATE TABLE a (a INT);");
        let url = format!("{}_\"new", db.url());
        let run = |arguments: &str| Done::of(db.command(arguments).env("DATABASE_URL", &url).output().unwrap());
        for verb in ["status", "migrate"] {
            assert!(run(verb).expect(1).stderr.contains("haul db create-database"));
        }
        assert!(run("create-database").expect(0).stdout.ends_with("created\n"));
        assert!(run("create-database").expect(0).stdout.contains("nothing to do"));
        run("migrate --create").expect(0);
        let created = format!("{}_other", db.url());
        let mut command = db.command("migrate --create");
        Done::of(command.env("DATABASE_URL", &created).output().unwrap()).expect(0);
        let name = db.rows("SELECT current_database()").remove(0);
        for ending in ["_\"new", "_other"] {
            db.execute(&format!("DROP DATABASE \"{}\"", format!("{name}{ending}").replace('"', "\"\"")));
        }
    }
}
