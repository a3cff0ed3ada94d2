//! The session of a migration: the same for all of its statements, and gone before the next migration.

use proptest::collection::vec;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};

use crate::support::db::Db;
use crate::support::db_contents::{Engine, on_both};

on_both! {
    a_temporary_table_does_not_take_rows_of_the_next_file
    a_temporary_table_of_the_same_name_is_no_conflict
    a_temporary_table_between_transactions_is_refused
    batches_of_two_files_do_not_disturb_each_other
}

/// Applies everything at once, or one file after the other.
fn migrate(db: &Db, versions: u32, together: bool) {
    if together {
        db.run("migrate --yes").expect(0);
    } else {
        (1..=versions).for_each(|version| drop(db.run(&format!("migrate --yes --to {version}")).expect(0)));
    }
}

/// Runs generated sets of files at once, and one file after the other. Both must stop at the same file, with the same
/// rows.
fn together_is_as_apart(open: fn() -> Db, first: &str, pool: &'static [&'static str]) {
    let files = vec((select(&["", "", "-- haul: no-transaction\n"][..]), vec(select(pool), 1..4)), 2..5);
    let mut runner = TestRunner::new(Config { cases: 6, failure_persistence: None, ..Config::default() });
    let run = |files: &[(&str, Vec<&str>)], together: bool| {
        let db = open();
        db.write("1_first.sql", first).run("migrate").expect(0);
        for (index, (head, statements)) in files.iter().enumerate() {
            db.write(&format!("{}_x.sql", index + 2), &format!("{head}{}", statements.join("\n")));
        }
        let last = files.len() + 1;
        let ends: Vec<_> = match together {
            true => vec![db.run("migrate --yes")],
            false => (2..=last).map(|version| db.run(&format!("migrate --yes --to {version}"))).collect(),
        };
        // A file that is refused before anything runs keeps back the files before it too.
        if ends.iter().any(|end| end.code == 2) {
            return None;
        }
        let is_done = ends.iter().all(|end| end.code == 0);
        Some((is_done, db.applied(), db.rows("SELECT a FROM seen ORDER BY a"), db.rows("SELECT a FROM k ORDER BY a")))
    };
    let result = runner.run(&files, |files| {
        let together = run(&files, true);
        proptest::prop_assume!(together.is_some());
        proptest::prop_assert_eq!(together, run(&files, false));
        Ok(())
    });
    result.unwrap();
}

fn a_temporary_table_does_not_take_rows_of_the_next_file(db: &Db) {
    db.write("1_a.sql", "CREATE TABLE users (a INT);");
    db.write("2_b.sql", "CREATE TEMP TABLE users (a INT);\nCREATE TEMP VIEW v AS SELECT 1 AS one;");
    db.write("3_c.sql", "INSERT INTO users VALUES (1);\nCREATE TEMP VIEW v AS SELECT 2 AS one;");
    migrate(db, 3, true);
    assert_eq!(db.rows("SELECT count(*) FROM users"), ["1"]);
}

fn a_temporary_table_of_the_same_name_is_no_conflict(db: &Db) {
    for name in ["1_a", "2_b"] {
        db.write(&format!("{name}.sql"), "-- haul: no-transaction\nCREATE TEMP TABLE k (a INT);\n");
    }
    db.write("3_c.sql", "CREATE TEMP TABLE k AS SELECT 1 AS a;");
    migrate(db, 3, true);
}

fn batches_of_two_files_do_not_disturb_each_other(db: &Db) {
    let text = "-- Batch: SELECT id FROM t\nUPDATE t SET n = n + 1 WHERE id IN (SELECT id FROM haul_batch);";
    db.write("1_a.sql", "CREATE TABLE t (id INT PRIMARY KEY, n INT);\nINSERT INTO t VALUES (1, 0), (2, 0);");
    db.write("2_b.sql", text).write("3_c.sql", text);
    migrate(db, 3, true);
    assert_eq!(db.rows("SELECT n FROM t"), ["2", "2"]);
}

