//! Many tenants in one run: each once, one that fails stops no other, and a run goes on where it was interrupted.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::db::Db;
use crate::support::db_contents::{Engine, on_both};
use crate::support::haul::Done;
use crate::support::tenants::{Tenants, counts};

on_both! {
    one_failing_tenant_stops_no_other
    a_tenant_in_use_is_locked_and_the_others_are_done
    two_runs_at_once_do_each_tenant_once
    a_killed_run_goes_on_with_the_tenants_that_are_not_done
    a_signal_leaves_tenants_pending
    consent_is_asked_once_for_all_tenants
    a_plan_and_a_rehearsal_change_no_tenant
    status_verify_and_rollback_work_on_all_tenants
    a_changed_file_stops_only_the_tenants_that_have_it
    a_fault_in_a_file_stops_all_before_anything_runs
    no_more_tenants_begin_after_so_many_failures
    events_and_notes_name_the_tenant
}

const A: &str = "-- Up\nCREATE TABLE a (a INT);\n-- Down\nDROP TABLE a;\n";
const B: &str = "-- Up\nSELECT 1;\nCREATE TABLE b (a INT);\n-- Down\nDROP TABLE b;\n";

fn one_failing_tenant_stops_no_other(db: &Db) {
    let count = if db.engine() == Engine::Postgres { 30 } else { 20 };
    let tenants = Tenants::new(db, count);
    db.write("1_a.sql", A).write("2_b.sql", B).write("3_c.sql", "CREATE TABLE c (a INT);");
    tenants.execute(16, "CREATE TABLE b (old INT)");
    let end = tenants.json("migrate --jobs 4", 3);
    assert_eq!(counts(&end), format!("{} done, 1 failed, {count} total", count - 1));
    assert_eq!((&end["applied"], &end["failed"]), (&(3 * (count - 1) + 1).into(), &1.into()));
    let failed = &end["tenants"][16];
    assert_eq!((&failed["tenant"], &failed["outcome"]), (&tenants_name(&tenants, 16).into(), &"failed".into()));
    let error = failed["error"].as_str().unwrap();
    assert!(error.contains("2_b.sql:3: statement 2 of 2: ") && error.contains("already exists"), "{error}");
    assert!(failed["next"].as_str().unwrap().contains("nothing of it was kept"), "{failed}");
    assert_eq!(failed["run"]["pending"], serde_json::json!(["2_b", "3_c"]));
    for index in 0..count {
        let expected = if index == 16 { vec!["1_a|1"] } else { vec!["1_a|1", "2_b|1", "3_c|1"] };
        assert_eq!(tenants.applied(index), expected);
    }
    tenants.execute(16, "DROP TABLE b");
    let again = tenants.json("migrate", 0);
    assert_eq!(counts(&again), format!("1 done, {} nothing_to_do, {count} total", count - 1));
    assert_eq!(tenants.applied(16), ["1_a|1", "2_b|1", "3_c|1"]);
}

/// What documents call a tenant.
fn tenants_name(tenants: &Tenants<'_>, index: usize) -> String {
    let name = &tenants.names[index];
    if tenants.db.engine() == Engine::Postgres { name.clone() } else { format!("sqlite:{name}.db") }
}

fn a_tenant_in_use_is_locked_and_the_others_are_done(db: &Db) {
    let tenants = Tenants::new(db, 3);
    db.write("1_a.sql", A);
    let hold = |index: usize| {
        let mut held = tenants.target(index).open().unwrap();
        held.try_lock("haul_migrations", "pid 7 on elsewhere").unwrap().unwrap();
        held
    };
    let second = hold(1);
    let end = tenants.json("migrate --jobs 2", 3);
    assert_eq!(counts(&end), "2 done, 1 locked, 3 total");
    assert!(end["tenants"][1]["error"].as_str().unwrap().starts_with("another run is active: "), "{end}");
    // A run without tenants is excluded too.
    let plain = match db.engine() {
        Engine::Postgres => "migrate --table public.haul_migrations",
        Engine::Sqlite => "migrate --database sqlite:tenant_02.db",
    };
    db.run(plain).expect(75);
    let others = [hold(0), hold(2)];
    assert_eq!(counts(&tenants.json("migrate", 75)), "3 locked, 3 total");
    drop((second, others));
    assert_eq!(counts(&tenants.json("migrate", 0)), "1 done, 2 nothing_to_do, 3 total");
}

