//! What else is done with many tenants at once: redo, repair, resolve, seed, drift, log, locks and unlock.

use std::fs;

use haul::db::{Database, Target};
use serde_json::json;

use crate::support::db::Db;
use crate::support::db_contents::{Engine, on_both};
use crate::support::tenants::{Tenants, counts};

on_both! {
    redo_works_on_all_tenants_and_one_that_fails_stops_no_other
    a_repair_names_its_tenants_and_touches_no_other
    a_lost_log_is_created_again_where_it_is_gone
    resolve_settles_the_tenants_in_which_something_is_open
    seeds_run_in_all_tenants
    drift_is_found_in_each_tenant
    locks_and_logs_of_all_tenants_are_shown
    verbs_without_a_run_accept_no_tenants
}

const A: &str = "-- Up\nCREATE TABLE a (a INT);\n-- Down\nDROP TABLE a;\n";
const B: &str = "-- Up\nCREATE TABLE b (a INT);\n-- Down\nDROP TABLE b;\n";

fn with_a_and_b(db: &Db) -> Tenants<'_> {
    let tenants = Tenants::new(db, 3);
    db.write("1_a.sql", A).write("2_b.sql", B);
    tenants.json("migrate", 0);
    tenants
}

/// Runs a verb on all tenants, and returns what is said on standard error.
fn told(tenants: &Tenants<'_>, verb: &str, code: i32) -> String {
    tenants.db.run(&format!("{verb} {}", tenants.arguments())).expect(code).stderr
}

/// What a document or a message calls a tenant.
fn name(tenants: &Tenants<'_>, index: usize) -> String {
    let name = &tenants.names[index];
    if tenants.db.engine() == Engine::Postgres { name.clone() } else { format!("sqlite:{name}.db") }
}

fn redo_works_on_all_tenants_and_one_that_fails_stops_no_other(db: &Db) {
    let tenants = with_a_and_b(db);
    tenants.execute(1, "DROP TABLE b");
    let asked = told(&tenants, "redo", 2);
    assert!(asked.contains("and applies again in 3 of 3 tenants") && asked.contains("2_b (in 3 tenants)"), "{asked}");
    let end = tenants.json("redo --yes", 3);
    assert_eq!(counts(&end), "2 done, 1 failed, 3 total");
    assert_eq!(end["tenants"][0]["run"]["details"][1]["status"], "applied");
    assert!(end["tenants"][1]["error"].as_str().unwrap().contains("2_b.sql:4: statement 1 of 1: "), "{end}");
    assert_eq!((tenants.applied(0), tenants.applied(2)), (vec!["1_a|1".into(), "2_b|2".into()], tenants.applied(0)));
    // A fault in a file that is to run again stops all.
    db.write("2_b.sql", &format!("{B}COMMIT;\n"));
    tenants.execute(1, "UPDATE haul_migrations SET checksum = 'other'");
    told(&tenants, "redo --yes", 3);
    assert_eq!(tenants.applied(0), ["1_a|1", "2_b|2"]);
}

fn a_repair_names_its_tenants_and_touches_no_other(db: &Db) {
    let tenants = with_a_and_b(db);
    tenants.execute(1, "UPDATE haul_migrations SET checksum = 'other' WHERE version = '1'");
    // This one has never had a run.
    let tables = ["a", "b", "haul_migrations", "haul_migrations_log", "haul_migrations_schema"];
    tables.iter().for_each(|table| tenants.execute(2, &format!("DROP TABLE {table}")));
    let second = name(&tenants, 1);
    let refused = told(&tenants, "repair", 2);
    assert!(refused.contains(&format!("changed: 1_a (in {second})")) && refused.contains("--all"), "{refused}");
    let asked = told(&tenants, "repair --all", 2);
    assert!(asked.contains("instead of other") && asked.contains(&format!("(in {second})")), "{asked}");
    assert!(asked.contains("not run, unless the old text had it: 2: CREATE TABLE a"), "{asked}");
    assert!(told(&tenants, "repair --version 2 --yes", 2).contains("in no tenant, version 2 is"));
    let end = tenants.json("repair --version 1 --yes", 0);
    assert_eq!((counts(&end), &end["applied"]), ("1 done, 2 nothing_to_do, 3 total".into(), &json!(1)));
    let recorded = end["tenants"][1]["recorded"][0].as_str().unwrap();
    assert!(recorded.starts_with("1_a: ") && recorded.ends_with(" instead of other"), "{recorded}");
    tenants.json("verify", 0);
    let left = match db.engine() {
        Engine::Sqlite => "SELECT count(*) FROM sqlite_schema",
        Engine::Postgres => "SELECT count(*) FROM pg_tables WHERE schemaname = 'tenant_03'",
    };
    assert_eq!(tenants.rows(2, left), ["0"]);
    assert_eq!(counts(&tenants.json("repair --all", 0)), "3 nothing_to_do, 3 total");
}

