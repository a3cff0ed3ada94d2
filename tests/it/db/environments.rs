//! Environments in haul.toml, and variables in a file `.env`.

use std::fs;

use crate::support::db::Db;
use crate::support::haul::Done;

/// Runs without a database in the environment, but with these variables.
fn run_with(db: &Db, variables: &[(&str, &str)], arguments: &str) -> Done {
    let mut command = db.command(arguments);
    command.env_remove("DATABASE_URL").envs(variables.iter().copied());
    Done::of(command.output().unwrap())
}

fn write(db: &Db, name: &str, text: &str) {
    fs::write(db.path().join(name), text).unwrap();
}

/// Databases `top.db` and `staging.db`, and an environment that names none.
fn prepared() -> Db {
    let db = Db::sqlite();
    db.write("1_a.sql", "-- Up\nCREATE TABLE a (a INT);\n-- Down\nDROP TABLE a;\n");
    write(
        &db,
        "haul.toml",
        "[db]\ndatabase = \"sqlite:top.db\"\n[db.env.staging]\ndatabase = \"sqlite:staging.db\"\n[db.env.bare]\ntimeout_s = 9\n",
    );
    db
}

fn exists(db: &Db, name: &str) -> bool {
    db.path().join(name).exists()
}

#[test]
fn an_environment_names_its_database_everywhere() {
    let db = prepared();
    for (variables, arguments) in [(&[][..], "--env staging"), (&[("HAUL_ENV", "staging")], "")] {
        let done = run_with(&db, variables, &format!("migrate {arguments}")).expect(0);
        assert!(done.stdout.contains("staging, sqlite:staging.db: "), "{}", done.stdout);
        let done = run_with(&db, variables, &format!("status --json {arguments}")).expect(0).json();
        assert_eq!((&done["environment"], &done["database"]), (&"staging".into(), &"sqlite:staging.db".into()));
        let done = run_with(&db, variables, &format!("migrate --dry-run --json {arguments}")).expect(0).json();
        assert_eq!(done["environment"], "staging");
    }
    for verb in ["verify", "log", "locks", "unlock", "drift", "dump", "repair --all", "baseline 1", "create-database"] {
        let done = run_with(&db, &[], &format!("{verb} --json --env staging")).expect(0).json();
        assert_eq!(done["environment"], "staging", "{verb}");
    }
    assert!(!exists(&db, "top.db"));
    db.write("2_b.sql", "-- Up\nDROP TABLE a;\n");
    for verb in ["migrate", "rollback --steps 1", "redo"] {
        let done = run_with(&db, &[], &format!("{verb} --env staging")).expect(2);
        assert!(done.stderr.contains("staging, sqlite:staging.db: "), "{verb}: {}", done.stderr);
    }
    // Without a name, the table [db] counts.
    let done = run_with(&db, &[], "migrate --yes --json").expect(0).json();
    assert_eq!((&done["environment"], exists(&db, "top.db")), (&serde_json::Value::Null, true));
}

#[test]
fn an_environment_never_leads_to_the_database_of_another() {
    let db = prepared();
    let done = run_with(&db, &[], "migrate --env nothing").expect(2);
    assert!(done.stderr.contains("name one of these: bare, staging"), "{}", done.stderr);
    assert!(run_with(&db, &[("HAUL_ENV", "")], "migrate").expect(2).stderr.contains("HAUL_ENV names no environment"));
    let done = run_with(&db, &[], "migrate --env bare").expect(2);
    assert!(done.stderr.contains("the environment bare names no database"), "{}", done.stderr);
    // What is named for this command alone counts more than a file.
    run_with(&db, &[("DATABASE_URL", "sqlite:given.db")], "migrate --env bare").expect(0);
    run_with(&db, &[], "migrate --env staging --database sqlite:other.db").expect(0);
    assert!(exists(&db, "given.db") && exists(&db, "other.db") && !exists(&db, "top.db") && !exists(&db, "staging.db"));
    let done = run_with(&db, &[("DATABASE_URL", "sqlite:unused.db")], "migrate --env staging").expect(0);
    assert!(done.stderr.contains("note: DATABASE_URL is not used: the environment staging"), "{}", done.stderr);
    assert!(exists(&db, "staging.db") && !exists(&db, "unused.db"));
}

