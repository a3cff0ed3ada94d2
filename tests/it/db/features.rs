//! What haul has of what the specification and other tools promise, one row a feature, each with the tests that show it on
//! SQLite and on PostgreSQL; and what it has not. The tests that are named must exist.

use std::path::Path;

use crate::support::db::Db;
use crate::support::db_contents::{Engine, on_both};
use haul::db::runner::MigrateRequest;
use haul::db::{Migrations, Runner, RunnerOptions};
use haul::pipeline::{Control, Silent, StopToken};

/// Where a feature is promised, or known from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Spec,
    Flyway,
    Liquibase,
    Sqlx,
    Dbmate,
    GolangMigrate,
    Goose,
    Refinery,
    Atlas,
}

use Source::{Atlas, Dbmate, Flyway, GolangMigrate, Goose, Liquibase, Refinery, Spec, Sqlx};

const TOOLS: [Source; 8] = [Flyway, Liquibase, Sqlx, Dbmate, GolangMigrate, Goose, Refinery, Atlas];

/// The test of a feature, by file and name.
#[derive(Debug)]
enum Shown {
    /// One test for both engines.
    Both(&'static str, &'static str),
    /// A test for SQLite, and one for PostgreSQL.
    Each((&'static str, &'static str), (&'static str, &'static str)),
    /// A test for PostgreSQL: SQLite has no server.
    Server(&'static str, &'static str),
}

use Shown::{Both, Each, Server};

const ALL: &[Source] = &[Spec, Flyway, Liquibase, Sqlx, Dbmate, GolangMigrate, Goose, Refinery, Atlas];