fn a_lost_log_is_created_again_where_it_is_gone(db: &Db) {
    let tenants = with_a_and_b(db);
    tenants.execute(1, "DROP TABLE haul_migrations_log");
    assert!(told(&tenants, "repair --lost-log", 2).contains("in each of 3 tenants whose log is gone"));
    let end = tenants.json("repair --lost-log --yes", 0);
    assert_eq!(counts(&end), "1 done, 2 nothing_to_do, 3 total");
    assert_eq!(end["tenants"][1]["recorded"], json!(["an empty log was created"]));
    tenants.json("migrate", 0);
}

fn resolve_settles_the_tenants_in_which_something_is_open(db: &Db) {
    let tenants = Tenants::new(db, 3);
    tenants.execute(2, "CREATE TABLE later (a INT)");
    db.write(
        "1_x.sql",
        "-- haul: no-transaction\nCREATE TABLE a (a INT);\nINSERT INTO later VALUES (1);\nCREATE TABLE c (a INT);",
    );
    assert_eq!(counts(&tenants.json("migrate", 3)), "1 done, 2 failed, 3 total");
    // What the log of a run looks like that was killed in its second statement.
    tenants.execute(1, "DELETE FROM haul_migrations_log WHERE outcome = 'failed'");
    let asked = told(&tenants, "resolve --version 1 --from-statement 3", 2);
    assert!(asked.contains("this settles version 1 in 2 of 3 tenants"), "{asked}");
    for index in [0, 1] {
        assert!(asked.contains(&format!("(in {})", name(&tenants, index))), "{asked}");
    }
    assert_eq!(asked.matches("counts as done: ").count(), 2, "{asked}");
    assert!(asked.contains("will run: ") && asked.contains("1_x.sql:4: CREATE TABLE c"), "{asked}");
    let end = tenants.json("resolve --version 1 --from-statement 3 --yes", 0);
    assert_eq!(counts(&end), "2 done, 1 nothing_to_do, 3 total");
    assert_eq!(end["tenants"][0]["recorded"], json!(["1_x"]));
    assert_eq!(counts(&tenants.json("migrate", 0)), "2 done, 1 nothing_to_do, 3 total");
    assert_eq!(tenants.rows(1, "SELECT count(*) FROM c"), ["0"]);
    assert!(
        told(&tenants, "resolve --version 1 --yes", 2).contains("in no tenant, version 1 has an unfinished section")
    );
}

fn seeds_run_in_all_tenants(db: &Db) {
    let tenants = with_a_and_b(db);
    fs::create_dir(db.path().join("seeds")).unwrap();
    let seed = |text: &str| fs::write(db.path().join("seeds/first.sql"), text).unwrap();
    seed("INSERT INTO a VALUES (7);");
    tenants.execute(1, "DROP TABLE a");
    let end = tenants.json("seed", 3);
    assert_eq!(
        (counts(&end), tenants.rows(2, "SELECT a FROM a")),
        ("2 done, 1 failed, 3 total".into(), vec!["7".into()])
    );
    tenants.execute(1, "CREATE TABLE a (a INT)");
    assert_eq!(counts(&tenants.json("seed", 0)), "1 done, 2 nothing_to_do, 3 total");
    assert!(told(&tenants, "seed --again other", 2).contains("there is no seed `other`"));
    seed("DROP TABLE a;");
    assert!(told(&tenants, "seed", 2).contains("this destroys data in 3 of 3 tenants"));
}

fn drift_is_found_in_each_tenant(db: &Db) {
    let tenants = with_a_and_b(db);
    assert_eq!(tenants.json("drift", 0)["known"], 3);
    tenants.execute(1, "CREATE TABLE by_hand (a INT)");
    tenants.execute(2, "DROP TABLE haul_migrations_schema");
    let drift = tenants.json("drift", 65);
    assert_eq!(
        (&drift["known"], &drift["unknown"], &drift["tenants"][0]["changes"]),
        (&json!(2), &json!(1), &json!([]))
    );
    let change = &drift["tenants"][1]["changes"][0];
    assert!(change["object"].as_str().unwrap().ends_with("by_hand") && change["kind"] == "added", "{change}");
    assert!(drift["tenants"][2]["error"].as_str().unwrap().contains("no run has stored a schema yet"), "{drift}");
    let shown = db.run(&format!("drift {}", tenants.arguments())).expect(65).stdout;
    assert!(
        shown.contains("3 tenants: 1 differ from the schema after their last run, 1 cannot be looked at"),
        "{shown}"
    );
    let mut command = db.command(&format!("drift {} --json", tenants.arguments()));
    let ignored = command.args(["--ignore", "table *by_hand"]).output().unwrap();
    assert_eq!(ignored.status.code(), Some(3));
}

