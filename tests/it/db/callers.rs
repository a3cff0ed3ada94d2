//! Runs on a connection of the application, which is given back as it was.

use haul::db::runner::MigrateRequest;
use haul::db::{Dialect, Migrations, Runner, RunnerOptions};
use haul::pipeline::{Control, Silent, StopToken};

use crate::support::db::Db;

fn migrations(dialect: Dialect, texts: &[(&str, &str)]) -> Migrations {
    Migrations::from_texts(dialect, texts.iter().copied()).unwrap()
}

fn migrate(runner: &mut Runner) {
    let control = Control { stop: &StopToken::new(), observer: &Silent };
    let end = runner.migrate(&MigrateRequest::default(), &control).unwrap();
    assert!(end.failure.is_none(), "{:?}", end.failure);
}

mod on_sqlite {
    use haul::db::sqlite::SqliteDatabase;
    use rusqlite::Connection;

    use super::*;

    fn text(connection: &Connection, sql: &str) -> String {
        let value: rusqlite::types::Value = connection.query_row(sql, [], |row| row.get(0)).unwrap();
        format!("{value:?}")
    }

    const ASKED: [&str; 6] = [
        "PRAGMA foreign_keys",
        "PRAGMA busy_timeout",
        "PRAGMA recursive_triggers",
        "SELECT group_concat(name) FROM pragma_database_list",
        "SELECT group_concat(name) FROM temp.sqlite_schema",
        "SELECT \"text\"",
    ];

    #[test]
    fn a_connection_is_given_back_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        for path in [String::new(), directory.path().join("x.db").display().to_string()] {
            let connection = Connection::open(if path.is_empty() { ":memory:" } else { &path }).unwrap();
            connection
                .execute_batch(
                    "PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 123; ATTACH ':memory:' AS mine; CREATE TEMP \
                     TABLE kept (a);",
                )
                .unwrap();
            let before = ASKED.map(|sql| text(&connection, sql));
            let texts = [
                (
                    "1_a.sql",
                    "-- haul: no-transaction\nATTACH ':memory:' AS extra;\nPRAGMA recursive_triggers = ON;\n\
                             CREATE TABLE a (a INT);\n",
                ),
                (
                    "2_b.sql",
                    "CREATE TEMP TABLE t (a INT);\nCREATE INDEX temp.i ON t (a);\nCREATE TEMP VIEW v AS SELECT 1;\n\
                             CREATE TABLE b (a INT);\n",
                ),
                ("3_c.sql", "CREATE TEMP TABLE t (a INT);\nINSERT INTO a SELECT count(*) FROM kept;\n"),
            ];
            let database = SqliteDatabase::from_connection(connection).unwrap();
            let migrations = migrations(Dialect::Sqlite, &texts);
            let mut runner = Runner::new(Box::new(database), migrations, RunnerOptions::default()).unwrap();
            migrate(&mut runner);
            let connection = runner.into_database::<SqliteDatabase>().unwrap().into_connection().unwrap();
            assert_eq!(ASKED.map(|sql| text(&connection, sql)), before);
            assert_eq!(text(&connection, "SELECT count(*) FROM haul_migrations"), "Integer(3)");
        }
    }

    #[test]
    fn what_cannot_be_set_back_fails_and_changes_nothing() {
        let database = SqliteDatabase::from_connection(Connection::open_in_memory().unwrap()).unwrap();
        let texts = [("1_a.sql", "CREATE TABLE a (a INT);\nPRAGMA case_sensitive_like = ON;\n")];
        let migrations = migrations(Dialect::Sqlite, &texts);
        let mut runner = Runner::new(Box::new(database), migrations, RunnerOptions::default()).unwrap();
        let control = Control { stop: &StopToken::new(), observer: &Silent };
        let failure = runner.migrate(&MigrateRequest::default(), &control).unwrap().failure.unwrap();
        assert!(failure.what().contains("1_a.sql:2: ") && failure.error.contains("cannot be undone"), "{failure:?}");
        let connection = runner.into_database::<SqliteDatabase>().unwrap().into_connection().unwrap();
        assert_eq!(text(&connection, "SELECT 'a' LIKE 'A'"), "Integer(1)");
        assert_eq!(text(&connection, "SELECT count(*) FROM sqlite_schema WHERE name = 'a'"), "Integer(0)");
    }

    #[test]
    fn a_connection_in_a_transaction_is_refused() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("BEGIN").unwrap();
        let error = SqliteDatabase::from_connection(connection).err().unwrap().to_string();
        assert!(error.contains("is in a transaction"), "{error}");
    }
}

