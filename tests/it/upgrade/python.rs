//! Sets of every real shape, with a checker that shares no code with haul.

use std::fs;

use rusqlite::Connection;

use super::place::Set;

/// Options of the generator, and what haul needs to be told for them.
const SETS: &[(&[&str], &[&str])] = &[
    (&[], &[]),
    (
        &["--orphans", "20", "--fk-mismatch", "--timestamps", "mixed", "--local-offset-minutes", "-300"],
        &["--assume-tz=-05:00"],
    ),
    (&["--stale-fts", "--index-collision", "--wal", "50"], &[]),
    (&["--timestamps", "sql", "--no-scope", "--cache-bytes", "1600000"], &[]),
    (&["--orphans", "20"], &[]),
    (&["--fk-mismatch"], &[]),
    (&["--stale-fts"], &[]),
    (&["--wal", "500"], &[]),
    (&["--index-collision"], &[]),
    (&["--timestamps", "sql"], &[]),
    (&["--timestamps", "mixed"], &[]),
    (&["--timestamps", "mixed", "--local-offset-minutes", "330"], &["--assume-tz=+05:30"]),
    (&["--timestamps", "iso", "--local-offset-minutes", "-480"], &["--assume-tz=-08:00"]),
    (&["--no-scope"], &[]),
    (&["--cache-bytes", "1600000"], &[]),
    (&["--seed", "7"], &[]),
    (&["--conversations", "1", "--messages", "1"], &[]),
    (&["--conversations", "300", "--messages", "5"], &[]),
    (&["--patterns", "1"], &[]),
    (&["--shapes", "A"], &[]),
    (&["--shapes", "B"], &[]),
    (&["--shapes", "C"], &[]),
    (&["--shapes", "D"], &[]),
    (&["--shapes", "E"], &[]),
    (&["--shapes", "F"], &[]),
    (&["--shapes", "G"], &[]),
    (&["--shapes", "A", "--wal", "100", "--fk-mismatch"], &[]),
    (&["--shapes", "B", "--wal", "100"], &[]),
    (&["--shapes", "C", "--wal", "100"], &[]),
    (&["--shapes", "D", "--wal", "100"], &[]),
    (&["--shapes", "E", "--wal", "100"], &[]),
    (&["--shapes", "F", "--wal", "100"], &[]),
    (&["--shapes", "G", "--wal", "100", "--orphans", "9"], &[]),
    (&["--shapes", "AB", "--index-collision", "--timestamps", "mixed"], &[]),
    (&["--shapes", "CD", "--timestamps", "mixed", "--local-offset-minutes", "60"], &["--assume-tz=+01:00"]),
    (&["--shapes", "EFG", "--timestamps", "sql", "--orphans", "3"], &[]),
    (
        &["--shapes", "GA", "--fk-mismatch", "--index-collision", "--stale-fts", "--wal", "20"],
        &["--primary", "tier1_G.db"],
    ),
    (&["--shapes", "BCD", "--orphans", "50", "--stale-fts", "--no-scope"], &[]),
    (&["--shapes", "DCB", "--seed", "3", "--conversations", "40"], &["--primary", "tier1_D.db"]),
    (&["--shapes", "A", "--messages", "60"], &[]),
    (&["--shapes", "B", "--messages", "60", "--timestamps", "mixed"], &[]),
    (
        &["--orphans", "5", "--fk-mismatch", "--stale-fts", "--wal", "30", "--index-collision", "--cache-bytes", "900"],
        &[],
    ),
];

const PHASES: [&str; 5] = ["freeze", "schema", "backfill", "verify", "cutover"];
/// Of so many sets one is tried, unless `HAUL_UPGRADE_FULL` asks for all.
const SAMPLE: usize = 6;

fn upgrade_and_check(options: &[&str], told: &[&str]) {
    let set = Set::built(options);
    let arguments = [&["--yes", "--json"], told].concat();
    let done = set.upgrade("run", &arguments);
    assert_eq!(done.code, 0, "{options:?}: {}\n{}", done.stdout, done.stderr);
    set.check(true).unwrap_or_else(|said| panic!("{options:?}: {said}"));
}

#[test]
#[ignore = "needs the conformance data and python3"]
fn sets_of_every_shape_become_what_the_checker_expects() {
    let step = if std::env::var_os("HAUL_UPGRADE_FULL").is_some() { 1 } else { SAMPLE };
    for (options, told) in SETS.iter().step_by(step) {
        upgrade_and_check(options, told);
    }
}

