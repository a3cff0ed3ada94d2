//! What a run of the binary shows, in its file and over HTTP.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::Value;

use super::scrape::{Served, value};
use crate::support::db::Db;
use crate::support::haul::Done;
use crate::support::place::Place;

const SPACE: &str = r#"{kind="space",migration="default""#;

fn report(place: &Place) -> Value {
    let bytes = fs::read(place.space().join("migration/report.json")).expect("a report");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// A command that migrates the space, slowly enough to be looked at, and serves its metrics.
fn served(place: &Place, more: &[&str]) -> Command {
    let mut command = place.command(&["space", "migrate", "default", "--progress", "none"]);
    command.args(["--metrics-addr", "127.0.0.1:0", "--metrics-linger", "1h"]).args(more);
    command
}

#[test]
fn a_file_stays_with_the_final_state() {
    let place = Place::with_space(2000);
    place.space_run("migrate default --metrics-file haul.prom").expect(0);
    let path = place.path().join("haul.prom");
    let text = fs::read_to_string(&path).expect("the file");
    let of = |name: &str, more: &str| value(&text, &format!("haul_migration_{name}{SPACE}{more}}}"));
    assert_eq!((of("state", r#",state="published""#), of("state", r#",state="running""#)), (1.0, 0.0));
    assert_eq!(of("records_total", r#",outcome="migrated""#), report(&place)["counts"]["migrated"].as_f64().unwrap());
    assert_eq!(of("progress_ratio", ""), 1.0);
    assert!(of("last_success_timestamp_seconds", "") >= of("started_timestamp_seconds", ""));
    assert!(of("batch_duration_seconds_count", r#",stage="write""#) >= 2.0);
    assert_eq!(value(&text, r#"engram_migration_nodes_migrated_total{space="default"}"#), 2000.0);
    assert!(!text.contains("eta_seconds{"), "{text}");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o644);
    let names = fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.filter(|name| name.to_string_lossy().contains("prom")).count() == 1, "no temporary file is left");
    // No sample has a time of its own.
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    assert!(
        samples.clone().all(|line| line.rsplit_once("} ").is_some_and(|(_, value)| !value.contains(' '))),
        "{text}"
    );
}

#[test]
fn a_command_that_begins_no_run_leaves_the_file_alone() {
    let place = Place::with_space(10);
    fs::write(place.path().join("haul.prom"), "old\n").unwrap();
    place.space_run("migrate default --dry-run --metrics-file haul.prom").expect(0);
    place.space_run("migrate other --metrics-file haul.prom").expect(2);
    assert_eq!(fs::read_to_string(place.path().join("haul.prom")).unwrap(), "old\n");
}

#[test]
fn the_time_of_the_last_success_outlives_its_process() {
    let place = Place::with_space(10);
    place.space_run("migrate default").expect(0);
    place.space_run("rollback default --yes").expect(0);
    place.space_run("migrate default --restart --yes --no-publish --metrics-file haul.prom").expect(0);
    let text = fs::read_to_string(place.path().join("haul.prom")).unwrap();
    let of = |name: &str, more: &str| value(&text, &format!("haul_migration_{name}{SPACE}{more}}}"));
    assert_eq!((of("state", r#",state="finished""#), of("state", r#",state="published""#)), (1.0, 0.0));
    assert!(of("last_success_timestamp_seconds", "") > 0.0);
}

#[test]
fn a_run_is_scraped_while_it_lasts_and_once_after_it() {
    let place = Place::with_space(3000);
    let served = Served::start(served(&place, &["--rate-limit", "1500", "--batch-size", "100"]));
    let text = served.scrape_until(&format!(r#"haul_migration_state{SPACE},state="running"}} 1"#));
    assert!(value(&text, &format!("haul_migration_memory_budget_bytes{SPACE}}}")) > 0.0);
    // It waits for this, and ends with it.
    let text = served.scrape_until(&format!(r#"haul_migration_state{SPACE},state="published"}} 1"#));
    let migrated = value(&text, &format!(r#"haul_migration_records_total{SPACE},outcome="migrated"}}"#));
    served.end().expect(0);
    assert_eq!(migrated, report(&place)["counts"]["migrated"].as_f64().unwrap());
}

#[test]
fn the_other_stores_have_metrics_as_well() {
    let place = Place::new();
    place.run(&["cas", "generate", "old", "--objects", "50", "--generation", "v0.5", "--seed", "7"]).expect(0);
    place.run(&["cas", "migrate", "--source", "old", "--target", "new", "--metrics-file", "cas.prom"]).expect(0);
    place.run(&["manifest", "generate", "tree", "--manifests", "40", "--seed", "7"]).expect(0);
    let prefix = ["--metrics-prefix", "moves"];
    place.run(&[&["manifest", "migrate", "tree", "--metrics-file", "tree.prom"], &prefix[..]].concat()).expect(0);
    let text = fs::read_to_string(place.path().join("cas.prom")).unwrap();
    assert_eq!(value(&text, r#"haul_migration_state{kind="cas",migration="new",state="published"}"#), 1.0);
    assert_eq!(value(&text, r#"haul_migration_records_total{kind="cas",migration="new",outcome="migrated"}"#), 50.0);
    assert!(!text.contains("engram_"), "{text}");
    let text = fs::read_to_string(place.path().join("tree.prom")).unwrap();
    assert_eq!(value(&text, r#"moves_state{kind="manifest",migration="tree",state="published"}"#), 1.0);
    assert!(!text.contains("haul_migration"), "{text}");
}

#[test]
fn a_database_and_verbs_without_a_run_of_their_own_have_metrics_as_well() {
    let place = Place::with_space(500);
    let text = |name: &str| fs::read_to_string(place.path().join(name)).expect("the file");
    place.space_run("migrate default").expect(0);
    place.space_run("verify default --metrics-file verify.prom").expect(0);
    place.space_run("rollback default --yes --metrics-file rollback.prom").expect(0);
    for (name, state) in [("verify.prom", "finished"), ("rollback.prom", "rolled_back")] {
        assert_eq!(value(&text(name), &format!(r#"haul_migration_state{SPACE},state="{state}"}}"#)), 1.0, "{name}");
    }
    assert!(text("verify.prom").contains("haul_migration_batch_duration_seconds_bucket"), "{}", text("verify.prom"));
    assert!(!text("rollback.prom").contains("last_success"), "{}", text("rollback.prom"));

    let db = Db::sqlite();
    db.write("001_a.sql", "-- Up\nCREATE TABLE a (id INTEGER);\n-- Down\nDROP TABLE a;\n");
    for verb in ["migrate", "rollback --steps 1 --yes"] {
        db.run(&format!("{verb} --metrics-file db.prom")).expect(0);
        let text = fs::read_to_string(db.path().join("db.prom")).expect("the file");
        assert_eq!(value(&text, r#"haul_migration_state{kind="db",migration="x.db",state="finished"}"#), 1.0);
    }
    db.run("migrate --metrics-file db.txt").expect(2);
}

#[test]
fn tenants_are_the_records_of_one_migration() {
    let db = Db::sqlite();
    db.write("001_a.sql", "-- Up\nCREATE TABLE a (id INTEGER);\n-- Down\nDROP TABLE a;\n");
    fs::write(db.path().join("list"), "one.db\ntwo.db\n").unwrap();
    let state = |state: &str| {
        let text = fs::read_to_string(db.path().join("db.prom")).expect("the file");
        value(&text, &format!(r#"haul_migration_state{{kind="db",migration="list",state="{state}"}}"#))
    };
    db.run("migrate --databases list --metrics-file db.prom").expect(0);
    assert_eq!((state("finished"), state("failed")), (1.0, 0.0));
    let text = fs::read_to_string(db.path().join("db.prom")).unwrap();
    assert_eq!(value(&text, r#"haul_migration_progress_ratio{kind="db",migration="list"}"#), 1.0);
    db.run("rollback --steps 1 --yes --databases list --metrics-file db.prom").expect(0);
    assert_eq!(state("finished"), 1.0);
    fs::write(db.path().join("two.db"), "this is no database, and it is longer than the head of one would be").unwrap();
    db.run("migrate --databases list --metrics-file db.prom").expect(3);
    assert_eq!((state("finished"), state("failed")), (0.0, 1.0));
}

#[test]
fn options_that_do_not_fit_end_the_command_before_it_begins() {
    let place = Place::with_space(10);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().unwrap();
    let refused = [
        ("--metrics-file haul.txt".to_owned(), "does not end in .prom"),
        ("--metrics-file none/haul.prom".to_owned(), "the directory of none/haul.prom does not exist"),
        ("--metrics-addr localhost:9464".to_owned(), "invalid value 'localhost:9464'"),
        ("--metrics-addr 127.0.0.1".to_owned(), "invalid value '127.0.0.1'"),
        (format!("--metrics-addr {taken}"), "cannot listen on"),
        ("--metrics-addr 0.0.0.0:0".to_owned(), "can be reached from other computers"),
        ("--metrics-addr [::]:0".to_owned(), "can be reached from other computers"),
        ("--metrics-linger 30s".to_owned(), "--metrics-addr"),
        ("--metrics-file haul.prom --metrics-prefix engram_migration".to_owned(), "the name of two metrics"),
    ];
    for (options, why) in refused {
        let done = place.space_run(&format!("migrate default {options}")).expect(2);
        assert!(done.stderr.contains(why), "{options}: {}", done.stderr);
        assert!(!place.space().join("migration").exists(), "{options}");
    }
}

#[test]
fn a_file_that_cannot_be_written_is_one_note_and_the_run_goes_on() {
    let place = Place::with_space(2000);
    let directory = place.path().join("collected");
    fs::create_dir(&directory).unwrap();
    let mut command = served(&place, &["--metrics-file", "collected/haul.prom", "--rate-limit", "1000"]);
    command.args(["--batch-size", "100"]);
    let served = Served::start(command);
    served.scrape_until(&format!(r#"haul_migration_state{SPACE},state="running"}} 1"#));
    fs::remove_dir_all(&directory).unwrap();
    served.scrape_until(&format!(r#"haul_migration_state{SPACE},state="published"}} 1"#));
    let done = served.end().expect(0);
    assert_eq!(done.stderr.matches("the file of metrics is not written").count(), 1, "{}", done.stderr);
}

#[test]
fn a_killed_run_leaves_its_last_sign_of_life_behind() {
    let place = Place::with_space(3000);
    let mut command = place.command(&["space", "migrate", "default", "--progress", "none", "--rate-limit", "10"]);
    let mut child = command.args(["--batch-size", "10", "--metrics-file", "haul.prom"]).spawn().expect("haul starts");
    let path = place.path().join("haul.prom");
    while !path.exists() {
        assert!(child.try_wait().unwrap().is_none(), "it runs");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(value(&text, &format!(r#"haul_migration_state{SPACE},state="running"}}"#)), 1.0);
    assert!(value(&text, &format!("haul_migration_heartbeat_timestamp_seconds{SPACE}}}")) > 0.0);
}

#[test]
fn a_failed_run_says_so() {
    let place = Place::with_space(50);
    let log = place.log();
    let mut bytes = fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0xff);
    fs::write(&log, bytes).unwrap();
    let mut command = place.command(&["space", "migrate", "default", "--metrics-file", "haul.prom"]);
    let done = Done::of(command.output().unwrap());
    assert_ne!(done.code, 0, "{}", done.stderr);
    let text = fs::read_to_string(place.path().join("haul.prom")).unwrap();
    assert_eq!(value(&text, &format!(r#"haul_migration_state{SPACE},state="failed"}}"#)), 1.0);
}