/// What haul has.
const HAD: &[(&str, &[Source], Shown)] = &[
    ("applies what is pending, once", ALL, Both("it/db/acceptance", "five_hundred_files_apply_once")),
    ("versions are numbers, and unique", ALL, Both("it/db/failures", "versions_are_numbers_and_unique")),
    (
        "a file and its row in the ledger are one transaction",
        ALL,
        Both("it/db/acceptance", "a_failure_in_the_middle_of_a_file_leaves_no_trace"),
    ),
    ("stops at the first failure", ALL, Both("it/db/failures", "a_failure_ends_the_run")),
    (
        "migrate --to VERSION",
        &[Spec, Flyway, Sqlx, GolangMigrate, Goose, Refinery, Atlas],
        Both("it/db/acceptance", "rollback_goes_to_a_version_or_so_many_steps"),
    ),
    (
        "rollback --to VERSION, --steps N",
        &[Spec, Flyway, Liquibase, Sqlx, Dbmate, GolangMigrate, Goose, Atlas],
        Both("it/db/acceptance", "rollback_goes_to_a_version_or_so_many_steps"),
    ),
    ("up, down, up gives the same schema", &[Spec], Both("it/db/acceptance", "up_down_up_gives_the_same_schema")),
    (
        "rollback --force",
        &[Spec],
        Both("it/db/acceptance", "a_forced_rollback_removes_the_row_of_a_migration_without_down"),
    ),
    ("redo", &[Goose], Both("it/db/acceptance", "redo_rolls_back_and_applies_again")),
    (
        "files of other tools as they are",
        &[Spec, Flyway, Sqlx, Dbmate, GolangMigrate, Goose],
        Both("it/db/features", "files_of_other_tools_are_read_as_they_are"),
    ),
    (
        "create --name",
        &[Spec, Sqlx, Dbmate, GolangMigrate, Goose, Atlas],
        Both("it/db/features", "a_created_file_is_filled_in_and_applied"),
    ),
    (
        "status",
        &[Spec, Flyway, Liquibase, Sqlx, Dbmate, Goose, Atlas],
        Both("it/db/acceptance", "status_shows_the_state_of_each_migration"),
    ),
    (
        "edited files stop everything",
        &[Spec, Flyway, Liquibase, Sqlx, Refinery, Atlas],
        Both("it/db/bad_days", "edited_files_stop_everything"),
    ),
    (
        "deleted files stop everything",
        &[Spec, Flyway, Sqlx, Refinery, Atlas],
        Both("it/db/bad_days", "deleted_files_stop_everything"),
    ),
    (
        "checksums do without line ends",
        &[Spec, Flyway, Liquibase],
        Both("it/db/bad_days", "a_checkout_with_other_line_ends_is_the_same"),
    ),
    ("a log of every attempt", &[Spec], Both("it/db/failures", "failed_attempts_are_in_the_log")),
    (
        "of two runs one works",
        &[Spec, Flyway, Liquibase, Sqlx, GolangMigrate, Goose, Atlas],
        Both("it/db/acceptance", "of_two_processes_one_works"),
    ),
    ("locks, with owner", &[Spec, Liquibase], Both("it/db/acceptance", "a_held_lock_names_its_owner")),
    (
        "unlock --force",
        &[Spec, Liquibase],
        Each(
            ("it/db/engines", "unlock_ends_the_run_that_it_showed"),
            ("it/db/engines", "unlock_ends_the_session_that_it_showed"),
        ),
    ),
    (
        "a dead owner never blocks",
        &[Spec],
        Each(("kill/db", "haul_is_killed_on_sqlite"), ("kill/db", "haul_is_killed_on_postgres")),
    ),
    (
        "a plan that changes nothing",
        &[Spec, Flyway, Liquibase, Sqlx, Atlas],
        Both("it/db/acceptance", "a_dry_run_changes_nothing"),
    ),
    (
        "a rehearsal that changes nothing",
        &[Spec, Atlas],
        Both("it/db/acceptance", "a_dry_run_that_executes_changes_nothing"),
    ),
    (
        "sections without a transaction",
        &[Spec, Flyway, Liquibase, Sqlx, Dbmate, Goose, Atlas],
        Both("it/db/acceptance", "no_transaction_goes_on_where_it_stopped"),
    ),
    (
        "resolve",
        &[Spec, GolangMigrate],
        Both("it/db/acceptance", "no_transaction_that_did_not_end_waits_for_an_operator"),
    ),
    (
        "takes over the ledger of another runner",
        &[Atlas],
        Both("it/db/takeover", "every_known_ledger_is_recognised_and_taken_over"),
    ),
    (
        "missing and newer files may be ignored",
        &[Flyway, Sqlx, Goose],
        Both("it/db/ledger", "a_missing_file_is_an_error_or_ignored"),
    ),
    ("drift leaves objects out by pattern", &[Atlas], Both("it/db/schema", "a_pattern_leaves_objects_out_of_drift")),
    (
        "baseline",
        &[Spec, Flyway, Liquibase, GolangMigrate, Refinery, Atlas],
        Both("it/db/acceptance", "a_baseline_and_a_repair_leave_rows_in_the_log"),
    ),
    (
        "repair",
        &[Spec, Flyway, Liquibase, Atlas],
        Both("it/db/acceptance", "a_baseline_and_a_repair_leave_rows_in_the_log"),
    ),
    (
        "out of order only when allowed",
        &[Spec, Flyway, Goose, Refinery, Atlas],
        Both("it/db/acceptance", "out_of_order_is_refused_unless_allowed"),
    ),
    (
        "a time limit for the whole section",
        &[Spec, GolangMigrate],
        Both("it/db/acceptance", "the_limit_counts_for_the_whole_section"),
    ),
    (
        "a shorter limit for locks",
        &[Spec],
        Each(
            ("it/db/engines", "a_writer_in_the_way_is_temporary"),
            ("it/db/engines", "a_lock_on_a_table_is_waited_for_less_than_the_limit"),
        ),
    ),
    (
        "consent before data are destroyed",
        &[Spec, Flyway, Atlas],
        Both("it/db/acceptance", "statements_that_destroy_data_need_consent"),
    ),
    (
        "a backup before data are destroyed",
        &[Spec],
        Both("it/db/backups", "a_destructive_migration_makes_a_backup_first"),
    ),
    ("a backup before every change", &[Spec], Both("it/db/backups", "a_required_backup_comes_before_everything")),
    (
        "one backup for each state, and as many as wanted",
        &[Spec],
        Both("it/db/backups", "a_run_that_is_started_again_and_again_has_one_backup"),
    ),
    (
        "squash, with proof that the schema is the same",
        &[Flyway, Atlas],
        Both("it/db/squash", "a_squashed_file_makes_the_schema_of_the_chain"),
    ),
    (
        "squash, with the rows of reference tables",
        &[Atlas],
        Both("it/db/squash", "rows_of_reference_tables_are_in_the_squashed_file_on_request"),
    ),
    ("batches with a cursor", &[Spec], Both("it/db/batches", "a_backfill_touches_each_row_once")),
    (
        "batches go on behind their cursor",
        &[Spec],
        Both("it/db/batches", "a_stopped_backfill_goes_on_behind_its_cursor"),
    ),
    ("dump", &[Liquibase, Dbmate, Atlas], Both("it/db/schema", "a_dump_makes_the_schema_that_it_shows")),
    ("drift", &[Flyway, Liquibase, Atlas], Both("it/db/schema", "a_change_by_hand_is_a_drift")),
    ("lint", &[Flyway, Liquibase, Atlas], Both("it/db/features", "lint_reports_dangerous_statements")),
    ("estimates", &[Spec], Both("it/db/estimates", "an_estimate_comes_from_a_database_that_has_applied_the_file")),
    (
        "markers in literals, comments and bodies are text",
        &[Spec, Dbmate, Goose],
        Both("it/db/acceptance", "markers_in_literals_and_comments_are_text"),
    ),
    (
        "scripts that end the transaction are refused",
        &[Spec],
        Both("it/db/failures", "scripts_that_end_the_transaction_are_refused_before_anything_runs"),
    ),
    (
        "the ledger of another runner is left alone",
        &[Spec],
        Both("it/db/acceptance", "another_ledger_is_reported_and_left_alone"),
    ),
    (
        "the ledger can have another name",
        &[Flyway, Liquibase, Sqlx, Dbmate, GolangMigrate, Goose, Refinery, Atlas],
        Both("it/db/acceptance", "the_ledger_can_have_another_name"),
    ),
    (
        "all pending migrations in one transaction",
        &[Flyway],
        Both("it/db/runs/single_transaction", "a_single_transaction_keeps_all_or_nothing"),
    ),
    (
        "hooks before and after a run and each migration",
        &[Flyway, Atlas],
        Both("it/db/runs/hooks", "hooks_run_around_a_run_and_each_migration"),
    ),
    (
        "placeholders, with an allow-list of variables of the environment",
        &[Flyway, Liquibase, Goose, Atlas],
        Both("it/db/runs/placeholders", "placeholders_are_filled_from_arguments_the_environment_and_settings"),
    ),
    (
        "repeatable migrations, run again when their text changes",
        &[Flyway, Liquibase],
        Both("it/db/runs/repeatable", "a_repeatable_migration_runs_again_when_its_text_changes"),
    ),
    ("folders of migrations", &[Flyway, Liquibase], Both("it/db/files", "folders_are_read_on_request")),
    (
        "newer files and those out of order are allowed by a setting",
        &[Flyway, Sqlx, Goose],
        Both("it/db/ledger", "settings_allow_out_of_order_and_newer"),
    ),
    ("COPY … FROM STDIN with its data", &[Flyway], Server("it/db/files", "copy_of_postgres_runs_with_its_data")),
    (
        "notices of the server are shown and logged",
        &[Flyway],
        Server("it/db/postgres_connections", "notices_of_the_server_are_in_the_summary_and_in_the_log"),
    ),
    (
        "a database that does not exist is created on request only",
        &[Sqlx, Dbmate],
        Each(
            ("it/db/named_databases", "a_file_that_does_not_exist_is_created_on_request_only"),
            ("it/db/named_databases", "a_database_is_created_on_request_only"),
        ),
    ),
    ("removes old backups", &[Spec], Both("it/db/backups", "clean_removes_what_haul_made_and_keeps_the_newest")),
    (
        "removes old rows of the log",
        &[Spec],
        Both("it/db/backups", "clean_removes_old_rows_of_the_log_that_nothing_needs"),
    ),
    (
        "variables, service files and words of libpq",
        &[Dbmate, GolangMigrate, Goose],
        Server("it/db/postgres_connections", "words_and_variables_name_a_database_too"),
    ),
    (
        "password files of libpq",
        &[Dbmate, GolangMigrate, Goose],
        Server("it/db/postgres_connections", "a_password_file_that_others_may_read_is_refused"),
    ),
    (
        "several hosts, of which the wanted kind is chosen",
        &[GolangMigrate, Goose],
        Server("it/db/postgres_connections", "a_server_of_the_wanted_kind_is_chosen"),
    ),
    ("seeds, by environment", &[Goose], Both("it/db/runs/seeds", "a_seed_runs_once_for_each_text")),
    ("no password is shown or stored", &[Spec], Both("it/db/bad_days", "no_password_is_left_anywhere")),
    ("a signal rolls back", &[Spec], Both("it/db/bad_days", "a_signal_rolls_the_migration_back")),
    (
        "kill -9 leaves nothing undone and nothing done twice",
        &[Spec],
        Each(("kill/db", "haul_is_killed_on_sqlite"), ("kill/db", "haul_is_killed_on_postgres")),
    ),
    (
        "connections with TLS",
        &[Flyway, Liquibase, Sqlx, Dbmate, GolangMigrate, Goose, Refinery, Atlas],
        Server("it/db/postgres_tls/mod", "the_certificate_of_the_server_is_checked_as_far_as_asked"),
    ),
    (
        "client certificates",
        &[Flyway, Liquibase, Sqlx, Dbmate, GolangMigrate, Goose, Atlas],
        Server("it/db/postgres_tls/mod", "a_client_shows_its_certificate_where_the_server_asks_for_one"),
    ),
    (
        "environments in the settings, chosen by name",
        &[Flyway, Atlas],
        Each(
            ("it/db/environments", "an_environment_names_its_database_everywhere"),
            ("it/db/environments", "an_environment_and_a_file_of_variables_name_a_server"),
        ),
    ),
    (
        "variables in a file .env",
        &[Sqlx, Dbmate],
        Each(
            ("it/db/environments", "a_file_of_variables_stands_in_for_those_that_are_not_set"),
            ("it/db/environments", "an_environment_and_a_file_of_variables_name_a_server"),
        ),
    ),
    ("runs as another role", &[Flyway], Server("it/db/postgres_roles", "everything_runs_as_the_role")),
    ("waits for a server to come up", &[Dbmate], Server("it/db/postgres_roles", "a_server_that_starts_is_waited_for")),
    (
        "finds the primary among several hosts, after a fail-over too",
        &[GolangMigrate, Goose],
        Server("it/db/postgres_standby", "a_run_goes_on_after_a_fail_over_in_its_middle"),
    ),
    (
        "waits for another run",
        &[Flyway, Liquibase, GolangMigrate, Atlas],
        Both("it/db/failures", "a_run_waits_for_another_as_long_as_it_is_told"),
    ),
    (
        "a library that applications embed",
        &[Flyway, Liquibase, Sqlx, Dbmate, GolangMigrate, Goose, Refinery, Atlas],
        Both("it/db/features", "an_application_embeds_its_migrations"),
    ),
    (
        "schemas and databases of tenants in one run, with a ledger each",
        &[Liquibase, GolangMigrate, Atlas],
        Both("it/db/tenants", "one_failing_tenant_stops_no_other"),
    ),
    (
        "redo, repair and resolve on tenants",
        &[Spec],
        Both("it/db/tenant_verbs", "resolve_settles_the_tenants_in_which_something_is_open"),
    ),
    ("seeds on tenants", &[Spec], Both("it/db/tenant_verbs", "seeds_run_in_all_tenants")),
    ("drift, log and locks of tenants", &[Spec], Both("it/db/tenant_verbs", "drift_is_found_in_each_tenant")),
    (
        "unlock ends the run on no other ledger",
        &[Spec],
        Server("it/db/tenant_verbs", "unlock_ends_the_run_of_no_other_tenant_on_postgres"),
    ),
    (
        "a run on tenants goes on where it was interrupted",
        &[Spec],
        Each(
            ("kill/db_tenants", "haul_is_killed_with_tenants_on_sqlite"),
            ("kill/db_tenants", "haul_is_killed_with_tenants_on_postgres"),
        ),
    ),
    (
        "files that are compiled into the program",
        &[Flyway, Sqlx, GolangMigrate, Goose, Refinery],
        Both("it/db/library", "embedded_files_in_folders_are_read_as_on_disk"),
    ),
    (
        "a run on a connection of the application",
        &[Flyway, Liquibase, Sqlx, GolangMigrate, Goose, Refinery],
        Each(
            ("it/db/callers", "a_connection_is_given_back_as_it_was"),
            ("it/db/callers", "a_session_is_given_back_as_it_was"),
        ),
    ),
    (
        "runs in programs with tokio",
        &[Sqlx, Refinery],
        Both("it/db/library", "an_async_runner_applies_and_closes_in_a_task"),
    ),
];