#[test]
#[ignore = "needs PostgreSQL"]
fn a_run_without_tenants_excludes_those_with_them_on_postgres() {
    let db = Db::postgres();
    let tenants = Tenants::new(&db, 2);
    db.write("1_a.sql", A);
    let mut plain = db.target().open().unwrap();
    plain.try_lock("haul_migrations", "").unwrap().unwrap();
    assert_eq!(counts(&tenants.json("migrate", 75)), "2 locked, 2 total");
    drop(plain);
    assert_eq!(counts(&tenants.json("migrate", 0)), "2 done, 2 total");
    // Both kinds can be in one database: the ledger of the plain one is named.
    let error = db.run("migrate").expect(1).stderr;
    assert!(error.contains("there are 2 ledgers of haul in this database"), "{error}");
    db.run("migrate --table public.haul_migrations").expect(0);
}

fn two_runs_at_once_do_each_tenant_once(db: &Db) {
    let tenants = Tenants::new(db, 8);
    db.write("1_a.sql", A).write("2_b.sql", B);
    let start = || {
        let arguments = format!("migrate {} --jobs 3 --lock-timeout 60 --json --progress none", tenants.arguments());
        db.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let runs = [start(), start()].map(|run| Done::of(run.wait_with_output().unwrap()).expect(0).json());
    let applied: u64 = runs.iter().map(|end| end["applied"].as_u64().unwrap()).sum();
    assert_eq!(applied, 16, "{runs:?}");
    (0..8).for_each(|index| assert_eq!(tenants.applied(index), ["1_a|1", "2_b|1"]));
}

/// A statement that takes a tenth of a second or so.
fn slow(db: &Db) -> &'static str {
    match db.engine() {
        Engine::Sqlite => {
            "INSERT INTO a WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 300000) SELECT max(n) \
             FROM c;"
        }
        Engine::Postgres => "INSERT INTO a SELECT 1 FROM pg_sleep(0.1);",
    }
}

/// Starts a slow run on all tenants, and waits until the second one is done.
fn start_slow(tenants: &Tenants<'_>, jobs: u32) -> std::process::Child {
    let db = tenants.db;
    db.write("1_a.sql", A).write("2_slow.sql", slow(db));
    tenants.json("migrate --to 1", 0);
    let arguments = format!("migrate {} --jobs {jobs} --json --progress none", tenants.arguments());
    let mut run = db.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while tenants.applied(1).len() < 2 {
        assert!(run.try_wait().unwrap().is_none(), "the others take longer");
        std::thread::sleep(Duration::from_millis(5));
    }
    run
}

fn a_killed_run_goes_on_with_the_tenants_that_are_not_done(db: &Db) {
    let tenants = Tenants::new(db, 7);
    let mut run = start_slow(&tenants, 2);
    run.kill().unwrap();
    run.wait().unwrap();
    let done = (0..7).filter(|index| tenants.applied(*index).len() == 2).count();
    assert!(done < 7);
    let end = tenants.json("migrate --lock-timeout 20", 0);
    assert!(end["applied"].as_u64().unwrap() >= (7 - done as u64) - 2, "{end}");
    for index in 0..7 {
        assert_eq!(tenants.applied(index), ["1_a|1", "2_slow|1"]);
        assert_eq!(tenants.rows(index, "SELECT count(*) FROM a"), ["1"]);
    }
}

fn a_signal_leaves_tenants_pending(db: &Db) {
    let tenants = Tenants::new(db, 6);
    let run = start_slow(&tenants, 1);
    kill_process(Pid::from_child(&run), Signal::TERM).unwrap();
    let done = Done::of(run.wait_with_output().unwrap()).expect(75);
    let end = done.json();
    assert_eq!(end["stopped"], true);
    assert!(end["counts"]["pending"].as_u64().unwrap() >= 2 && end["counts"]["done"].as_u64().unwrap() >= 2, "{end}");
    assert_eq!(end["tenants"][5]["outcome"], "pending");
    assert!(done.stderr.contains("stopped on request"), "{}", done.stderr);
    tenants.json("migrate", 0);
    (0..6).for_each(|index| assert_eq!(tenants.applied(index), ["1_a|1", "2_slow|1"]));
}

fn consent_is_asked_once_for_all_tenants(db: &Db) {
    let tenants = Tenants::new(db, 3);
    db.write("1_a.sql", A).run(&format!("migrate {}", tenants.arguments())).expect(0);
    db.write("2_drop.sql", "DROP TABLE a;");
    let all = tenants.arguments();
    let error = db.run(&format!("migrate {all}")).expect(2).stderr;
    assert!(error.contains("this destroys data in 3 of 3 tenants; "), "{error}");
    assert!(error.contains("2_drop.sql:1 drops a table (in 3 tenants)"), "{error}");
    db.run(&format!("migrate {all} --yes")).expect(0);
    assert_eq!(tenants.applied(2), ["1_a|1", "2_drop|1"]);
    db.write("3_b.sql", B).run(&format!("migrate {all}")).expect(0);
    let error = db.run(&format!("rollback --steps 1 {all}")).expect(2).stderr;
    assert!(error.contains("in 3 of 3 tenants") && error.contains("3_b (in 3 tenants)"), "{error}");
}

