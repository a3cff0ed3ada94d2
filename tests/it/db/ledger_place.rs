//! haul's tables are found wherever they are, whatever a session looks at first.

use crate::support::db::Db;
use crate::support::db_contents::on_both;
use crate::support::haul::Done;

on_both! {
    a_migration_that_drops_the_ledger_is_explained
}

fn a_migration_that_drops_the_ledger_is_explained(db: &Db) {
    db.write("1_a.sql", "CREATE TABLE a (a INT);\nDROP TABLE haul_migrations;");
    let done = db.run("migrate --yes").expect(1);
    assert!(done.stderr.contains("haul's own tables (haul_migrations and others) are gone"), "{}", done.stderr);
    assert_eq!(db.tables(), [""; 0]);
}

#[test]
fn a_schema_for_the_ledger_is_refused_on_sqlite() {
    let db = Db::sqlite();
    db.write("1_a.sql", "CREATE TABLE a (a INT);");
    let done = db.run("migrate --table app.ledger").expect(2);
    assert!(done.stderr.contains("has no schema app") && done.stderr.contains("--table ledger"), "{}", done.stderr);
    assert!(!db.file().exists());
}

mod postgres {
    use super::*;

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn a_ledger_is_found_whatever_the_search_path() {
        let db = Db::postgres();
        let database = db.rows("SELECT current_database()").remove(0);
        db.write(
        "1_a.sql",
        &format!(
            "CREATE TABLE public.a (a INT);\nINSERT INTO public.a VALUES (1);\nCREATE SCHEMA app;\nALTER DATABASE {database} \
             SET search_path = app, public;"
        ),
    );
        db.run("migrate").expect(0);
        let status = db.json("status", 0);
        assert_eq!((status["applied"].as_array().unwrap().len(), &status["ledger_schema"]), (1, &"public".into()));
        let done = db.run("migrate").expect(0);
        assert!(done.texts().contains("the ledger is public.haul_migrations"), "{}", done.texts());
        for verb in ["verify", "drift"] {
            db.run(verb).expect(0);
        }
        assert!(db.run("log").expect(0).stdout.contains("1_a"));
        assert!(!db.run("dump").expect(0).stdout.contains("haul_migrations"));
        assert_eq!(db.rows("SELECT count(*) FROM public.a"), ["1"]);
        let tables = "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename LIKE 'haul%'";
        assert_eq!(db.rows(tables), ["public"]);
        // A schema that is named like the role comes first as well.
        db.execute(&format!("ALTER DATABASE {database} RESET search_path; CREATE SCHEMA postgres"));
        assert_eq!(db.json("migrate", 0)["applied"], 0);
        assert_eq!(db.rows(tables), ["public"]);
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn two_ledgers_are_refused_until_one_is_named() {
        let db = Db::postgres();
        db.write("1_a.sql", "SELECT 1;").run("migrate").expect(0);
        db.execute("CREATE SCHEMA app; CREATE TABLE app.haul_migrations (LIKE haul_migrations)");
        for verb in ["status", "migrate", "log", "verify", "drift"] {
            let done = db.run(verb).expect(1);
            assert!(done.stderr.contains("app.haul_migrations, public.haul_migrations"), "{verb}: {}", done.stderr);
            assert!(done.stderr.contains("--table app.haul_migrations"), "{verb}: {}", done.stderr);
        }
        assert_eq!(db.json("migrate --table public.haul_migrations", 0)["applied"], 0);
        // A table of that name that is not a ledger is none.
        db.execute("ALTER TABLE app.haul_migrations RENAME COLUMN position TO place");
        assert_eq!(db.json("migrate", 0)["applied"], 0);
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn a_ledger_may_have_a_schema_of_its_own() {
        let db = Db::postgres();
        db.write("1_a.sql", "CREATE TABLE a (a INT);");
        let done = db.run("migrate --table own.ledger").expect(1);
        assert!(done.stderr.contains("create the schema"), "{}", done.stderr);
        assert_eq!(db.tables(), [""; 0]);
        db.execute("CREATE SCHEMA own");
        db.run("migrate --table own.ledger").expect(0);
        assert_eq!(
            db.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'own' ORDER BY 1"),
            ["ledger", "ledger_log", "ledger_schema"]
        );
        assert_eq!(db.json("migrate --table ledger", 0)["applied"], 0);
        assert!(db.run("rollback --steps 1 --force --yes --table own.ledger").expect(0).texts().contains("1_a"));
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn the_lock_depends_on_the_name_of_the_ledger_alone() {
        let db = Db::postgres();
        db.execute("CREATE SCHEMA app");
        db.write("1_a.sql", "SELECT 1;").run("migrate").expect(0);
        let mut first = haul::db::Target::parse(db.url()).unwrap().open().unwrap();
        first.try_lock("haul_migrations", "").unwrap().unwrap();
        let url = format!("{}?options=-c%20search_path%3Dapp", db.url());
        let run = |arguments: &str| Done::of(db.command(arguments).env("DATABASE_URL", &url).output().unwrap());
        for table in ["haul_migrations", "app.haul_migrations", "public.haul_migrations"] {
            run(&format!("migrate --table {table}")).expect(75);
        }
        run("migrate --table other --allow-other-ledger").expect(0);
    }
}
