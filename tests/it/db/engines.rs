//! What is peculiar to one engine (docs/source-sql.md, "Engine rules").

mod on_sqlite {
    use std::fs;
    use std::io::{BufRead, BufReader};
    use std::os::unix::fs::PermissionsExt;
    use std::process::Stdio;

    use super::super::run_as;
    use crate::support::db::Db;
    use crate::support::haul::Done;
    use crate::support::nobody::Nobody;

    #[test]
    fn files_that_are_not_databases_are_reported_by_kind() {
        let db = Db::sqlite();
        db.write("1_a.sql", "CREATE TABLE a (a INT);");
        let newer = [&b"SQLite format 3\0\x10\0"[..], &[9, 9], &[0; 80]].concat();
        let cases: [(&[u8], &str); 3] = [
            (b"", "the file is empty"),
            (b"this is a text and no database at all", "it is not a SQLite database"),
            (&newer, "its format is newer than the SQLite in this haul"),
        ];
        for (bytes, what) in cases {
            fs::write(db.file(), bytes).unwrap();
            for verb in ["migrate", "status", "migrate --dry-run=execute"] {
                let done = db.run(verb).expect(1);
                assert!(done.stderr.contains(what) && done.stderr.contains("next: "), "{verb}: {}", done.stderr);
            }
            assert_eq!(fs::read(db.file()).unwrap(), bytes);
        }
        fs::remove_file(db.file()).unwrap();
        fs::create_dir(db.file()).unwrap();
        assert!(db.run("migrate").expect(1).stderr.contains("not a regular file"));
    }

    #[test]
    fn a_run_that_was_killed_before_its_first_write_is_no_obstacle() {
        let db = Db::sqlite();
        db.write("1_a.sql", "CREATE TABLE a (a INT);");
        fs::write(db.file(), b"").unwrap();
        fs::write(db.path().join("x.db.haul-lock"), b"pid 1 on here since then").unwrap();
        assert_eq!(db.json("status", 0)["pending"].as_array().unwrap().len(), 1);
        db.run("migrate").expect(0);
    }

    #[test]
    fn the_transaction_of_a_killed_writer_is_rolled_back() {
        let db = Db::sqlite();
        db.write("1_a.sql", "CREATE TABLE a (x TEXT);").run("migrate").expect(0);
        db.execute("WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 2000) INSERT INTO a SELECT hex(randomblob(200)) FROM c");
        // A writer whose changes no longer fit its cache, as it stands in the middle of its transaction.
        let writer = rusqlite::Connection::open(db.file()).unwrap();
        writer.execute_batch("PRAGMA cache_size = 2; BEGIN; UPDATE a SET x = x || 'y'").unwrap();
        let copies = ["", "-journal"].map(|end| (end, fs::read(db.path().join(format!("x.db{end}"))).unwrap()));
        drop(writer);
        for (end, bytes) in &copies {
            fs::write(db.path().join(format!("x.db{end}")), bytes).unwrap();
        }
        let told = db.run("status").expect(1);
        assert!(told.stderr.contains("`haul db migrate` rolls back what it had begun"), "{}", told.stderr);
        assert_eq!(fs::read(db.file()).unwrap(), copies[0].1);
        db.write("2_b.sql", "CREATE TABLE b (a INT);").run("migrate").expect(0);
        assert_eq!(db.rows("SELECT count(*) FROM a WHERE x LIKE '%y'"), ["0"]);
        assert_eq!(db.rows("PRAGMA integrity_check"), ["ok"]);
    }

    #[test]
    fn a_database_that_cannot_be_written_is_reported() {
        let db = Db::sqlite();
        db.write("1_a.sql", "CREATE TABLE a (a INT);").run("migrate").expect(0);
        db.write("2_b.sql", "CREATE TABLE b (a INT);");
        fs::set_permissions(db.file(), fs::Permissions::from_mode(0o444)).unwrap();
        let nobody = Nobody::at(db.path());
        assert!(run_as(&nobody, &db, "migrate").expect(1).stderr.contains("read-only"));
    }

    #[test]
    fn a_writer_in_the_way_is_temporary() {
        let db = Db::sqlite();
        db.write("1_a.sql", "CREATE TABLE a (a INT);").run("migrate").expect(0);
        db.write("2_b.sql", "-- haul: lock-timeout=100ms\nCREATE TABLE b (a INT);");
        let writer = rusqlite::Connection::open(db.file()).unwrap();
        writer.execute_batch("BEGIN IMMEDIATE").unwrap();
        let done = db.run("migrate").expect(75);
        assert!(done.stderr.contains("database is locked (SQLITE_BUSY)"), "{}", done.stderr);
        writer.execute_batch("ROLLBACK").unwrap();
        db.run("migrate").expect(0);
    }