fn locks_and_logs_of_all_tenants_are_shown(db: &Db) {
    let tenants = with_a_and_b(db);
    let mut held = tenants.target(1).open().unwrap();
    held.try_lock("haul_migrations", "pid 7 on elsewhere").unwrap().unwrap();
    let locks = tenants.json("locks", 0);
    let is_held = |index: usize| !locks["tenants"][index]["lock"].is_null();
    assert_eq!([0, 1, 2].map(is_held), [false, true, false], "{locks}");
    let refused = told(&tenants, "unlock", 3);
    assert!(refused.contains(&format!("{}: the lock is held by ", name(&tenants, 1))), "{refused}");
    drop(held);
    assert_eq!(tenants.json("unlock --force", 0)["tenants"][1]["ended"], json!(null));
    let log = tenants.json("log --last 1", 0);
    let newest = |index: usize| log["tenants"][index]["log"][0]["name"].as_str().unwrap().to_owned();
    assert_eq!([0, 1, 2].map(newest), ["2_b", "2_b", "2_b"]);
    let shown = db.run(&format!("log {}", tenants.arguments())).expect(0).stdout;
    assert!(shown.contains(&name(&tenants, 2)) && shown.contains("1_a"), "{shown}");
}

fn verbs_without_a_run_accept_no_tenants(db: &Db) {
    db.write("1_a.sql", A);
    fs::write(db.path().join("list"), "# none\n").unwrap();
    fs::create_dir(db.path().join("seeds")).unwrap();
    for verb in ["redo --yes", "repair --all", "resolve --version 1", "seed", "drift", "locks", "log", "unlock --force"]
    {
        let error = db.run(&format!("{verb} --databases list")).expect(65).stderr;
        assert!(error.contains("there are no tenants"), "{verb}: {error}");
        db.run(&format!("{verb} --databases list --allow-empty")).expect(0);
    }
}

/// Holds the lock of a ledger.
fn held(target: Target, ledger: &str) -> Box<dyn Database> {
    let mut held = target.open().unwrap();
    held.try_lock(ledger, "").unwrap().unwrap();
    held
}

#[test]
#[ignore = "needs PostgreSQL"]
fn unlock_ends_the_run_of_no_other_tenant_on_postgres() {
    let db = Db::postgres();
    let tenants = with_a_and_b(&db);
    let mut second = held(tenants.target(1), "haul_migrations");
    let owner = db.json("locks --table tenant_01.haul_migrations", 0)["lock"]["owner"].as_str().unwrap().to_owned();
    assert!(owner.ends_with(", on the ledger tenant_02.haul_migrations"), "{owner}");
    for arguments in ["", "--force"] {
        let error = db.run(&format!("unlock --table tenant_01.haul_migrations {arguments}")).expect(2).stderr;
        assert!(error.contains("works on another ledger (") && error.contains(&owner), "{error}");
        assert!(error.contains("`haul db unlock --force --table tenant_02.haul_migrations`"), "{error}");
    }
    assert!(db.run("unlock --force").expect(1).stderr.contains("there are 3 ledgers of haul in this database"));
    assert_eq!(db.json("unlock --force --schemas tenant_01", 0)["tenants"][0]["ended"], json!(null));
    assert!(second.holds_lock().unwrap());
    // What the message names.
    let ended = db.json("unlock --force --table tenant_02.haul_migrations", 0);
    assert_eq!(ended["ended"]["ledger"], "tenant_02.haul_migrations");
    assert!(second.holds_lock().is_err(), "its session has ended");
    assert_eq!(tenants.rows(1, "SELECT outcome FROM haul_migrations_log ORDER BY id DESC LIMIT 1"), ["unlocked"]);
    // And with tenants.
    let mut second = held(tenants.target(1), "haul_migrations");
    let ends = tenants.json("unlock --force", 0);
    assert_eq!([0, 1, 2].map(|index| ends["tenants"][index]["ended"].is_null()), [true, false, true], "{ends}");
    assert!(second.holds_lock().is_err());
}

#[test]
#[ignore = "needs PostgreSQL"]
fn unlock_of_tenants_does_not_end_a_run_without_them_on_postgres() {
    let db = Db::postgres();
    let tenants = with_a_and_b(&db);
    let mut plain = held(db.target(), "haul_migrations");
    let error = told(&tenants, "unlock --force", 3);
    assert!(error.contains("tenant_03: the run that holds the lock is not one of the tenant tenant_03"), "{error}");
    assert!(plain.holds_lock().unwrap());
    db.run("unlock --force --table public.haul_migrations").expect(0);
    assert!(plain.holds_lock().is_err());
}

#[test]
#[ignore = "needs PostgreSQL"]
fn unlock_of_a_ledger_does_not_end_the_run_on_a_ledger_of_the_same_name_on_postgres() {
    let db = Db::postgres();
    db.execute("CREATE SCHEMA one; CREATE SCHEMA two");
    db.write("1_a.sql", "SELECT 1;");
    ["one", "two"].iter().for_each(|schema| drop(db.json(&format!("migrate --table {schema}.haul_migrations"), 0)));
    let mut first = held(db.target(), "one.haul_migrations");
    // They exclude each other all the same: both may change the same tables.
    db.run("migrate --table two.haul_migrations").expect(75);
    let error = db.run("unlock --force --table two.haul_migrations").expect(2).stderr;
    assert!(error.contains("`haul db unlock --force --table one.haul_migrations`"), "{error}");
    assert!(first.holds_lock().unwrap());
    db.run("unlock --force --table one.haul_migrations").expect(0);
    assert!(first.holds_lock().is_err());
}