fn a_plan_and_a_rehearsal_change_no_tenant(db: &Db) {
    let tenants = Tenants::new(db, 3);
    db.write("1_a.sql", A).write("2_b.sql", B);
    tenants.execute(1, "CREATE TABLE b (old INT)");
    let plan = tenants.json("migrate --dry-run", 0);
    assert_eq!(plan["tenants"][2]["would_apply"], serde_json::json!(["1_a", "2_b"]));
    let rehearsal = tenants.json("migrate --dry-run=execute", 3);
    assert_eq!(counts(&rehearsal), "2 done, 1 failed, 3 total");
    let state = tenants.json("status", 0);
    assert!(
        state["tenants"].as_array().unwrap().iter().all(|one| one["applied"] == 0 && one["pending"] == 2),
        "{state}"
    );
}

fn status_verify_and_rollback_work_on_all_tenants(db: &Db) {
    let tenants = Tenants::new(db, 3);
    db.write("1_a.sql", A).write("2_b.sql", B);
    tenants.json("migrate --to 1", 0);
    let state = tenants.json("status --exit-code", 1);
    assert_eq!((&state["known"], &state["tenants"][0]["pending_names"]), (&3.into(), &serde_json::json!(["2_b"])));
    tenants.json("migrate", 0);
    tenants.json("status --exit-code", 0);
    assert_eq!(tenants.json("verify", 0)["tenants"][1]["applied"], 2);
    let end = tenants.json("rollback --to 1 --yes", 0);
    assert_eq!((counts(&end), &end["applied"]), ("3 done, 3 total".into(), &3.into()));
    assert_eq!(tenants.applied(2), ["1_a|1"]);
}

fn a_changed_file_stops_only_the_tenants_that_have_it(db: &Db) {
    let tenants = Tenants::new(db, 3);
    db.write("1_a.sql", A).write("2_b.sql", B);
    tenants.json("migrate --to 1", 0);
    tenants.execute(1, "UPDATE haul_migrations SET checksum = 'other'");
    assert_eq!(tenants.json("verify", 65)["tenants"][1]["differences"], serde_json::json!(["1_a is changed"]));
    let end = tenants.json("migrate", 3);
    assert_eq!(counts(&end), "2 done, 1 failed, 3 total");
    let error = end["tenants"][1]["error"].as_str().unwrap();
    assert!(error.contains("was changed after it was applied"), "{error}");
    assert_eq!((tenants.applied(0).len(), tenants.applied(1).len()), (2, 1));
}

fn a_fault_in_a_file_stops_all_before_anything_runs(db: &Db) {
    let tenants = Tenants::new(db, 3);
    db.write("1_a.sql", A).write("2_b.sql", "CREATE TABLE b (a INT);\nCOMMIT;\nSELECT 1;\n");
    let error = db.run(&format!("migrate {}", tenants.arguments())).expect(2).stderr;
    assert!(error.contains("2_b.sql:2"), "{error}");
    assert!(db.run(&format!("migrate --to 9 {}", tenants.arguments())).expect(2).stderr.contains("version 9"));
    let state = tenants.json("status", 0);
    assert!(state["tenants"].as_array().unwrap().iter().all(|one| one["applied"] == 0), "{state}");
}

fn no_more_tenants_begin_after_so_many_failures(db: &Db) {
    let tenants = Tenants::new(db, 5);
    db.write("1_a.sql", "INSERT INTO nowhere VALUES (1);");
    let end = tenants.json("migrate --jobs 1 --max-failures 2", 3);
    assert_eq!(counts(&end), "2 failed, 3 pending, 5 total");
    assert_eq!(end["tenants"][2]["outcome"], "pending");
    assert_eq!(counts(&tenants.json("migrate --jobs 2", 3)), "5 failed, 5 total");
}

fn events_and_notes_name_the_tenant(db: &Db) {
    let tenants = Tenants::new(db, 2);
    tenants.execute(1, "CREATE TABLE made_by_hand (a INT)");
    db.write("1_a.sql", A);
    let done = db.run(&format!("migrate {} --progress events", tenants.arguments())).expect(0);
    let events: Vec<serde_json::Value> = done.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let second = tenants_name(&tenants, 1);
    let of_second = events.iter().filter(|event| event["tenant"] == second.as_str()).map(|event| &event["event"]);
    let of_second: Vec<_> = of_second.map(|event| event.as_str().unwrap()).collect();
    assert_eq!((of_second.first(), of_second.last()), (Some(&"tenant_started"), Some(&"tenant_ended")));
    assert!(of_second.contains(&"of_tenant"), "{of_second:?}");
    let note = events.iter().find(|event| event["event"] == "note").unwrap()["text"].as_str().unwrap();
    assert!(note.starts_with(&format!("{second}: ")) && note.contains("made_by_hand"), "{note}");
}