/// What haul has not, and who has it.
const LEFT_OUT: &[(&str, &[Source])] = &[
    ("migrations in program code, XML, YAML or JSON", &[Flyway, Liquibase, Goose, Refinery]),
    ("preconditions, contexts, labels and tags", &[Liquibase]),
    ("migrations made from a schema that is declared, or from two databases", &[Flyway, Liquibase, Atlas]),
    ("versions of several parts", &[Flyway]),
    ("dropping and emptying whole databases", &[Flyway, Liquibase, Sqlx, Dbmate, GolangMigrate]),
    (
        "engines other than SQLite and PostgreSQL",
        &[Flyway, Liquibase, Sqlx, Dbmate, GolangMigrate, Goose, Refinery, Atlas],
    ),
    ("files from the network", &[Liquibase, GolangMigrate, Atlas]),
    ("queries of an application that are checked when it is compiled", &[Sqlx]),
    ("loading data from CSV", &[Liquibase]),
    ("selecting a database by NODE_ENV", &[Spec]),
];

fn source(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(file).with_extension("rs");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// True if `on_both!` makes two tests of this function.
fn is_on_both(text: &str, name: &str) -> bool {
    let mut lists = text.split("\non_both! {\n").skip(1).filter_map(|rest| rest.split("\n}").next());
    lists.any(|list| list.split_whitespace().any(|word| word == name)) && text.contains(&format!("fn {name}(db: &Db)"))
}

/// True if there is a test of this name by itself, below `mod on_ENGINE` or outside of all modules.
fn is_on(text: &str, engine: &str, name: &str) -> bool {
    let is_test = |text: &str, indent: &str| {
        let ignored = format!("{indent}#[ignore = \"needs PostgreSQL\"]\n");
        [String::new(), ignored]
            .iter()
            .any(|more| text.contains(&format!("\n{indent}#[test]\n{more}{indent}fn {name}()")))
    };
    let module = text.split(&format!("\nmod {engine} {{\n")).nth(1).and_then(|rest| rest.split("\n}").next());
    module.is_some_and(|module| is_test(module, "    ")) || is_test(text, "")
}

#[test]
fn every_feature_has_its_tests() {
    for (feature, _, shown) in HAD {
        let is_there = match shown {
            Both(file, name) => is_on_both(&source(file), name),
            Server(file, name) => is_on(&source(file), "on_postgres", name),
            Each(sqlite, postgres) => {
                is_on(&source(sqlite.0), "on_sqlite", sqlite.1) && is_on(&source(postgres.0), "on_postgres", postgres.1)
            }
        };
        assert!(is_there, "{feature}: {shown:?}");
    }
}

#[test]
fn every_tool_has_covered_and_excluded_features() {
    let count = |tool: Source| HAD.iter().filter(|(_, from, _)| from.contains(&tool)).count();
    assert!(count(Spec) >= 30);
    for tool in TOOLS {
        let lacks = LEFT_OUT.iter().filter(|(_, from)| from.contains(&tool)).count();
        assert!(count(tool) > 5 && lacks > 0, "{tool:?}: {} had, {lacks} left out", count(tool));
    }
    let mut names: Vec<_> = HAD.iter().map(|(name, ..)| name).chain(LEFT_OUT.iter().map(|(name, _)| name)).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "a feature has one row");
}