    #[test]
    fn a_double_quoted_name_that_is_none_is_an_error() {
        let db = Db::sqlite();
        db.write("1_a.sql", "CREATE TABLE a (x INT);\nCREATE INDEX i ON a (\"last_updated\");");
        assert!(db.run("migrate").expect(1).stderr.contains("no such column: \"last_updated\""));
        db.write("1_a.sql", "CREATE TABLE a (x TEXT);\nINSERT INTO a VALUES (\"text\");");
        assert!(db.run("migrate").expect(1).stderr.contains("no such column: \"text\""));
        db.write("1_a.sql", "CREATE TABLE a (x TEXT);\nINSERT INTO a VALUES ('text');").run("migrate").expect(0);
    }

    #[test]
    fn a_double_quoted_text_of_an_older_schema_is_explained() {
        let db = Db::sqlite();
        let other = rusqlite::Connection::open(db.file()).unwrap();
        other.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_DQS_DDL, true).unwrap();
        other.execute_batch("CREATE TABLE t (n, s); CREATE INDEX i ON t (n) WHERE s = \"open\"").unwrap();
        drop(other);
        db.write("1_a.sql", "ALTER TABLE t RENAME COLUMN n TO m;");
        let failure = &db.json("migrate", 1)["failure"];
        assert!(failure["next"].as_str().unwrap().contains("dropped and made again first"), "{failure}");
        db.write("1_a.sql", "DROP INDEX i;\nALTER TABLE t RENAME COLUMN n TO m;").run("migrate").expect(0);
    }

    #[test]
    fn a_conflict_that_rolls_back_leaves_nothing() {
        let db = Db::sqlite();
        db.write("1_a.sql", "CREATE TABLE a (x INT UNIQUE);\nINSERT INTO a VALUES (1);").run("migrate").expect(0);
        db.write("2_b.sql", "CREATE TABLE b (x INT);\nINSERT OR ROLLBACK INTO a VALUES (1);\nCREATE TABLE c (x INT);");
        let failure = &db.json("migrate", 1)["failure"];
        assert_eq!((&failure["statement"], &failure["kept"]), (&2.into(), &"nothing".into()));
        assert_eq!((db.tables(), db.applied()), (vec!["a".into()], vec!["1_a".into()]));
    }

    #[test]
    fn foreign_keys_are_checked_before_the_commit() {
        let db = Db::sqlite();
        db.write("1_a.sql", "CREATE TABLE p (id INTEGER PRIMARY KEY);\nCREATE TABLE c (p INT REFERENCES p (id));")
            .run("migrate")
            .expect(0);
        db.write("2_b.sql", "INSERT INTO c VALUES (7);");
        assert!(db.run("migrate").expect(1).stderr.contains("foreign key violated: 1 row of c refers to rows of p"));
        assert_eq!(db.rows("SELECT count(*) FROM c"), ["0"]);
        // What was wrong before is not the migration's doing.
        db.execute("PRAGMA foreign_keys = OFF; INSERT INTO c VALUES (8)");
        db.write("2_b.sql", "CREATE TABLE d (a INT);").run("migrate").expect(0);
        db.write("3_c.sql", "INSERT INTO c VALUES (9);").run("migrate").expect(1);
        // Rebuilding a table needs keys off, cascading needs them on.
        db.write("3_c.sql", "CREATE TABLE new_p (id INTEGER PRIMARY KEY, n TEXT);\nINSERT INTO new_p SELECT id, '' FROM p;\nDROP TABLE p;\nALTER TABLE new_p RENAME TO p;");
        db.run("migrate --yes").expect(0);
        db.write("4_d.sql", "-- haul: foreign-keys=on\nINSERT INTO c VALUES (10);");
        assert!(db.run("migrate").expect(1).stderr.contains("FOREIGN KEY constraint failed"));
    }

    #[test]
    fn statements_without_effect_in_a_transaction_are_refused() {
        let db = Db::sqlite();
        for statement in ["PRAGMA journal_mode = WAL", "VACUUM", "ATTACH 'y.db' AS y"] {
            db.write("1_a.sql", &format!("CREATE TABLE a (a INT);\n{statement};"));
            let done = db.run("migrate").expect(2);
            assert!(
                done.stderr.contains("1_a.sql:2: ") && done.stderr.contains("-- haul: no-transaction"),
                "{}",
                done.stderr
            );
        }
        // haul sets the enforcement of keys itself, so giving up the transaction is not the way.
        db.write("1_a.sql", "PRAGMA foreign_keys = OFF;\nCREATE TABLE a (a INT);");
        let done = db.run("migrate").expect(2);
        assert!(done.stderr.contains("1_a.sql:1: ") && done.stderr.contains("next: remove it: "), "{}", done.stderr);
        db.write("1_a.sql", "-- haul: no-transaction\nPRAGMA journal_mode = WAL;\nATTACH 'y.db' AS y;\nCREATE TABLE y.t (a INT);\nVACUUM;");
        db.write("2_b.sql", "CREATE TABLE b (a INT);");
        db.run("migrate").expect(0);
        assert_eq!(db.rows("PRAGMA journal_mode"), ["wal"]);
        assert_eq!(db.tables(), ["b"]);
        // A database with a write-ahead log is read, copied and changed like any other.
        db.write("3_c.sql", "CREATE TABLE c (a INT);");
        assert_eq!(db.json("migrate --dry-run=execute", 0)["rehearsal"]["applied"], 1);
        db.run("migrate").expect(0);
    }

    #[test]
    fn a_rehearsal_reaches_no_other_file() {
        let db = Db::sqlite();
        db.write("1_a.sql", "-- haul: no-transaction\nATTACH 'other.db' AS other;\nCREATE TABLE other.t (a INT);");
        assert_eq!(db.json("migrate --dry-run=execute", 0)["not_exercised"], serde_json::json!(["1_a"]));
        assert!(!db.path().join("other.db").exists());
    }

    #[test]
    #[ignore = "needs the program sqlite3"]
    fn the_sqlite_shell_reads_the_result() {
        let db = Db::sqlite();
        db.write("1_a.sql", "CREATE TABLE a (x TEXT);\nINSERT INTO a VALUES ('a;b'), ('c');").run("migrate").expect(0);
        let answer = db.shell("PRAGMA integrity_check; SELECT x FROM a; SELECT name FROM haul_migrations;");
        assert_eq!(answer, "ok\na;b\nc\n1_a\n");
    }

    #[test]
    fn unlock_ends_the_run_that_it_showed() {
        let db = Db::sqlite();
        db.write("1_a.sql", "CREATE TABLE a (a INT);").run("migrate").expect(0);
        db.write(
            "2_b.sql",
            "INSERT INTO a WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c;",
        );
        let mut run = db.command("migrate --timeout 0").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        while db.json("locks", 0)["lock"].is_null() {
            assert!(run.try_wait().unwrap().is_none(), "it runs until it is ended");
        }
        let ended = db.json("unlock --force", 0);
        assert_eq!(ended["ended"]["pid"], run.id());
        let lines = BufReader::new(run.stderr.take().unwrap()).lines();
        drop(lines.map(Result::unwrap).collect::<Vec<_>>());
        assert!(!run.wait().unwrap().success());
        assert_eq!(db.outcomes().last().unwrap(), " unlocked");
        db.write("2_b.sql", "CREATE TABLE b (a INT);").run("migrate").expect(0);
    }

    #[test]
    fn settings_come_from_arguments_then_the_environment_then_the_file() {
        let db = Db::sqlite();
        db.write("1_a.sql", "CREATE TABLE a (a INT);");
        let run = |arguments: &str, url: Option<&str>| {
            let mut command = db.command(arguments);
            command.env_remove("DATABASE_URL");
            if let Some(url) = url {
                command.env("DATABASE_URL", url);
            }
            Done::of(command.output().unwrap()).expect(0)
        };
        fs::rename(db.migrations(), db.path().join("sql")).unwrap();
        fs::write(
            db.path().join("haul.toml"),
            "[db]\ndatabase = \"sqlite:file.db\"\ndir = \"sql\"\ntable = \"ledger\"\n",
        )
        .unwrap();
        run("migrate", None);
        run("migrate", Some("sqlite:variable.db"));
        run("migrate --database sqlite:argument.db", Some("sqlite:variable.db"));
        for name in ["file.db", "variable.db", "argument.db"] {
            assert!(db.path().join(name).exists(), "{name}");
        }
        fs::write(db.path().join("haul.toml"), "[db]\nsurprise = 1\n").unwrap();
        assert!(db.run("status").expect(2).stderr.contains("haul.toml: line 2 cannot be read"));
    }
}

