//! How tenants are named: schemas by patterns and queries, databases by lists and queries; and what a tenant sees.

use std::fs;

use crate::support::db::Db;
use crate::support::db_contents::{Engine, on_both};
use crate::support::tenants::{Tenants, counts};

on_both! {
    a_list_without_tenants_is_refused
    a_name_that_does_not_exist_stops_all
    a_query_names_the_databases
    a_ledger_of_another_name_is_in_each_tenant
}

const A: &str = "-- Up\nCREATE TABLE a (a INT);\n-- Down\nDROP TABLE a;\n";

fn list(db: &Db, text: &str) {
    fs::write(db.path().join("list"), text).unwrap();
}

fn a_list_without_tenants_is_refused(db: &Db) {
    db.write("1_a.sql", A);
    list(db, "# none\n\n");
    let of_engine = if db.engine() == Engine::Postgres { "--schemas nobody_*" } else { "--databases list" };
    for arguments in [of_engine, "--databases list"] {
        for verb in ["migrate", "status", "verify", "rollback --steps 1 --yes"] {
            let error = db.run(&format!("{verb} {arguments}")).expect(65).stderr;
            assert!(error.contains("there are no tenants") && error.contains("--allow-empty"), "{error}");
            db.run(&format!("{verb} {arguments} --allow-empty")).expect(0);
        }
    }
    let error = db.run("migrate --databases nowhere").expect(2).stderr;
    assert!(error.contains("there is no file nowhere"), "{error}");
}

fn a_name_that_does_not_exist_stops_all(db: &Db) {
    db.write("1_a.sql", A);
    match db.engine() {
        Engine::Sqlite => {
            let tenants = Tenants::new(db, 2);
            list(db, "tenant_01.db\nmissing.db\ntenant_02.db\n");
            let error = db.run("rollback --steps 1 --databases list").expect(2).stderr;
            assert!(error.contains("1 do not exist: sqlite:missing.db"), "{error}");
            assert!(!db.path().join("missing.db").exists());
            assert_eq!(tenants.rows(0, "SELECT count(*) FROM sqlite_schema"), ["0"]);
            list(db, "tenant_01.db\n./tenant_01.db\n");
            let error = db.run("migrate --databases list").expect(2).stderr;
            assert!(error.contains("list:2: this is sqlite:./tenant_01.db, as is list:1"), "{error}");
            list(db, "tenant_01.db\nmissing.db\n");
            assert_eq!(counts(&db.json("migrate --databases list", 0)), "2 done, 2 total");
        }
        Engine::Postgres => {
            list(db, &format!("{}\n{}_missing\n", db.url(), db.url()));
            let error = db.run("migrate --databases list").expect(2).stderr;
            assert!(error.contains("1 do not exist: postgres://") && error.contains("_missing; nothing"), "{error}");
            let tenants = Tenants::new(db, 2);
            for (query, expected) in [
                ("VALUES('tenant_01'),('missing')", "there is no schema missing"),
                ("VALUES('tenant_01'),('tenant_01')", "the query returns tenant_01 twice"),
                ("VALUES('tenant_01'),('pg_catalog')", "there is no schema pg_catalog"),
            ] {
                let error = db.run(&format!("migrate --schemas {query}")).expect(2).stderr;
                assert!(error.contains(expected), "{error}");
            }
            assert_eq!(tenants.rows(0, "SELECT count(*) FROM pg_tables WHERE schemaname LIKE 'tenant%'"), ["0"]);
            assert_eq!(counts(&db.json("migrate --create --databases list", 0)), "2 done, 2 total");
        }
    }
}

fn a_query_names_the_databases(db: &Db) {
    db.write("1_a.sql", A);
    let query = |sql: &str| {
        let mut command = db.command("migrate --json --progress none");
        crate::support::haul::Done::of(command.args(["--databases-query", sql]).output().unwrap())
    };
    match db.engine() {
        Engine::Sqlite => {
            Tenants::new(db, 2);
            db.execute(
                "CREATE TABLE tenants (path); INSERT INTO tenants VALUES ('tenant_01.db'), ('sqlite:tenant_02.db')",
            );
            assert_eq!(counts(&query("SELECT path FROM tenants").expect(0).json()), "2 done, 2 total");
        }
        Engine::Postgres => {
            let other = Db::postgres();
            let name = other.rows("SELECT current_database()").remove(0);
            db.execute("CREATE TABLE tenants (name text)");
            db.execute(&format!("INSERT INTO tenants VALUES ('{name}'), ('{}')", db.url()));
            let sql = "SELECT name FROM tenants; -- all";
            query(sql).expect(1);
            assert_eq!(counts(&query("SELECT name FROM tenants -- all").expect(0).json()), "2 done, 2 total");
            assert_eq!(other.applied(), ["1_a"]);
        }
    }
    query("DELETE FROM tenants RETURNING 1").expect(1);
    let count = db.rows("SELECT count(*) FROM tenants");
    assert_eq!(count, ["2"], "a query can only read");
    query("SELECT 1 WHERE 1 = 0").expect(65);
}

fn a_ledger_of_another_name_is_in_each_tenant(db: &Db) {
    let tenants = Tenants::new(db, 2);
    db.write("1_a.sql", A);
    tenants.json("migrate --table mine", 0);
    assert_eq!(tenants.rows(1, "SELECT name FROM mine"), ["1_a"]);
    let error = db.run(&format!("migrate --table other.mine {}", tenants.arguments())).expect(2).stderr;
    assert!(error.contains("write --table mine"), "{error}");
}

