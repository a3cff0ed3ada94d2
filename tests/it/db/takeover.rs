//! A database in which another runner has applied migrations: nothing runs twice, and its ledger can be taken over.

use crate::support::db::Db;
use crate::support::db_contents::{Engine, on_both};
use serde_json::json;

on_both! {
    a_first_run_beside_another_ledger_changes_nothing
    every_known_ledger_is_recognised_and_taken_over
    a_table_that_only_has_the_name_of_a_ledger_is_none
    an_empty_ledger_is_not_in_the_way
    more_ledgers_are_recognised
    a_ledger_of_haul_with_another_name_is_in_the_way_of_its_files
    failed_rows_of_another_ledger_are_refused
    a_version_without_a_file_is_refused
    a_file_with_another_checksum_is_refused
    undone_versions_stay_pending
    one_of_several_ledgers_is_named
    tables_of_others_are_only_noted
    a_baseline_of_a_database_without_tables_says_so
    a_baseline_above_what_the_schema_has_says_so
}

/// Two files, of which a second run would change rows.
fn accounts(db: &Db) -> &Db {
    db.write("001_accounts.sql", "CREATE TABLE IF NOT EXISTS accounts (cents INT);\n");
    db.write("002_cents.sql", "UPDATE accounts SET cents = cents * 100;\n");
    db.execute("CREATE TABLE accounts (cents INT); INSERT INTO accounts VALUES (500);");
    db
}

fn goose(db: &Db) {
    db.execute(
        "CREATE TABLE goose_db_version (id INT, version_id BIGINT, is_applied INT, tstamp TEXT);
         INSERT INTO goose_db_version VALUES (1, 0, 1, ''), (2, 1, 1, ''), (3, 2, 1, '');",
    );
}

fn a_first_run_beside_another_ledger_changes_nothing(db: &Db) {
    goose(accounts(db));
    let before = db.tables();
    for verb in ["migrate --yes", "migrate --dry-run", "migrate --dry-run=execute"] {
        let told = db.run(verb).expect(2).stderr;
        assert!(
            told.contains("goose_db_version of goose") && told.contains("haul db baseline --from-ledger"),
            "{told}"
        );
    }
    // haul's own tables are not there either.
    let own = match db.engine() {
        Engine::Sqlite => db.rows("SELECT name FROM sqlite_schema WHERE name LIKE 'haul%'"),
        Engine::Postgres => db.rows("SELECT relname FROM pg_class WHERE relname LIKE 'haul%'"),
    };
    assert_eq!((db.tables(), own), (before, vec![]));
    assert!(db.run("status").expect(0).stdout.contains("is the ledger of goose"));
    db.run("baseline --from-ledger").expect(2);
    let told = db.run("baseline --from-ledger --yes").expect(0);
    assert!(
        told.stderr.contains("001_accounts") && told.stderr.contains("pending afterwards: nothing"),
        "{}",
        told.stderr
    );
    assert_eq!(db.json("migrate --yes", 0)["applied"], 0);
    assert_eq!(db.rows("SELECT cents FROM accounts"), ["500"]);
    let log = db.rows("SELECT error FROM haul_migrations_log");
    assert!(log[0].contains("taken over from") && log[0].ends_with("goose_db_version of goose"), "{log:?}");
}

