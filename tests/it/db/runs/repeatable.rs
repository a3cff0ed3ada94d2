//! Repeatable migrations (docs/source-sql.md, "Repeatable migrations").

use crate::support::db::Db;
use crate::support::db_contents::{Engine, on_both};

on_both! {
    a_repeatable_migration_runs_again_when_its_text_changes
    repeatable_migrations_run_after_all_versions_in_the_order_of_names
    a_repeatable_migration_that_fails_leaves_nothing
    a_single_transaction_covers_repeatable_migrations
    a_repeatable_migration_that_destroys_data_needs_consent
    what_a_repeatable_migration_may_not_have_is_refused_before_anything_runs
    a_repeatable_migration_without_a_file_is_gone
    baseline_repair_and_verify_leave_repeatable_migrations_alone
}

/// A view with this value in it, made anew each time.
fn view(value: u32) -> String {
    format!("DROP VIEW IF EXISTS v;\nCREATE VIEW v AS SELECT {value} AS n;")
}

/// Names and states in `status`.
fn states(db: &Db) -> Vec<String> {
    let status = db.json("status", 0);
    let files = status["repeatables"].as_array().unwrap().clone();
    files.iter().map(|file| format!("{} {}", file["name"], file["state"]).replace('"', "")).collect()
}

fn a_repeatable_migration_runs_again_when_its_text_changes(db: &Db) {
    db.write("1_a.sql", "CREATE TABLE a (a INT);").write("R__v.sql", &view(1));
    assert_eq!(db.json("migrate --dry-run", 0)["repeatables"][0]["state"], "new");
    assert!(db.run("migrate --dry-run").expect(0).stdout.contains("R__v (new)"));
    assert_eq!(db.json("migrate --dry-run=execute", 0)["rehearsal"]["applied"], 2);
    let end = db.json("migrate", 0);
    assert_eq!((&end["applied"], &end["details"][1]["name"]), (&2.into(), &"R__v".into()));
    assert_eq!((db.rows("SELECT n FROM v"), states(db)), (vec!["1".into()], vec!["R__v applied".into()]));
    assert_eq!(db.json("migrate", 0)["applied"], 0);
    db.run("status --exit-code").expect(0);
    db.write("R__v.sql", &view(2));
    assert_eq!(states(db), ["R__v changed"]);
    db.run("status --exit-code").expect(1);
    assert!(db.run("status").expect(0).stdout.contains("R__v (changed)"));
    assert_eq!(db.json("migrate", 0)["applied"], 1);
    assert_eq!(db.rows("SELECT n FROM v"), ["2"]);
    // It is recorded beside the ledger, with one row, and in the log.
    assert_eq!(db.applied(), ["1_a"]);
    let checksum = blake3::hash(view(2).as_bytes()).to_hex().to_string();
    let row = db.rows("SELECT kind, name, checksum FROM haul_migrations_files");
    assert_eq!(row, [format!("repeatable|v|{checksum}")]);
    // PostgreSQL says of the first run that there was no view to drop.
    let outcomes: Vec<_> = db.outcomes().into_iter().filter(|outcome| !outcome.ends_with("noticed")).collect();
    assert_eq!(outcomes[2..], ["R__v started", "R__v applied", "R__v started", "R__v applied"]);
    db.run("drift").expect(0);
}

fn repeatable_migrations_run_after_all_versions_in_the_order_of_names(db: &Db) {
    let insert = |name: &str| format!("INSERT INTO seen VALUES ('{name}');");
    db.write("R__b.sql", &insert("b")).write("R__a.sql", &insert("a")).write("2_z.sql", &insert("2"));
    db.write("1_seen.sql", "CREATE TABLE seen (x TEXT);");
    let end = db.json("migrate --to 1", 0);
    assert_eq!((&end["applied"], &end["pending"]), (&1.into(), &serde_json::json!(["2_z", "R__a", "R__b"])));
    db.run("migrate").expect(0);
    assert_eq!(db.rows("SELECT x FROM seen"), ["2", "a", "b"]);
}