mod on_postgres {
    use std::process::Stdio;

    use crate::support::db::Db;

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn settings_of_a_section_end_with_it() {
        let db = Db::postgres();
        db.execute("CREATE SCHEMA other; CREATE ROLE plain_reader");
        db.write(
            "1_a.sql",
            "SET search_path = other;\nSET statement_timeout = '1ms';\nSET ROLE plain_reader;\nSELECT 1;",
        );
        db.write("2_b.sql", "CREATE TABLE b (a INT);\nSELECT pg_sleep(0.05);");
        db.run("migrate").expect(0);
        assert_eq!((db.tables(), db.applied()), (vec!["b".into()], vec!["1_a".into(), "2_b".into()]));
        db.execute("DROP ROLE plain_reader");
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn a_lock_on_a_table_is_waited_for_less_than_the_limit() {
        let db = Db::postgres();
        db.write("1_a.sql", "CREATE TABLE a (a INT);").run("migrate").expect(0);
        let mut other = db.client();
        let mut transaction = other.transaction().unwrap();
        transaction.batch_execute("LOCK TABLE a").unwrap();
        db.write("2_b.sql", "-- haul: lock-timeout=200ms\nALTER TABLE a ADD COLUMN b INT;");
        let done = db.run("migrate --json --progress none").expect(75);
        assert_eq!(done.json()["failure"]["code"], "SQLSTATE 55P03");
        transaction.rollback().unwrap();
        db.run("migrate").expect(0);
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn statements_refused_in_a_transaction_are_reported_beforehand() {
        let db = Db::postgres();
        db.write("1_a.sql", "CREATE TABLE a (a INT);");
        for statement in ["CREATE INDEX CONCURRENTLY i ON a (a)", "VACUUM a", "CREATE DATABASE x"] {
            db.write("2_b.sql", &format!("CREATE TABLE b (a INT);\n{statement};"));
            let done = db.run("migrate").expect(2);
            assert!(
                done.stderr.contains("2_b.sql:2: ") && done.stderr.contains("-- haul: no-transaction"),
                "{}",
                done.stderr
            );
        }
        db.write("2_b.sql", "-- haul: no-transaction\nCREATE INDEX CONCURRENTLY i ON a (a);\nVACUUM a;")
            .run("migrate")
            .expect(0);
        db.write("3_c.sql", "CREATE TYPE mood AS ENUM ('calm');").run("migrate").expect(0);
        db.write("4_d.sql", "ALTER TYPE mood ADD VALUE 'glad';\nSELECT 'glad'::mood;");
        let done = db.run("migrate").expect(1);
        assert!(
            done.stderr.contains("SQLSTATE 55P04") && done.stderr.contains("split the migration in two"),
            "{}",
            done.stderr
        );
        db.write("5_e.sql", "COPY a FROM STDIN;");
        assert!(db.run("migrate").expect(2).stderr.contains("COPY through the client"));
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn a_statement_that_the_lexer_took_for_one_and_is_two_is_refused_by_the_server() {
        use haul::db::Target;
        use haul::db::database::Change;
        let db = Db::postgres();
        let mut database = Target::parse(db.url()).unwrap().open().unwrap();
        database.begin().unwrap();
        assert_eq!(database.run("SELECT 1; COMMIT").unwrap_err().code.as_deref(), Some("SQLSTATE 42601"));
        database.rollback().unwrap();
        // What ends the transaction all the same is found before the commit.
        database.begin().unwrap();
        database.run("COMMIT").unwrap();
        database.check_before_commit().unwrap();
        let change = Change { sql: "CREATE TABLE made (a INT)".into(), values: Vec::new() };
        let error = database.commit_with(&[change]).unwrap_err();
        assert!(error.message.contains("has ended the transaction that it ran in"), "{error}");
        assert!(!database.has_table("made").unwrap());
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn a_lock_that_a_script_gives_back_ends_the_run() {
        let db = Db::postgres();
        // Called by name it is refused before anything runs.
        db.execute("CREATE FUNCTION give_up() RETURNS void LANGUAGE sql AS 'SELECT pg_advisory_unlock_all()'");
        db.write("1_a.sql", "SELECT give_up();").write("2_b.sql", "CREATE TABLE b (a INT);");
        assert!(db.run("migrate").expect(1).stderr.contains("the lock of this run is gone"));
        assert_eq!(db.tables(), [""; 0]);
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn a_session_that_is_ended_is_temporary_and_leaves_nothing() {
        let db = Db::postgres();
        db.write("1_a.sql", "CREATE TABLE a (a INT);").run("migrate").expect(0);
        db.write("2_b.sql", "CREATE TABLE b (a INT);\nSELECT pg_terminate_backend(pg_backend_pid());");
        let done = db.run("migrate --json --progress none").expect(75);
        assert_eq!(done.json()["failure"]["statement"], 2);
        assert_eq!(db.tables(), ["a"]);
        let earlier = &db.json("status", 0)["pending"][0]["earlier_attempt"];
        assert!(earlier.as_str().unwrap().contains("did not end; it was rolled back"), "{earlier}");
        db.write("2_b.sql", "CREATE TABLE b (a INT);").run("migrate").expect(0);
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn unlock_ends_the_session_that_it_showed() {
        let db = Db::postgres();
        db.write("1_a.sql", "CREATE TABLE a (a INT);").run("migrate").expect(0);
        db.write("2_b.sql", "SELECT pg_sleep(3600);");
        let mut run = db.command("migrate --timeout 0").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while db.json("locks", 0)["lock"].is_null() {
            assert!(run.try_wait().unwrap().is_none(), "it runs until it is ended");
        }
        let lock = &db.json("locks", 0)["lock"];
        assert!(lock["owner"].as_str().unwrap().contains(&format!("pid {} on ", run.id())), "{lock}");
        assert_eq!((&lock["client"], lock["since"].is_string()), (&"local".into(), true));
        db.run("unlock").expect(2);
        assert_eq!(db.json("unlock --force", 0)["ended"]["pid"], lock["pid"]);
        assert_eq!(run.wait().unwrap().code(), Some(75));
        assert_eq!(db.outcomes().last().unwrap(), " unlocked");
        db.write("2_b.sql", "CREATE TABLE b (a INT);").run("migrate").expect(0);
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn a_rehearsal_checks_deferred_constraints() {
        let db = Db::postgres();
        let tables =
            "CREATE TABLE p (id INT PRIMARY KEY);\nCREATE TABLE c (p INT REFERENCES p DEFERRABLE INITIALLY DEFERRED);";
        db.write("1_a.sql", tables).write("2_b.sql", "INSERT INTO c VALUES (1);\nINSERT INTO p VALUES (1);");
        db.write("3_c.sql", "INSERT INTO c VALUES (2);");
        let done = db.run("migrate --dry-run=execute").expect(1);
        assert!(done.stderr.contains("3_c.sql: ") && done.stderr.contains("SQLSTATE 23503"), "{}", done.stderr);
        let done = db.run("migrate").expect(1);
        assert!(done.stderr.contains("SQLSTATE 23503"), "{}", done.stderr);
        assert_eq!(db.applied(), ["1_a", "2_b"]);
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn a_read_only_role_is_reported() {
        let db = Db::postgres();
        db.write("1_a.sql", "CREATE TABLE a (a INT);").run("migrate").expect(0);
        db.execute("CREATE ROLE only_reads LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO only_reads");
        let url = db.url().replacen("postgres@", "only_reads@", 1);
        db.write("2_b.sql", "CREATE TABLE b (a INT);");
        let run =
            |verb: &str| crate::support::haul::Done::of(db.command(verb).env("DATABASE_URL", &url).output().unwrap());
        run("status").expect(0);
        assert!(run("migrate").expect(1).stderr.contains("GRANT SELECT, INSERT"));
        db.execute("DROP OWNED BY only_reads; DROP ROLE only_reads");
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn psql_reads_the_result() {
        let db = Db::postgres();
        db.write("1_a.sql", "CREATE TABLE a (x TEXT);\nINSERT INTO a VALUES ('a;b'), (E'c\\'d');")
            .run("migrate")
            .expect(0);
        assert_eq!(db.shell("SELECT x FROM a; SELECT name FROM haul_migrations;"), "a;b\nc'd\n1_a\n");
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn the_example_of_the_guide_applies_and_reverts() {
        let db = Db::postgres();
        db.write(
            "002_breaker.sql",
            "-- Migration: 002_breaker\n-- Created: 2026-02-28\n\n-- Up\nCREATE TABLE breaker (\n  service TEXT NOT NULL,\n  \
             opened_at TIMESTAMPTZ DEFAULT NOW()\n);\n\nCREATE INDEX idx_breaker ON breaker(service);\n\n-- Down\nDROP TABLE \
             IF EXISTS breaker;\n",
        );
        db.run("migrate").expect(0);
        assert_eq!(db.json("rollback --steps 1 --yes", 0)["applied"], 1);
        assert_eq!(db.tables(), [""; 0]);
    }
}