/// Ledgers in which versions 1 and 2 are applied.
const LEDGERS: [(&str, &str, &str); 11] = [
    (
        "Flyway",
        "flyway_schema_history",
        "CREATE TABLE {t} (installed_rank INT, version VARCHAR(50), description TEXT, type TEXT, script TEXT, checksum INT,
            installed_by TEXT, installed_on TEXT, execution_time INT, success BOOLEAN);
         INSERT INTO {t} VALUES (1, '1', 'a', 'SQL', 'V1__a.sql', NULL, '', '', 1, true), (2, '2', 'b', 'SQL', 'V2__b.sql', NULL,
            '', '', 1, true), (3, NULL, 'r', 'SQL', 'R__r.sql', 5, '', '', 1, true)",
    ),
    ("golang-migrate", "schema_migrations", "CREATE TABLE {t} (version BIGINT, dirty BOOLEAN); INSERT INTO {t} VALUES (2, false)"),
    ("dbmate or Rails", "schema_migrations", "CREATE TABLE {t} (version VARCHAR(99)); INSERT INTO {t} VALUES ('001'), ('002')"),
    (
        "goose",
        "versions_of_ours",
        "CREATE TABLE {t} (id INT, version_id BIGINT, is_applied BOOLEAN, tstamp TEXT);
         INSERT INTO {t} VALUES (1, 0, true, ''), (2, 1, true, ''), (3, 2, true, '')",
    ),
    (
        "refinery",
        "refinery_schema_history",
        "CREATE TABLE {t} (version INT, name TEXT, applied_on TEXT, checksum TEXT);
         INSERT INTO {t} VALUES (1, 'a', '', '7'), (2, 'b', '', '7')",
    ),
    (
        "node-pg-migrate",
        "pgmigrations",
        "CREATE TABLE {t} (id INT, name TEXT, run_on TEXT); INSERT INTO {t} VALUES (1, '001_a', ''), (2, '002_b', '')",
    ),
    ("Alembic", "alembic_version", "CREATE TABLE {t} (version_num TEXT); INSERT INTO {t} VALUES ('2')"),
    (
        "Diesel",
        "__diesel_schema_migrations",
        "CREATE TABLE {t} (version TEXT, run_on TEXT); INSERT INTO {t} VALUES ('1', ''), ('2', '')",
    ),
    (
        "sql-migrate",
        "gorp_migrations",
        "CREATE TABLE {t} (id TEXT, applied_at TEXT); INSERT INTO {t} VALUES ('1_a.sql', ''), ('2_b.sql', '')",
    ),
    (
        "Knex",
        "knex_migrations",
        "CREATE TABLE {t} (id INT, name TEXT, batch INT, migration_time TEXT);
         INSERT INTO {t} VALUES (1, '001_a.js', 1, ''), (2, '002_b.js', 1, '')",
    ),
    (
        "Prisma",
        "_prisma_migrations",
        "CREATE TABLE {t} (id TEXT, checksum TEXT, finished_at TEXT, migration_name TEXT, logs TEXT, rolled_back_at TEXT,
            started_at TEXT, applied_steps_count INT);
         INSERT INTO {t} VALUES ('x', NULL, 't', '1_a', '', NULL, '1', 1), ('y', NULL, NULL, '2_b', '', 't', '2', 0),
            ('z', NULL, 't', '2_b', '', NULL, '3', 1)",
    ),
];

fn every_known_ledger_is_recognised_and_taken_over(db: &Db) {
    db.write("001_a.sql", "CREATE TABLE a (x INT);\n").write("002_b.sql", "CREATE TABLE b (x INT);\n");
    db.write("003_c.sql", "CREATE TABLE c (x INT);\n");
    for (runner, table, sql) in LEDGERS {
        db.execute(&sql.replace("{t}", table));
        let told = db.run("migrate").expect(2).stderr;
        assert!(told.contains(&format!("{table} of {runner} says")), "{runner}: {told}");
        let declared = db.json(&format!("baseline --from-ledger {table} --yes"), 0);
        assert_eq!(declared["declared"], json!(["001_a", "002_b"]), "{runner}");
        assert_eq!(db.json("status", 0)["pending"][0]["name"], "003_c", "{runner}");
        db.execute(&format!("DROP TABLE {table}"));
        ["", "_log", "_schema"].iter().for_each(|end| db.execute(&format!("DROP TABLE haul_migrations{end}")));
    }
}

fn a_table_that_only_has_the_name_of_a_ledger_is_none(db: &Db) {
    accounts(db);
    db.execute(
        "CREATE TABLE schema_migrations (id INT, filename TEXT); INSERT INTO schema_migrations VALUES (1, '001');
         CREATE TABLE flyway_schema_history (version TEXT); INSERT INTO flyway_schema_history VALUES ('1');",
    );
    assert_eq!(db.json("migrate --yes", 0)["applied"], 2);
}