mod on_postgres {
    use haul::db::postgres::PostgresDatabase;
    use postgres::Client;

    use super::*;

    const ASKED: [&str; 7] = [
        "SHOW search_path",
        "SHOW statement_timeout",
        "SHOW role",
        "SHOW app.tenant",
        "SHOW client_connection_check_interval",
        "SHOW standard_conforming_strings",
        "SELECT count(*)::text FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
    ];

    fn text(client: &mut Client, sql: &str) -> String {
        let messages = client.simple_query(sql).unwrap();
        let row = messages.iter().find_map(|message| match message {
            postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        });
        row.unwrap_or_default()
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn a_session_is_given_back_as_it_was() {
        let db = Db::postgres();
        let mut client = db.client();
        let role = format!("role_of_{}", std::process::id());
        client
            .batch_execute(&format!(
                "CREATE ROLE {role} SUPERUSER; CREATE SCHEMA \"My s\"; SET search_path = \"My s\", public; SET \
                 statement_timeout = \
                 '77s'; SET app.tenant = 'it''s'; SET standard_conforming_strings = off; SET ROLE {role}"
            ))
            .unwrap();
        let before = ASKED.map(|sql| text(&mut client, sql));
        let texts = [
            (
                "1_a.sql",
                "CREATE TABLE a AS SELECT current_setting('app.tenant') AS tenant, current_user AS role;\nSET ROLE \
                 NONE;\n\
                         SET app.tenant = 'other';\nCREATE TEMP TABLE t (a INT);\n",
            ),
            (
                "2_b.sql",
                "CREATE TEMP TABLE t (a INT);\nINSERT INTO a VALUES (current_setting('app.tenant'), current_user);\n\
                         LISTEN channel;\n",
            ),
        ];
        let database = PostgresDatabase::from_client_with(client, &["app.tenant", "app.not_set"]).unwrap();
        let migrations = migrations(Dialect::Postgres, &texts);
        let mut runner = Runner::new(Box::new(database), migrations, RunnerOptions::default()).unwrap();
        migrate(&mut runner);
        let mut client = runner.into_database::<PostgresDatabase>().unwrap().into_client().unwrap();
        assert_eq!(ASKED.map(|sql| text(&mut client, sql)), before);
        let found =
            "SELECT string_agg(DISTINCT tenant || ' ' || (role LIKE 'role_of_%'), ',') || count(*) FROM \"My s\".a";
        assert_eq!(text(&mut client, found), "it's true2");
        assert_eq!(text(&mut client, "SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()"), "0");
        client.batch_execute(&format!("RESET ROLE; DROP OWNED BY {role} CASCADE; DROP ROLE {role}")).unwrap();
    }

    #[test]
    #[ignore = "needs PostgreSQL"]
    fn a_session_that_would_lose_something_is_refused() {
        let db = Db::postgres();
        for (sql, expected) in [
            ("BEGIN", "it is in a transaction"),
            ("CREATE TEMP TABLE t (a INT)", "it has temporary objects"),
            ("LISTEN channel", "it has temporary objects"),
            ("PREPARE p AS SELECT 1", "it has temporary objects"),
        ] {
            let mut client = db.client();
            client.batch_execute(sql).unwrap();
            let error = PostgresDatabase::from_client(client).err().unwrap().to_string();
            assert!(error.contains(expected), "{sql}: {error}");
        }
    }
}