#[test]
#[ignore = "needs the conformance data and python3"]
fn an_empty_file_blocks_the_set_until_it_is_excluded() {
    let set = Set::built(&["--shapes", "AB", "--zero-byte", "empty.db"]);
    let before = set.bytes();
    let done = set.upgrade("run", &["--yes"]).expect(65);
    assert!(done.stderr.contains("empty.db"), "{}", done.stderr);
    assert_eq!(set.bytes(), before);
    set.upgrade("run", &["--yes", "--exclude", "empty.db"]).expect(0);
    set.check(true).unwrap();
}

/// Damages a set, and expects that haul leaves it as it is.
fn expect_blocked(damage: impl Fn(&Set), codes: &[i32], says: &str) {
    let set = Set::built(&["--shapes", "AB"]);
    damage(&set);
    let before = set.bytes();
    for verb in ["plan", "run"] {
        let arguments: &[&str] = if verb == "run" { &["--yes"] } else { &[] };
        let done = set.upgrade(verb, arguments);
        assert!(codes.contains(&done.code), "{says}: {} {} {}", done.code, done.stdout, done.stderr);
        let said = format!("{}{}", done.stdout, done.stderr);
        assert!(said.contains(says), "{says}: {said}");
        assert_eq!(set.bytes(), before, "{says}");
    }
}

#[test]
#[ignore = "needs the conformance data and python3"]
fn what_cannot_be_upgraded_stays_as_it_is() {
    let execute = |set: &Set, name: &str, sql: &str| {
        Connection::open(set.file(name)).unwrap().execute_batch(sql).unwrap();
    };
    expect_blocked(
        |set| {
            let path = set.file("tier2.db");
            let bytes = fs::read(&path).unwrap();
            fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        },
        &[65],
        "tier2.db",
    );
    expect_blocked(|set| fs::write(set.file("notes.db"), "no database at all, but a text").unwrap(), &[65], "notes.db");
    expect_blocked(|set| execute(set, "other.db", "CREATE TABLE cats(name TEXT)"), &[2, 65], "other.db");
    expect_blocked(
        |set| execute(set, "tier1_A.db", "CREATE TABLE plugins(name TEXT, colour TEXT)"),
        &[2, 65],
        "plugins",
    );
}

#[test]
#[ignore = "needs the conformance data and python3"]
fn a_rollback_after_each_phase_brings_the_old_files_back() {
    for phase in PHASES {
        let set = Set::built(&["--shapes", "ABD", "--orphans", "5", "--wal", "20"]);
        for each in PHASES.iter().take_while(|each| **each != phase).chain([&phase]) {
            set.upgrade(each, &["--yes"]).expect(0);
        }
        set.upgrade("rollback", &["--yes"]).expect(0);
        set.check(false).unwrap_or_else(|said| panic!("{phase}: {said}"));
        set.upgrade("rollback", &["--yes"]).expect(0);
        set.check(false).unwrap_or_else(|said| panic!("{phase}, twice: {said}"));
    }
}

#[test]
#[ignore = "needs the conformance data and python3"]
fn rows_that_were_written_since_are_exported_by_a_rollback() {
    let set = Set::built(&["--shapes", "A"]);
    set.upgrade("run", &["--yes"]).expect(0);
    let name = set.bytes().keys().find(|name| name.starts_with("tier1")).unwrap().clone();
    let sql =
        "INSERT INTO conversations(conversation_id, agent_id, start_time) VALUES ('late', 'x', '2026-01-01T00:00:00')";
    Connection::open(set.file(&name)).unwrap().execute_batch(sql).unwrap();
    let end = set.upgrade("rollback", &["--yes", "--json"]).expect(0).json();
    set.check(false).unwrap();
    assert!(end["rows_written"].as_u64().unwrap() > 0, "{end}");
    let exported = walk(&set.file("migration/rolled-back"));
    assert!(exported.iter().any(|text| text.contains("'late'")), "{exported:?}");
}

fn walk(directory: &std::path::Path) -> Vec<String> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            texts.extend(walk(&entry));
        } else {
            texts.push(fs::read_to_string(&entry).unwrap());
        }
    }
    texts
}

#[test]
#[ignore = "needs the conformance data and python3"]
fn a_second_run_has_nothing_to_do() {
    let set = Set::built(&["--shapes", "AC"]);
    set.upgrade("run", &["--yes"]).expect(0);
    let before = set.bytes();
    let end = set.upgrade("run", &["--yes", "--json"]).expect(0).json();
    assert_eq!(end["already_done"], true, "{end}");
    assert_eq!(set.bytes(), before);
}

#[test]
#[ignore = "needs the conformance data and python3"]
fn an_upgrade_in_place_gives_the_same() {
    let set = Set::built(&["--shapes", "ABCDEFG", "--orphans", "3", "--wal", "20"]);
    set.upgrade("run", &["--yes", "--in-place"]).expect(0);
    set.check(true).unwrap();
    set.upgrade("rollback", &["--yes"]).expect(0);
    set.check(false).unwrap();
}