fn an_empty_ledger_is_not_in_the_way(db: &Db) {
    accounts(db);
    db.execute(
        "CREATE TABLE schema_migrations (version BIGINT, dirty BOOLEAN);
         CREATE TABLE goose_db_version (id INT, version_id BIGINT, is_applied INT, tstamp TEXT);
         INSERT INTO goose_db_version VALUES (1, 0, 1, '');",
    );
    assert_eq!(db.json("migrate --yes", 0)["applied"], 2);
}

/// Ledgers with one row: the runner, the table with its columns, and the values.
const MORE_LEDGERS: [(&str, &str, &str); 20] = [
    ("Laravel", "migrations (id INT, migration TEXT, batch INT)", "1, '2014_10_12_000000_create_users', 1"),
    ("TypeORM", "migrations (id INT, \"timestamp\" BIGINT, name TEXT)", "1, 1, 'CreateUsers1'"),
    ("Sequelize", "\"SequelizeMeta\" (name TEXT)", "'1_a.js'"),
    ("Entity Framework", "\"__EFMigrationsHistory\" (\"MigrationId\" TEXT, \"ProductVersion\" TEXT)", "'2024_a', '8'"),
    ("FluentMigrator", "\"VersionInfo\" (\"Version\" BIGINT, \"AppliedOn\" TEXT, \"Description\" TEXT)", "1, '', ''"),
    ("Doctrine", "doctrine_migration_versions (version TEXT, executed_at TEXT, execution_time INT)", "'V1', '', 1"),
    ("SeaORM", "seaql_migrations (version TEXT, applied_at BIGINT)", "'m1_a', 1"),
    ("Drizzle", "__drizzle_migrations (id INT, hash TEXT, created_at BIGINT)", "1, 'x', 1"),
    ("Kysely", "kysely_migration (name TEXT, \"timestamp\" TEXT)", "'1_a', ''"),
    ("MikroORM", "mikro_orm_migrations (id INT, name TEXT, executed_at TEXT)", "1, 'Migration1', ''"),
    ("Cloudflare D1", "d1_migrations (id INT, name TEXT, applied_at TEXT)", "1, '0001_a.sql', ''"),
    (
        "Phinx",
        "phinxlog (version BIGINT, migration_name TEXT, start_time TEXT, end_time TEXT, breakpoint INT)",
        "1, 'a', '', '', 0",
    ),
    ("postgrator", "schemaversion (version BIGINT, name TEXT, md5 TEXT, run_at TEXT)", "1, 'a', '', ''"),
    ("MyBatis", "changelog (id BIGINT, applied_at TEXT, description TEXT)", "1, '', 'a'"),
    ("DbUp", "schemaversions (schemaversionsid INT, scriptname TEXT, applied TEXT)", "1, '001_a.sql', ''"),
    ("bun", "bun_migrations (id INT, name TEXT, group_id INT, migrated_at TEXT)", "1, '1', 1, ''"),
    (
        "Play",
        "play_evolutions (id INT, hash TEXT, applied_at TEXT, apply_script TEXT, revert_script TEXT, state TEXT, last_problem TEXT)",
        "1, '', '', '', '', 'applied', ''",
    ),
    ("yoyo", "_yoyo_migration (migration_hash TEXT, migration_id TEXT, applied_at_utc TEXT)", "'', '1_a', ''"),
    ("migratus", "schema_migrations (id BIGINT, applied TEXT, description TEXT)", "1, '', 'a'"),
    ("pop", "schema_migration (version TEXT)", "'1'"),
];

fn more_ledgers_are_recognised(db: &Db) {
    db.write("001_a.sql", "CREATE TABLE a (x INT);\n");
    for (runner, table, values) in MORE_LEDGERS {
        let name = table.split(" (").next().unwrap();
        db.execute(&format!("CREATE TABLE {table}; INSERT INTO {name} VALUES ({values})"));
        let told = db.run("migrate").expect(2).stderr;
        assert!(told.contains(&format!("{} of {runner} says", name.trim_matches('"'))), "{runner}: {told}");
        db.execute(&format!("DELETE FROM {name}"));
        db.run("migrate --dry-run").expect(0);
        db.execute(&format!("DROP TABLE {name}"));
    }
}