fn a_temporary_table_between_transactions_is_refused(db: &Db) {
    db.write("1_a.sql", "CREATE TABLE t (id INT PRIMARY KEY);").run("migrate").expect(0);
    for text in [
        "-- haul: no-transaction\nCREATE TEMP TABLE k (a INT);\nINSERT INTO k VALUES (1);",
        "CREATE TEMP TABLE k AS SELECT 1 AS a;\n-- Batch: SELECT id FROM t\nDELETE FROM t WHERE id IN (SELECT id FROM haul_batch) AND id IN (SELECT a FROM k);",
    ] {
        let end = db.write("2_b.sql", text).run("migrate --yes").expect(2);
        assert!(end.stderr.contains("2_b.sql:") && end.stderr.contains("between BEGIN and COMMIT"), "{}", end.stderr);
    }
    // In a transaction of its own it is used up.
    let text = "-- haul: no-transaction\nBEGIN;\nCREATE TEMP TABLE k (a INT);\nINSERT INTO k VALUES (1);\n\
                INSERT INTO t SELECT a FROM k;\nCOMMIT;\nDELETE FROM t;";
    db.write("2_b.sql", text).run("migrate --yes").expect(0);
}

mod sqlite {
    use super::*;

    #[test]
    fn files_do_the_same_together_and_apart() {
        let first = "CREATE TABLE seen (a INT);\nCREATE TABLE k (a INT CHECK (a > 0));\nINSERT INTO k VALUES (100);";
        let pool = &[
            "CREATE TEMP TABLE k AS SELECT 1 AS a;",
            "INSERT INTO k VALUES (7);",
            "INSERT INTO k VALUES (-7);",
            "INSERT INTO seen SELECT max(a) FROM k;",
            "PRAGMA ignore_check_constraints = ON;",
            "PRAGMA case_sensitive_like = ON;",
            "INSERT INTO seen SELECT 'a' LIKE 'A';",
            "PRAGMA query_only = ON;",
            "CREATE TEMP TRIGGER r AFTER INSERT ON main.k BEGIN INSERT INTO seen VALUES (55); END;",
        ];
        together_is_as_apart(Db::sqlite, first, pool);
    }

    #[test]
    fn a_pragma_does_not_hold_for_the_next_file() {
        for together in [true, false] {
            let db = Db::sqlite();
            db.write("1_a.sql", "CREATE TABLE t (a INT CHECK (a > 0));\nCREATE TABLE other (a INT);");
            db.write("2_b.sql", "PRAGMA ignore_check_constraints = ON;\nPRAGMA case_sensitive_like = ON;");
            db.write("3_c.sql", "INSERT INTO other SELECT 'a' LIKE 'A';");
            migrate(&db, 3, together);
            assert_eq!(db.rows("SELECT a FROM other"), ["1"]);
            db.write("4_d.sql", "INSERT INTO t VALUES (-1);").run("migrate").expect(1);
        }
    }

    #[test]
    fn a_pragma_holds_for_a_section_that_is_continued() {
        let db = Db::sqlite();
        db.write("1_a.sql", "CREATE TABLE t (a INT CHECK (a > 0));").run("migrate").expect(0);
        let text = "-- haul: no-transaction\nPRAGMA ignore_check_constraints = ON;\nPRAGMA query_only = OFF;\n\
                    INSERT INTO later VALUES (1);\nINSERT INTO t VALUES (-1);";
        db.write("2_b.sql", text).run("migrate").expect(1);
        db.execute("CREATE TABLE later (a INT)");
        db.run("migrate").expect(0);
        assert_eq!(db.rows("SELECT a FROM t"), ["-1"]);
    }

    #[test]
    fn a_section_that_only_reads_is_recorded() {
        let db = Db::sqlite();
        for (name, head) in [("1_a.sql", ""), ("2_b.sql", "-- haul: no-transaction\n")] {
            db.write(name, &format!("{head}PRAGMA query_only = ON;\nSELECT 1;\nSELECT 2;"));
        }
        db.run("migrate").expect(0);
        assert_eq!(db.engine(), Engine::Sqlite);
    }

    #[test]
    fn an_attached_database_is_there_when_a_section_is_continued() {
        let db = Db::sqlite();
        let text = "-- haul: no-transaction\nATTACH 'other.db' AS other;\nINSERT INTO later VALUES (1);\n\
                    CREATE TABLE other.t (a);";
        db.write("1_a.sql", text).run("migrate").expect(1);
        db.execute("CREATE TABLE later (a INT)");
        db.run("migrate").expect(0);
        assert!(db.path().join("other.db").exists());
    }
}

