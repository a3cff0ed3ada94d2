//! Concurrent builds of PostgreSQL, which can stop halfway.

mod postgres {
    use crate::support::db::Db;

    /// A table with a value twice.
    fn database() -> Db {
        let db = Db::postgres();
        db.execute("CREATE SCHEMA s; CREATE TABLE s.t (n int); INSERT INTO s.t VALUES (1), (1)");
        db
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn an_index_that_failed_is_not_taken_for_built() {
        for exists in ["", "IF NOT EXISTS "] {
            let db = database();
            let text = format!("-- haul: no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY {exists}u ON s.t (n);");
            db.write("1_a.sql", &text);
            let first = &db.json("migrate", 1)["failure"];
            assert!(first["next"].as_str().unwrap().contains("`DROP INDEX CONCURRENTLY s.u`"), "{first}");
            db.execute("DELETE FROM s.t WHERE ctid = '(0,2)'");
            let second = &db.json("migrate", 1)["failure"];
            assert!(second["error"].as_str().unwrap().contains("the index s.u is not valid"), "{second}");
            for (verb, code) in [("status", 0), ("verify", 65)] {
                let shown = db.run(verb).expect(code).stdout;
                assert!(shown.contains("s.u is not valid") && shown.contains("DROP INDEX CONCURRENTLY s.u"), "{shown}");
            }
            db.execute("DROP INDEX CONCURRENTLY s.u");
            db.run("migrate").expect(0);
            assert_eq!(db.rows("SELECT indisvalid FROM pg_index WHERE indexrelid = 's.u'::regclass"), ["t"]);
            assert!(!db.run("verify").expect(0).stdout.contains("not valid"));
        }
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn an_index_that_is_passed_over_is_not_taken_for_built() {
        let db = database();
        db.write("1_a.sql", "-- haul: no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY u ON s.t (n);\nSELECT 1;");
        db.run("migrate").expect(1);
        db.run("resolve --version 1 --from-statement 2 --yes").expect(0);
        assert!(db.run("migrate").expect(1).stderr.contains("the index s.u is not valid"));
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn an_index_that_waits_too_long_is_named() {
        let db = database();
        db.write(
            "1_a.sql",
            "-- haul: no-transaction\n-- haul: lock-timeout=100ms\nCREATE INDEX CONCURRENTLY u ON s.t (n);",
        );
        let mut other = db.client();
        other.batch_execute("BEGIN; INSERT INTO s.t VALUES (2)").unwrap();
        // It cannot succeed later, so it is not a temporary failure.
        let failure = &db.json("migrate", 1)["failure"];
        assert_eq!((&failure["code"], &failure["temporary"]), (&"SQLSTATE 55P03".into(), &false.into()));
        assert!(failure["next"].as_str().unwrap().contains("`DROP INDEX CONCURRENTLY s.u`"), "{failure}");
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn a_rebuilt_index_that_failed_is_named() {
        let db = database();
        db.execute("CREATE INDEX u ON s.t (n)");
        let text = "-- haul: no-transaction, lock-timeout=100ms\nREINDEX (CONCURRENTLY) INDEX s.u;";
        let mut other = db.client();
        other.batch_execute("BEGIN; INSERT INTO s.t VALUES (2)").unwrap();
        let failure = &db.write("1_a.sql", text).json("migrate", 1)["failure"];
        assert!(failure["next"].as_str().unwrap().contains("`DROP INDEX CONCURRENTLY s.u_ccnew`"), "{failure}");
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn what_a_rebuild_left_is_not_passed_over() {
        for text in
            ["REINDEX TABLE CONCURRENTLY s.t;", "REINDEX SCHEMA CONCURRENTLY s;", "REINDEX INDEX CONCURRENTLY s.u;"]
        {
            let db = database();
            db.execute("CREATE INDEX u ON s.t (n)");
            db.write("1_a.sql", &format!("-- haul: no-transaction, lock-timeout=100ms\n{text}"));
            let mut other = db.client();
            other.batch_execute("BEGIN; INSERT INTO s.t VALUES (2)").unwrap();
            db.run("migrate").expect(1);
            other.batch_execute("COMMIT").unwrap();
            assert!(db.run("migrate").expect(1).stderr.contains("s.u_ccnew is not valid"), "{text}");
            assert!(db.run("status").expect(0).stdout.contains("s.u_ccnew is not valid"), "{text}");
            for left in db.rows("SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid") {
                db.execute(&format!("DROP INDEX CONCURRENTLY {left}"));
            }
            db.run("migrate").expect(0);
        }
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn an_index_without_a_name_is_not_forgotten() {
        let db = database();
        db.write("1_a.sql", "-- haul: no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY ON s.t (n);");
        db.run("migrate").expect(1);
        db.execute("DELETE FROM s.t");
        assert!(db.run("migrate").expect(1).stderr.contains("DROP INDEX CONCURRENTLY s.t_n_idx"));
        for left in db.rows("SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 's.t'::regclass") {
            db.execute(&format!("DROP INDEX CONCURRENTLY {left}"));
        }
        db.run("migrate").expect(0);
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn an_index_that_is_there_and_not_valid_is_not_passed_over() {
        let db = database();
        assert!(db.client().batch_execute("CREATE UNIQUE INDEX CONCURRENTLY u ON s.t (n)").is_err());
        for (head, rest) in [
            ("", ""),
            ("-- haul: no-transaction\n", ""),
            ("", "\n-- Batch: SELECT n FROM s.t\nSELECT n FROM haul_batch;"),
        ] {
            let text = format!("{head}CREATE UNIQUE INDEX IF NOT EXISTS u ON s.t (n);{rest}");
            let end = db.write("1_a.sql", &text).run("migrate").expect(1);
            assert!(end.stderr.contains("the index s.u is not valid"), "{}", end.stderr);
        }
        db.execute("DROP INDEX s.u; DELETE FROM s.t");
        db.write("1_a.sql", "CREATE UNIQUE INDEX IF NOT EXISTS u ON s.t (n);").run("migrate").expect(0);
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn an_index_in_the_search_path_of_its_file_is_named() {
        let db = database();
        let text = "-- haul: no-transaction\nSET search_path = s;\nCREATE UNIQUE INDEX CONCURRENTLY u ON t (n);";
        db.write("1_a.sql", text).run("migrate").expect(1);
        for (verb, code) in [("status", 0), ("verify", 65)] {
            assert!(db.run(verb).expect(code).stdout.contains("s.u is not valid"), "{verb}");
        }
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn a_partition_that_is_half_detached_is_named() {
        let db = Db::postgres();
        db.execute("CREATE TABLE p (n int) PARTITION BY LIST (n); CREATE TABLE q PARTITION OF p FOR VALUES IN (1)");
        let text = "-- haul: no-transaction, lock-timeout=100ms\nALTER TABLE p DETACH PARTITION q CONCURRENTLY;";
        let mut other = db.client();
        other.batch_execute("BEGIN; SELECT FROM p").unwrap();
        let failure = &db.write("1_a.sql", text).json("migrate", 1)["failure"];
        let next = failure["next"].as_str().unwrap();
        assert!(next.contains("`ALTER TABLE public.p DETACH PARTITION public.q FINALIZE`"), "{failure}");
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn an_index_of_another_table_is_left_alone() {
        let db = database();
        let mut other = db.client();
        assert!(other.batch_execute("CREATE UNIQUE INDEX CONCURRENTLY v ON s.t (n)").is_err());
        db.write("1_a.sql", "-- haul: no-transaction\nCREATE INDEX CONCURRENTLY u ON s.t (n);")
            .run("migrate")
            .expect(0);
        assert!(!db.run("status").expect(0).stdout.contains("not valid"));
    }
}