fn a_ledger_of_haul_with_another_name_is_in_the_way_of_its_files(db: &Db) {
    db.write("001_a.sql", "CREATE TABLE IF NOT EXISTS a (x INT);\nINSERT INTO a VALUES (1);\n");
    db.run("migrate --table ours").expect(0);
    let told = db.run("migrate").expect(2).stderr;
    assert!(told.contains("ours says that some of these files are applied") && told.contains("--table"), "{told}");
    assert_eq!(db.rows("SELECT count(*) FROM a"), ["1"]);
    // That of another program, with files of its own, says nothing.
    db.write("001_a.sql", "CREATE TABLE b (x INT);\n").run("migrate").expect(0);
    assert_eq!(db.applied(), ["001_a"]);
}

fn failed_rows_of_another_ledger_are_refused(db: &Db) {
    accounts(db);
    db.execute("CREATE TABLE schema_migrations (version BIGINT, dirty BOOLEAN); INSERT INTO schema_migrations VALUES (2, true)");
    db.run("migrate --yes").expect(2);
    let told = db.run("baseline --from-ledger --yes").expect(2).stderr;
    assert!(told.contains("golang-migrate says that 2 failed or did not end"), "{told}");
    assert_eq!(db.json("migrate --yes --allow-other-ledger", 0)["applied"], 2);
}

fn a_version_without_a_file_is_refused(db: &Db) {
    goose(accounts(db));
    db.execute("INSERT INTO goose_db_version VALUES (4, 7, 1, '')");
    let told = db.run("baseline --from-ledger --yes").expect(2).stderr;
    assert!(told.contains("has applied version 7, and it has no file here"), "{told}");
}

fn a_file_with_another_checksum_is_refused(db: &Db) {
    let text = "CREATE TABLE a (x INT);\n";
    // SHA-384 of the text with CR LF, as `sha384sum` prints it.
    let sum = "0148a79238614cefefeceb0e4d7820906ff3a4db19133ed4fe74f3e7c5a1c55ec756c6be28f49bcb68670398f813447f";
    let bytes = if db.engine() == Engine::Sqlite { format!("x'{sum}'") } else { format!("'\\x{sum}'") };
    let kind = if db.engine() == Engine::Sqlite { "BLOB" } else { "bytea" };
    db.execute(&format!(
        "CREATE TABLE _sqlx_migrations (version BIGINT, description TEXT, installed_on TEXT, success BOOLEAN, checksum {kind},
            execution_time BIGINT);
         INSERT INTO _sqlx_migrations VALUES (1, 'a', '', true, {bytes}, 1);"
    ));
    db.write("001_a.sql", "CREATE TABLE a (x  INT);\n");
    let told = db.run("baseline --from-ledger --yes").expect(65).stderr;
    assert!(told.contains("001_a.sql is not the file that sqlx applied"), "{told}");
    db.write("001_a.sql", &text.replace('\n', "\r\n"));
    let told = db.run("baseline --from-ledger --yes").expect(0).stderr;
    assert!(told.contains("001_a (same checksum)"), "{told}");
}

fn undone_versions_stay_pending(db: &Db) {
    goose(accounts(db));
    db.execute("INSERT INTO goose_db_version VALUES (4, 2, 0, '')");
    let declared = db.json("baseline --from-ledger --yes", 0);
    assert_eq!((&declared["declared"], db.applied()), (&json!(["001_accounts"]), vec!["001_accounts".to_owned()]));
}

fn one_of_several_ledgers_is_named(db: &Db) {
    goose(accounts(db));
    db.execute("CREATE TABLE alembic_version (version_num TEXT); INSERT INTO alembic_version VALUES ('ae1027a6acf')");
    let told = db.run("baseline --from-ledger --yes").expect(2).stderr;
    assert!(told.contains("several ledgers") && told.contains("alembic_version (Alembic)"), "{told}");
    let told = db.run("baseline --from-ledger alembic_version --yes").expect(2).stderr;
    assert!(told.contains("`ae1027a6acf` is not a whole number"), "{told}");
    assert!(db.run("baseline --from-ledger nowhere --yes").expect(2).stderr.contains("no ledger"));
    db.run("baseline --from-ledger goose_db_version --yes").expect(0);
}