mod postgres {
    use super::*;

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn files_do_the_same_together_and_apart() {
        let first = "CREATE TABLE seen (a int);\nCREATE TABLE k (a int);\nINSERT INTO k VALUES (100);\nCREATE SEQUENCE s;\n\
                     CREATE SCHEMA other;\nCREATE TABLE other.k (a int);";
        let pool = &[
            "CREATE TEMP TABLE k AS SELECT 1 AS a;",
            "INSERT INTO k VALUES (7);",
            "INSERT INTO public.seen SELECT max(a) FROM k;",
            "SET search_path = other;",
            "SET TIME ZONE 'Asia/Tokyo';",
            "INSERT INTO public.seen SELECT extract(hour FROM timestamptz '2020-01-01 00:00Z');",
            "SELECT nextval('public.s');",
            "INSERT INTO public.seen SELECT currval('public.s');",
            "PREPARE p AS SELECT 1;",
            "EXECUTE p;",
            "DECLARE c CURSOR WITH HOLD FOR SELECT 1;",
            "FETCH c;",
        ];
        together_is_as_apart(Db::postgres, first, pool);
    }

    /// Two tables of one name, the one that a search path without `tenant_a` finds first among them.
    fn tenants(table: &str) -> Db {
        let db = Db::postgres();
        db.execute(&format!(
            "CREATE TABLE public.t {table}; CREATE SCHEMA tenant_a; CREATE TABLE tenant_a.t {table}; \
             INSERT INTO public.t VALUES (1), (2), (3); INSERT INTO tenant_a.t VALUES (1), (2), (3)"
        ));
        db
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn a_search_path_holds_for_batches() {
        for set in [
            "SET search_path = tenant_a",
            "SELECT set_config('search_path', 'tenant_a', false)",
            "WITH x AS (SELECT set_config('search_path', 'tenant_a', false)) SELECT * FROM x",
            "VALUES (set_config('search_path', 'tenant_a', false))",
            "UPDATE pg_settings SET setting = 'tenant_a' WHERE name = 'search_path'",
        ] {
            let db = tenants("(id int PRIMARY KEY, v int)");
            let text = format!(
                "-- haul: batch-rows=2\n{set};\n-- Batch: SELECT id FROM t\n\
                 UPDATE t SET v = 7 WHERE id IN (SELECT id FROM haul_batch);"
            );
            db.write("1_a.sql", &text).run("migrate --yes").expect(0);
            assert_eq!(db.rows("SELECT count(v) FROM public.t"), ["0"], "{set}");
            assert_eq!(db.rows("SELECT count(v) FROM tenant_a.t"), ["3"], "{set}");
        }
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn a_search_path_holds_for_batches_that_are_continued() {
        let db = tenants("(id int PRIMARY KEY, v int)");
        db.execute("ALTER TABLE tenant_a.t ADD CHECK (id <> 3 OR v IS NULL)");
        let text = "-- haul: batch-rows=1\nSET search_path = tenant_a;\n-- Batch: SELECT id FROM t\n\
                    UPDATE t SET v = 7 WHERE id IN (SELECT id FROM haul_batch);";
        db.write("1_a.sql", text).run("migrate --yes").expect(1);
        db.execute("ALTER TABLE tenant_a.t DROP CONSTRAINT t_check");
        db.run("migrate --yes").expect(0);
        assert_eq!(db.rows("SELECT count(v) FROM public.t"), ["0"]);
        assert_eq!(db.rows("SELECT count(v) FROM tenant_a.t"), ["3"]);
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn a_search_path_holds_for_a_section_that_is_continued() {
        let db = tenants("(n int)");
        db.execute("INSERT INTO tenant_a.t VALUES (1)");
        let text = "-- haul: no-transaction\nBEGIN;\nSET search_path = tenant_a;\nCOMMIT;\n\
                    CREATE UNIQUE INDEX u ON t (n);";
        db.write("1_a.sql", text).run("migrate --yes").expect(1);
        db.execute("DELETE FROM tenant_a.t WHERE ctid = '(0,4)'");
        db.run("migrate --yes").expect(0);
        assert_eq!(db.rows("SELECT schemaname FROM pg_indexes WHERE indexname = 'u'"), ["tenant_a"]);
    }

    /// What sets the search path without saying so in its words.
    const HIDDEN: [&str; 5] = [
        "SELECT f()",
        "CALL p()",
        "TABLE v",
        "INSERT INTO public.sink SELECT set_config('search_path', 'tenant_a', false)",
        "DELETE FROM public.sink",
    ];

    fn with_hidden_settings(table: &str) -> Db {
        let db = tenants(table);
        db.execute(
            "CREATE TABLE sink (a text); INSERT INTO sink VALUES ('x');
             CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT set_config('search_path', 'tenant_a', false) $$;
             CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN SET search_path = tenant_a; END $$;
             CREATE VIEW v AS SELECT f();
             CREATE FUNCTION r() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM public.f(); RETURN OLD; END $$;
             CREATE TRIGGER r BEFORE DELETE ON sink FOR EACH ROW EXECUTE FUNCTION r()",
        );
        db
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn a_setting_that_no_statement_says_is_refused_in_batches() {
        let db = with_hidden_settings("(id int PRIMARY KEY, v int)");
        for set in HIDDEN {
            let text = format!(
                "{set};\n-- Batch: SELECT id FROM t\nUPDATE t SET v = 7 WHERE id IN (SELECT id FROM haul_batch);"
            );
            let end = db.write("1_a.sql", &text).run("migrate --yes").expect(1);
            assert!(end.stderr.contains("1_a.sql:1:") && end.stderr.contains("changes search_path"), "{}", end.stderr);
            assert!(end.stderr.contains("nothing of it was kept") && end.stderr.contains("SET"), "{}", end.stderr);
            db.run("migrate --dry-run=execute").expect(1);
        }
        assert_eq!(db.rows("SELECT count(v) FROM public.t UNION ALL SELECT count(v) FROM tenant_a.t"), ["0", "0"]);
        // What ends with the transaction is no loss.
        db.write("1_a.sql", "SELECT set_config('search_path', 'tenant_a', true);\n-- Batch: SELECT id FROM t\nUPDATE t SET v = 7 WHERE id IN (SELECT id FROM haul_batch);");
        db.run("migrate --yes").expect(0);
        assert_eq!(db.rows("SELECT count(v) FROM public.t"), ["3"]);
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn a_setting_that_no_statement_says_is_not_lost_when_a_section_is_continued() {
        for set in HIDDEN {
            let db = with_hidden_settings("(n int)");
            let head = format!("-- haul: no-transaction\n{set};\n");
            db.write("1_a.sql", &format!("{head}CREATE UNIQUE INDEX u ON t (n);"));
            let end = db.run("migrate --yes").expect(1);
            assert!(end.stderr.contains("1_a.sql:2:") && end.stderr.contains("changes search_path"), "{}", end.stderr);
            assert!(end.stderr.contains("resolve --version 1 --from-statement 2"), "{}", end.stderr);
            let again = db.run("migrate --yes").expect(1);
            assert!(again.stderr.contains("would run without what those before it have set"), "{}", again.stderr);
            db.write("1_a.sql", &format!("{head}SET search_path = tenant_a;\nCREATE UNIQUE INDEX u ON t (n);"));
            db.run("resolve --version 1 --from-statement 2 --yes").expect(0);
            db.run("migrate --yes").expect(0);
            assert_eq!(db.rows("SELECT schemaname FROM pg_indexes WHERE indexname = 'u'"), ["tenant_a"], "{set}");
        }
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn what_statements_say_or_leave_as_it_is_goes_on_without_a_transaction() {
        let db = with_hidden_settings("(n int)");
        let text = "-- haul: no-transaction\nBEGIN;\nSET TRANSACTION ISOLATION LEVEL SERIALIZABLE;\nSET LOCAL search_path = tenant_a;\n\
                    COMMIT;\nSET search_path = tenant_a;\nSELECT public.f();\nCREATE TEMP VIEW w AS SELECT 1;\nSELECT count(*) FROM t;";
        db.write("1_a.sql", text).run("migrate").expect(0);
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn rows_of_haul_are_written_as_the_role_of_the_run() {
        let db = Db::postgres();
        let role = db.client().query_one("SELECT current_database()", &[]).unwrap().get::<_, String>(0);
        db.execute(&format!("CREATE ROLE \"{role}\"; GRANT ALL ON SCHEMA public TO \"{role}\""));
        let set = format!("SET ROLE \"{role}\";\nSET search_path = public;\n");
        db.write("1_a.sql", &format!("{set}CREATE TABLE t (n int);"));
        let text = format!(
            "-- haul: no-transaction\n{set}SET default_transaction_read_only = off;\n\
             CREATE INDEX CONCURRENTLY i1 ON t (n);\nSET ROLE NONE;\nSELECT 1 / count(*) FROM t;\nCREATE TABLE u (n int);"
        );
        db.write("2_b.sql", &text).run("migrate --yes").expect(1);
        db.execute("INSERT INTO t VALUES (1)");
        db.run("migrate --yes").expect(0);
        assert_eq!(db.rows("SELECT tablename FROM pg_tables WHERE tableowner = current_user AND schemaname = 'public' AND tablename = 'u'"), ["u"]);
        // A batch runs as the role, and its cursor is haul's.
        let text = format!("{set}-- Batch: SELECT n FROM t\nUPDATE t SET n = n WHERE n IN (SELECT n FROM haul_batch);");
        db.write("3_c.sql", &text).run("migrate --yes").expect(0);
        db.execute(&format!("DROP OWNED BY \"{role}\"; DROP ROLE \"{role}\""));
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn what_a_file_leaves_in_its_session_is_gone() {
        for together in [true, false] {
            let db = Db::postgres();
            db.write("1_a.sql", "CREATE SEQUENCE s;\nCREATE TYPE mood AS ENUM ('a');\nSELECT nextval('s');");
            let text = "PREPARE p AS SELECT 1;\nLISTEN c;\nDECLARE c CURSOR WITH HOLD FOR SELECT 1;\n\
                        SELECT 'a'::mood;\nCREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1';";
            db.write("2_b.sql", text).write("3_c.sql", text);
            let left = "DO $$ BEGIN ASSERT NOT EXISTS (SELECT FROM pg_prepared_statements WHERE from_sql) AND NOT EXISTS \
                        (SELECT FROM pg_cursors WHERE is_holdable) AND NOT EXISTS (SELECT FROM pg_listening_channels()) AND \
                        NOT EXISTS (SELECT FROM pg_proc WHERE pronamespace = pg_my_temp_schema()); END $$;";
            db.write("4_d.sql", &format!("SELECT 'a'::mood;\n{left}"));
            db.write("5_e.sql", &format!("-- haul: no-transaction\n{left}\n{text}"));
            db.write("6_f.sql", left);
            migrate(&db, 6, together);
            let end = db.write("7_g.sql", "SELECT currval('s');").run("migrate").expect(1);
            assert!(end.stderr.contains("55000"), "{}", end.stderr);
        }
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn a_reset_leaves_what_ends_a_killed_run() {
        let db = Db::postgres();
        let check = "DO $$ BEGIN ASSERT current_setting('client_connection_check_interval') = '1s'; END $$;";
        for head in ["", "-- haul: no-transaction\n"] {
            let name = if head.is_empty() { "1_a.sql" } else { "2_b.sql" };
            db.write(name, &format!("{head}{check}\nRESET ALL;\n{check}"));
        }
        db.run("migrate").expect(0);
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn an_advisory_lock_is_released_after_its_file() {
        let db = Db::postgres();
        let text = "SELECT pg_advisory_lock(42);\nSELECT pg_advisory_lock(42);\nSELECT pg_advisory_lock_shared(-7);\n\
                    SELECT pg_advisory_lock(1, -2);\nSELECT pg_advisory_lock(-9000000000);\nSELECT pg_advisory_xact_lock(5);";
        // The lock of the run is the only one that is left.
        let left = "DO $$ BEGIN ASSERT (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) = \
                    1; END $$;";
        db.write("1_a.sql", text).write("2_b.sql", left);
        db.write("3_c.sql", &format!("-- haul: no-transaction\n{text}")).write("4_d.sql", left);
        db.run("migrate").expect(0);
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn what_would_release_the_lock_is_refused_before_anything_runs() {
        let db = Db::postgres();
        db.write("1_a.sql", "CREATE TABLE a (a int);");
        for text in ["-- haul: no-transaction\nDISCARD ALL;\nSELECT 1;", "SELECT pg_advisory_unlock_all();"] {
            let end = db.write("2_b.sql", text).run("migrate").expect(2);
            assert!(end.stderr.contains("would release the lock of the run"), "{}", end.stderr);
        }
        assert_eq!(db.tables(), [""; 0]);
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn a_lock_that_is_lost_is_noticed_before_the_next_statement() {
        let db = Db::postgres();
        db.execute("CREATE FUNCTION give_up() RETURNS void LANGUAGE sql AS 'SELECT pg_advisory_unlock_all()'");
        let text = "-- haul: no-transaction\nSELECT give_up();\nCREATE TABLE a (a int);";
        let end = db.write("1_a.sql", text).run("migrate").expect(1);
        assert!(end.stderr.contains("the lock of this run is gone"), "{}", end.stderr);
        assert_eq!(db.tables(), [""; 0]);
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn a_setting_that_cannot_be_repeated_is_refused() {
        let db = Db::postgres();
        let text = "-- haul: no-transaction\nDO $$ BEGIN SET search_path = public; END $$;\nSELECT 1;";
        let end = db.write("1_a.sql", text).run("migrate").expect(2);
        assert!(end.stderr.contains("1_a.sql:2") && end.stderr.contains("SET LOCAL"), "{}", end.stderr);
    }
}