#[test]
fn a_password_in_a_list_is_never_shown() {
    let db = Db::sqlite();
    db.write("1_a.sql", A);
    list(
        &db,
        "postgres://me:s3cret@127.0.0.1:1/a?connect_timeout=2\npostgres://me:s3cret@127.0.0.1:1/b?connect_timeout=2\n",
    );
    for arguments in ["migrate --json", "migrate --progress json", "status", "verify --json"] {
        let done = db.run(&format!("{arguments} --databases list")).expect(3);
        assert!(done.texts().contains("postgres://me@127.0.0.1:1/b"), "{}", done.texts());
        assert!(!done.texts().contains("s3cret"), "{}", done.texts());
    }
    list(&db, "postgres://me:s3@cret@127.0.0.1:1/a\n");
    let done = db.run("migrate --databases list").expect(2);
    assert!(done.stderr.contains("list:1: ") && !done.texts().contains("cret"), "{}", done.texts());
    let error = db.run("migrate --schemas tenant_*").expect(2).stderr;
    assert!(error.contains("sqlite:x.db has no schemas"), "{error}");
}

#[test]
fn a_list_is_read_from_standard_input_on_sqlite() {
    let db = Db::sqlite();
    Tenants::new(&db, 2);
    db.write("1_a.sql", A);
    let file = fs::File::open(db.path().join("list")).unwrap();
    let output = db.command("migrate --databases - --json").stdin(file).output().unwrap();
    assert_eq!(counts(&crate::support::haul::Done::of(output).expect(0).json()), "2 done, 2 total");
}

mod on_postgres_only {
    use super::*;

    /// What is shared is found behind the tenant's own, and names without a schema are the tenant's.
    #[test]
    #[ignore = "needs PostgreSQL"]
    fn a_tenant_sees_its_schema_first_and_what_is_shared_on_postgres() {
        let db = Db::postgres();
        let tenants = Tenants::new(&db, 2);
        db.execute("CREATE SCHEMA postgres; CREATE TABLE postgres.a (of_role int); CREATE TABLE public.shared (a int)");
        db.execute("CREATE FUNCTION public.shared_function() RETURNS int LANGUAGE sql AS 'SELECT 7'");
        db.write("1_a.sql", "-- Up\nCREATE TABLE a (a INT);\nSET search_path = public;\n");
        db.write("2_b.sql", "INSERT INTO a VALUES (shared_function());\nINSERT INTO shared SELECT a FROM a;\n");
        db.write("3_c.sql", "-- haul: no-transaction\nCREATE INDEX CONCURRENTLY a_by_a ON a (a);\n");
        assert_eq!(tenants.json("migrate --jobs 2", 0)["applied"], 6);
        assert_eq!(tenants.rows(1, "SELECT a FROM a"), ["7"]);
        assert_eq!(db.rows("SELECT count(*) FROM public.shared"), ["2"]);
        assert_eq!(
            db.rows("SELECT schemaname FROM pg_tables WHERE tablename = 'haul_migrations' ORDER BY 1"),
            tenants.names
        );
        // What is kept for `drift` is the tenant's alone.
        let kept = tenants.rows(0, "SELECT text FROM haul_migrations_schema").join("\n");
        assert!(
            kept.contains("CREATE TABLE tenant_01.a") && !kept.contains("shared") && !kept.contains("tenant_02"),
            "{kept}"
        );
        assert_eq!(tenants.json("verify", 0)["known"], 2);
    }

    /// The ledger of another runner in a schema that all tenants see is none of theirs.
    #[test]
    #[ignore = "needs PostgreSQL"]
    fn the_ledger_of_another_runner_counts_in_the_schema_of_the_tenant_on_postgres() {
        let db = Db::postgres();
        let tenants = Tenants::new(&db, 2);
        db.write("1_a.sql", A);
        let ledger = "CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL); INSERT INTO \
                      schema_migrations VALUES (7, false)";
        db.execute(ledger);
        tenants.execute(1, ledger);
        let end = tenants.json("migrate", 3);
        assert_eq!(counts(&end), "1 done, 1 failed, 2 total");
        let error = end["tenants"][1]["error"].as_str().unwrap();
        assert!(error.contains("tenant_02.schema_migrations of golang-migrate"), "{error}");
    }

    /// A build in another schema is that of another tenant, and not one that this statement has left half done.
    #[test]
    #[ignore = "needs PostgreSQL"]
    fn an_index_of_another_tenant_that_is_not_valid_is_no_failure_on_postgres() {
        let db = Db::postgres();
        let tenants = Tenants::new(&db, 8);
        db.write("1_a.sql", "CREATE TABLE a (a INT);\nINSERT INTO a SELECT generate_series(1, 2000);\n");
        db.write("2_i.sql", "-- haul: no-transaction\nCREATE INDEX CONCURRENTLY a_by_a ON a (a);\n");
        db.write("3_j.sql", "-- haul: no-transaction\nCREATE INDEX CONCURRENTLY ON a ((a + 1));\n");
        assert_eq!(counts(&tenants.json("migrate --jobs 4", 0)), "8 done, 8 total");
    }

    /// A backup holds the schema of the tenant and nothing else.
    #[test]
    #[ignore = "needs PostgreSQL"]
    fn a_backup_is_of_one_tenant_on_postgres() {
        let db = Db::postgres();
        let tenants = Tenants::new(&db, 2);
        db.write("1_a.sql", A);
        let end = tenants.json("migrate --backup required --backup-dir kept", 0);
        let backup = &end["tenants"][1]["run"]["backup"];
        assert!(backup["file"].as_str().unwrap().contains(".tenant_02."), "{backup}");
        assert_eq!(fs::read_dir(db.path().join("kept")).unwrap().count(), 2);
    }
}