#[test]
fn a_file_of_variables_stands_in_for_those_that_are_not_set() {
    let db = Db::sqlite();
    db.write("1_a.sql", "CREATE TABLE a (a INT);");
    write(
        &db,
        ".env",
        "# local\nSECRET=\"s3cret\nPGHOST=no\"\nPGADMIN_X=$x\nexport DATABASE_URL='sqlite:file.db' # here\n",
    );
    let done = run_with(&db, &[], "migrate").expect(0);
    assert!(done.stderr.contains("note: .env sets DATABASE_URL\n") && exists(&db, "file.db"), "{}", done.stderr);
    let done = run_with(&db, &[("DATABASE_URL", "sqlite:given.db")], "migrate").expect(0);
    assert!(!done.stderr.contains("note: ") && exists(&db, "given.db"), "{}", done.stderr);
    run_with(&db, &[("DATABASE_URL", "")], "migrate").expect(2);
    write(&db, ".env", "A=1\nDATABASE_URL=\"sqlite:s3cret\n");
    let done = run_with(&db, &[], "status").expect(2);
    assert!(
        done.stderr.contains(".env:2: a quote is not closed") && !done.texts().contains("s3cret"),
        "{}",
        done.stderr
    );
    write(&db, ".env", "DATABASE_URL=sqlite:$HOME/s3cret\n");
    let done = run_with(&db, &[], "status").expect(2);
    assert!(done.stderr.contains(".env:1: the value holds a $") && !done.texts().contains("s3cret"), "{}", done.stderr);
}

#[test]
fn a_file_of_variables_is_not_for_an_environment_that_was_named_elsewhere() {
    let db = prepared();
    write(&db, ".env", "DATABASE_URL=sqlite:mine.db\n");
    let done = run_with(&db, &[], "migrate --env bare").expect(2);
    assert!(done.stderr.contains("the environment bare names no database"), "{}", done.stderr);
    write(&db, ".env", "DATABASE_URL=sqlite:mine.db\nHAUL_ENV=bare\n");
    let done = run_with(&db, &[], "migrate").expect(0);
    assert!(done.stderr.contains("note: .env sets DATABASE_URL, HAUL_ENV\n"), "{}", done.stderr);
    assert!(done.stdout.contains("bare, sqlite:mine.db: ") && exists(&db, "mine.db"), "{}", done.stdout);
}

#[test]
fn a_role_is_not_for_sqlite() {
    let db = Db::sqlite();
    db.write("1_a.sql", "CREATE TABLE a (a INT);");
    assert!(db.run("migrate --role app").expect(2).stderr.contains("SQLite has no roles"));
    write(&db, "haul.toml", "[db]\nrole = \"app\"\n");
    assert!(db.run("migrate").expect(2).stderr.contains("SQLite has no roles"));
    assert!(!exists(&db, "x.db"));
}

mod on_postgres {
    use super::write;
    use crate::support::db::Db;
    use crate::support::haul::Done;

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn an_environment_and_a_file_of_variables_name_a_server() {
        let db = Db::postgres();
        db.write("1_a.sql", "CREATE TABLE a (a INT);");
        let socket = db.rows("SHOW unix_socket_directories").remove(0);
        let database = db.rows("SELECT current_database()").remove(0);
        write(&db, "haul.toml", "[db.env.dev]\ndatabase = \"postgres://\"\n");
        write(&db, ".env", &format!("PGHOST={socket}\nPGUSER=postgres\nPGDATABASE={database}\nHAUL_ENV=dev\n"));
        let run = |arguments: &str| Done::of(db.command(arguments).env_remove("DATABASE_URL").output().unwrap());
        let done = run("migrate").expect(0);
        assert!(done.stderr.contains("note: .env sets HAUL_ENV, PGDATABASE, PGHOST, PGUSER\n"), "{}", done.stderr);
        assert!(done.stdout.contains(&format!("dev, postgres://postgres@{socket}/{database}: ")), "{}", done.stdout);
        assert_eq!(run("status --json").expect(0).json()["environment"], "dev");
        assert_eq!(db.applied(), ["1_a"]);
    }
}