on_both! {
    files_of_other_tools_are_read_as_they_are
    a_created_file_is_filled_in_and_applied
    lint_reports_dangerous_statements
    an_application_embeds_its_migrations
}

fn files_of_other_tools_are_read_as_they_are(db: &Db) {
    let up = |number: u32| format!("CREATE TABLE t{number} (a INT);\n");
    let down = |number: u32| format!("DROP TABLE t{number};\n");
    let body = match db.engine() {
        Engine::Sqlite => "CREATE TRIGGER g AFTER INSERT ON t3 BEGIN UPDATE t3 SET a = 1; END;",
        Engine::Postgres => "CREATE FUNCTION g() RETURNS int LANGUAGE sql AS $$ SELECT 1; $$;",
    };
    let undo = if db.engine() == Engine::Sqlite { "DROP TRIGGER g;" } else { "DROP FUNCTION g();" };
    db.write("V1__flyway.sql", &up(1)).write("U1__flyway.sql", &down(1));
    db.write("000002_golang.up.sql", &up(2)).write("000002_golang.down.sql", &down(2));
    db.write(
        "00003_goose.sql",
        &format!(
            "-- +goose Up\n{}-- +goose StatementBegin\n{body}\n-- +goose StatementEnd\n\n-- +goose Down\n{undo}\n{}",
            up(3),
            down(3)
        ),
    );
    db.write("20260101000004_dbmate.sql", &format!("-- migrate:up\n{}\n-- migrate:down\n{}", up(4), down(4)));
    db.write("20260101000005_haul.sql", &format!("-- Up\n{}-- Down\n{}", up(5), down(5)));
    db.write("20260101000006_sqlx.up.sql", &up(6)).write("20260101000006_sqlx.down.sql", &down(6));
    assert_eq!(db.json("migrate", 0)["applied"], 6);
    assert_eq!(db.tables(), ["t1", "t2", "t3", "t4", "t5", "t6"]);
    assert_eq!(db.json("rollback --to 0 --yes", 0)["applied"], 6);
    assert_eq!(db.tables(), [""; 0]);
}