fn tables_of_others_are_only_noted(db: &Db) {
    let told = accounts(db).run("migrate").expect(0).stderr;
    assert!(
        told.contains("nothing is applied yet, and the database has tables: ") && told.contains("accounts"),
        "{told}"
    );
    db.write("003_more.sql", "CREATE TABLE more (x INT);\n");
    assert!(!db.run("migrate").expect(0).stderr.contains("nothing is applied yet"));
}

fn a_baseline_of_a_database_without_tables_says_so(db: &Db) {
    db.write("001_a.sql", "CREATE TABLE a (x INT);\n");
    match db.engine() {
        Engine::Sqlite => {
            let told = db.run("baseline 1").expect(2).stderr;
            assert!(told.contains("does not exist") && !db.file().exists(), "{told}");
            assert!(db.run("status").expect(2).stderr.contains("sqlite:x.db does not exist yet"));
            rusqlite::Connection::open(db.file()).unwrap().execute_batch("PRAGMA user_version = 1").unwrap();
        }
        Engine::Postgres => db.execute("CREATE SCHEMA only_empty"),
    }
    let told = db.run("baseline 1").expect(0).stderr;
    assert!(told.contains("has no tables; what is recorded now counts as applied and never runs, up to 1"), "{told}");
}

fn a_baseline_above_what_the_schema_has_says_so(db: &Db) {
    db.write("001_a.sql", "CREATE TABLE a (x INT);\nCREATE TABLE passing (x INT);\n");
    db.write("002_b.sql", "DROP TABLE passing;\nCREATE TABLE b (x INT);\nCREATE TABLE \"C c\" (x INT);\n");
    db.execute("CREATE TABLE a (x INT)");
    let told = db.run("baseline 2").expect(0).stderr;
    assert!(told.contains("has no table C c, which files up to 2 make (2 in all)"), "{told}");
    db.execute("DELETE FROM haul_migrations; DELETE FROM haul_migrations_log");
    assert!(!db.run("baseline 1").expect(0).stderr.contains("has no table a"));
}

/// Other programs may have schemas of their own in a database.
#[test]
#[ignore = "needs PostgreSQL"]
fn on_postgres_a_ledger_elsewhere_counts_if_it_names_versions_of_the_files() {
    let db = Db::postgres();
    accounts(&db);
    db.execute("CREATE SCHEMA auth; CREATE TABLE auth.schema_migrations (version TEXT); INSERT INTO auth.schema_migrations VALUES ('20171026211738')");
    db.run("migrate --dry-run").expect(0);
    db.execute("CREATE SCHEMA old; CREATE TABLE old.schema_migrations (version TEXT); INSERT INTO old.schema_migrations VALUES ('1')");
    assert!(db.run("migrate").expect(2).stderr.contains("old.schema_migrations of dbmate"));
    assert_eq!(db.json("baseline --from-ledger old.schema_migrations --yes", 0)["declared"], json!(["001_accounts"]));
}

/// Some runners always use a schema of their own.
#[test]
#[ignore = "needs PostgreSQL"]
fn on_postgres_a_ledger_in_the_schema_of_its_runner_counts() {
    let db = Db::postgres();
    accounts(&db);
    db.execute(
        "CREATE SCHEMA drizzle; CREATE TABLE drizzle.__drizzle_migrations (id INT, hash TEXT, created_at BIGINT); \
         INSERT INTO drizzle.__drizzle_migrations VALUES (1, 'x', 1)",
    );
    assert!(db.run("migrate --yes").expect(2).stderr.contains("drizzle.__drizzle_migrations of Drizzle"));
    assert_eq!(db.rows("SELECT cents FROM accounts"), ["500"]);
}