fn a_repeatable_migration_that_fails_leaves_nothing(db: &Db) {
    db.write("1_a.sql", "CREATE TABLE a (a INT);");
    db.write("R__v.sql", "CREATE TABLE b (a INT);\nINSERT INTO nowhere VALUES (1);");
    let end = db.json("migrate", 1);
    assert_eq!(
        (&end["applied"], &end["failure"]["name"], &end["failure"]["line"]),
        (&1.into(), &"R__v".into(), &2.into())
    );
    assert_eq!((db.tables(), states(db)), (vec!["a".into()], vec!["R__v new".into()]));
    db.write("R__v.sql", &view(1)).run("migrate").expect(0);
}

fn a_single_transaction_covers_repeatable_migrations(db: &Db) {
    db.write("1_a.sql", "CREATE TABLE a (a INT);").write("R__v.sql", "INSERT INTO nowhere VALUES (1);");
    assert_eq!(db.json("migrate --single-transaction", 1)["failure"]["name"], "R__v");
    assert_eq!((db.tables(), db.applied()), (vec![], vec![]));
    db.write("R__v.sql", &view(3));
    assert_eq!(db.json("migrate --single-transaction", 0)["applied"], 2);
    assert_eq!((db.rows("SELECT n FROM v"), states(db)), (vec!["3".into()], vec!["R__v applied".into()]));
}

fn a_repeatable_migration_that_destroys_data_needs_consent(db: &Db) {
    db.write("1_a.sql", "CREATE TABLE a (a INT);")
        .write("R__t.sql", "DROP TABLE IF EXISTS t;\nCREATE TABLE t (a INT);");
    let done = db.run("migrate").expect(2);
    assert!(done.stderr.contains("R__t.sql:1 drops a table"), "{}", done.stderr);
    db.run("migrate --to 1").expect(0);
    let end = db.json("migrate --yes", 0);
    assert_eq!(end["applied"], 1);
    assert_eq!(end["backup"].is_null(), db.engine() == Engine::Postgres);
}

fn what_a_repeatable_migration_may_not_have_is_refused_before_anything_runs(db: &Db) {
    db.write("1_a.sql", "CREATE TABLE a (a INT);");
    for (text, said) in [
        ("-- haul: no-transaction\nSELECT 1;", "R__v.sql:2: a file without a version runs in one transaction"),
        ("-- Up\nSELECT 1;\n-- Down\nSELECT 2;", "R__v.sql:1: a section marker"),
        ("COMMIT;", "R__v.sql:1: COMMIT would end"),
    ] {
        db.write("R__v.sql", text);
        let done = db.run("migrate").expect(2);
        assert!(done.stderr.contains(said) && done.stderr.contains("next: "), "{}", done.stderr);
        assert!(!db.file().exists());
    }
    assert!(db.engine() == Engine::Sqlite || db.tables().is_empty());
}

fn a_repeatable_migration_without_a_file_is_gone(db: &Db) {
    db.write("1_a.sql", "CREATE TABLE a (a INT);").write("R__v.sql", &view(1)).run("migrate").expect(0);
    db.remove("R__v.sql");
    assert_eq!(states(db), ["R__v gone"]);
    db.run("verify").expect(0);
    assert_eq!(db.json("migrate", 0)["applied"], 0);
}

fn baseline_repair_and_verify_leave_repeatable_migrations_alone(db: &Db) {
    db.write("1_a.sql", "CREATE TABLE a (a INT);").write("R__v.sql", &view(1));
    db.execute("CREATE TABLE a (a INT)");
    db.run("baseline 1 --yes").expect(0);
    // What a repeatable migration makes is made again, so it is not declared.
    assert_eq!((states(db), db.json("migrate", 0)["applied"].clone()), (vec!["R__v new".into()], 1.into()));
    db.write("R__v.sql", &view(2));
    assert_eq!(db.json("repair --all --yes", 0)["repaired"], serde_json::json!([]));
    let verified = db.json("verify", 0);
    assert_eq!((&verified["differences"], &verified["repeatables"][0]["state"]), (&0.into(), &"changed".into()));
    assert!(db.run("verify").expect(0).stdout.contains("R__v"));
    db.run("rollback --to 0 --force --yes").expect(0);
    assert_eq!(db.rows("SELECT n FROM v"), ["1"]);
}