fn a_created_file_is_filled_in_and_applied(db: &Db) {
    db.write("007_a.sql", "CREATE TABLE a (a INT);");
    db.run("create --name add_b").expect(0);
    let path = db.migrations().join("008_add_b.sql");
    let text = std::fs::read_to_string(&path).unwrap();
    // As it is, it has nothing to run.
    db.run("migrate").expect(2);
    db.write("008_add_b.sql", &text.replace("-- Up\n", "-- Up\nCREATE TABLE b (a INT);\n"));
    assert_eq!(db.json("migrate", 0)["applied"], 2);
    assert_eq!(db.tables(), ["a", "b"]);
}

fn lint_reports_dangerous_statements(db: &Db) {
    db.write("1_a.sql", "-- Up\nCREATE TABLE a (a INT);\n-- Down\nDROP TABLE a;\n");
    assert_eq!(db.json("lint", 0)["findings"], serde_json::json!([]));
    db.write("2_b.sql", "-- Up\nDROP TABLE a;\n");
    let done = db.run("lint --json");
    assert!(done.stdout.contains("2_b.sql") && !done.stdout.contains("1_a.sql"), "{}", done.texts());
}

fn an_application_embeds_its_migrations(db: &Db) {
    let texts = [("001_a.sql", "-- Up\nCREATE TABLE a (a INT);\n"), ("002_b.sql", "-- Up\nCREATE TABLE b (a INT);\n")];
    let target = db.target();
    for applied in [2, 0] {
        let migrations = Migrations::from_texts(target.dialect(), texts).unwrap();
        let mut runner = Runner::new(target.open().unwrap(), migrations, RunnerOptions::default()).unwrap();
        let control = Control { stop: &StopToken::new(), observer: &Silent };
        let end = runner.migrate(&MigrateRequest::default(), &control).unwrap();
        assert_eq!((end.applied, end.failed), (applied, 0));
    }
    assert_eq!(db.tables(), ["a", "b"]);
}
