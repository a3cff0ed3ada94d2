//! Finding nothing is not success: a log that is gone, moved, compressed or cut, beside a store that holds what it held.

use std::fs;
use std::path::Path;

use crate::support::place::Place;

const STORE: &str = "dual-000001";

fn migrated() -> Place {
    let place = Place::with_space(20);
    place.space_run("migrate default").expect(0);
    place
}

fn remove_logs(place: &Place) {
    fs::remove_file(place.log()).unwrap();
}

fn store(place: &Place) -> std::path::PathBuf {
    place.space().join(STORE)
}

#[test]
fn a_log_in_another_spelling_is_named_and_no_empty_store_is_made() {
    let place = Place::with_space(3);
    let log = place.log();
    let name = log.file_name().unwrap().to_str().unwrap();
    for moved in [name.to_uppercase(), format!("{name}.gz"), format!("{name}.bak"), format!("old/{name}")] {
        let other = log.with_file_name(&moved);
        fs::create_dir_all(other.parent().unwrap()).unwrap();
        fs::rename(&log, &other).unwrap();
        for arguments in ["plan default", "migrate default --dry-run", "migrate default"] {
            let done = place.space_run(arguments).expect(65);
            let first = Path::new(&moved).components().next().unwrap().as_os_str().to_str().unwrap();
            assert!(done.stderr.contains(first), "{arguments}: {}", done.stderr);
            assert!(done.next().contains("--allow-empty"), "{arguments}: {}", done.stderr);
        }
        fs::rename(&other, &log).unwrap();
        _ = fs::remove_dir(log.with_file_name("old"));
    }
    place.space_run("migrate default").expect(0);
}

#[test]
fn a_space_whose_engine_stored_nothing_is_migrated() {
    let place = Place::with_space(1);
    fs::write(place.log(), "").unwrap();
    place.space_run("migrate default").expect(0);
}

#[test]
fn a_space_without_a_log_file_is_migrated_only_if_that_is_asked_for() {
    let place = Place::with_space(1);
    remove_logs(&place);
    place.space_run("migrate default").expect(65);
    place.space_run("migrate default --allow-empty").expect(0);
}

#[test]
fn a_file_beside_the_log_that_is_not_read_is_on_the_screen() {
    let place = Place::with_space(3);
    fs::write(place.log().with_file_name("wal-7.log.bak"), "older").unwrap();
    let done = place.space_run("migrate default").expect(0);
    assert!(done.stderr.contains("wal-7.log.bak: not read"), "{}", done.stderr);
}

#[test]
fn no_restart_trades_a_store_with_nodes_for_an_empty_log() {
    let place = migrated();
    remove_logs(&place);
    for arguments in ["migrate default", "migrate default --restart --yes", "migrate default --dry-run"] {
        let done = place.space_run(arguments).expect(65);
        assert!(done.stderr.contains("dual-000001 holds 20 nodes"), "{arguments}: {}", done.stderr);
        assert!(done.next().contains("haul space export --store dual-000001"), "{arguments}: {}", done.stderr);
    }
    place.space_run("clean default --yes").expect(0);
    place.space_run("verify default").expect(0);
    place.space_run("migrate default --restart --yes --allow-empty").expect(0);
}

#[test]
fn a_log_of_deletions_only_does_not_replace_a_store_unasked() {
    let place = migrated();
    let log = place.log();
    // Less than the header of a record: the torn end of a log that held nothing else.
    fs::write(&log, fs::read(&log).unwrap().split_at(10).0).unwrap();
    let done = place.space_run("migrate default --restart --yes").expect(65);
    assert!(done.stderr.contains("it has no nodes, and dual-000001 holds 20"), "{}", done.stderr);
    place.space_run("verify default").expect(0);
}

#[test]
fn clean_keeps_the_store_that_the_log_cannot_give_again() {
    type Loss = fn(&Place);
    let cases: [(&str, Loss); 4] = [
        ("the directory is gone", |place| fs::remove_dir_all(place.space().join("wal")).unwrap()),
        ("the file is gone", remove_logs),
        ("the file is empty", |place| fs::write(place.log(), "").unwrap()),
        ("the file is cut", |place| fs::write(place.log(), &fs::read(place.log()).unwrap()[..100]).unwrap()),
    ];
    for (what, lose) in cases {
        let place = migrated();
        place.space_run("rollback default --yes").expect(0);
        lose(&place);
        let shown = place.space_run("status default");
        assert!(shown.stdout.contains("haul space export --store dual-000001"), "{what}: {}", shown.stdout);
        let done = place.space_run("clean default --yes").expect(0);
        assert!(done.stderr.contains("may be the only copy"), "{what}: {}", done.stderr);
        assert!(store(&place).is_dir(), "{what}");
        let exported = place.space_run("export default --store dual-000001 --to out").expect(0);
        assert!(exported.stdout.contains("20 records"), "{what}: {}", exported.stdout);
    }
}

#[test]
fn clean_keeps_the_store_when_the_pointer_is_lost_together_with_the_log() {
    let place = migrated();
    fs::remove_file(place.space().join("CURRENT")).unwrap();
    remove_logs(&place);
    place.space_run("clean default --yes").expect(0);
    assert!(store(&place).is_dir());
}

#[test]
fn clean_removes_the_store_of_a_log_that_is_whole_or_was_compacted() {
    let place = migrated();
    place.space_run("rollback default --yes").expect(0);
    let log = place.log();
    // A compaction writes a shorter log under another name.
    fs::write(log.with_file_name("wal-00000000ffffffff.log"), fs::read(&log).unwrap()).unwrap();
    fs::remove_file(&log).unwrap();
    place.space_run("clean default --yes").expect(0);
    assert!(!store(&place).exists());
}

#[test]
fn verify_names_the_files_of_the_run_that_are_gone_or_cut() {
    let place = migrated();
    for name in ["plan.json", "report.json", "checkpoint.bin"] {
        let path = place.space().join("migration").join(name);
        let whole = fs::read(&path).unwrap();
        place.space_run("verify default").expect(0);
        for bytes in [&whole[..whole.len() / 2], b""] {
            fs::write(&path, bytes).unwrap();
            // A damaged checkpoint has one before it.
            _ = fs::remove_file(place.space().join("migration/checkpoint.prev"));
            let done = place.space_run("verify default").expect(65);
            assert!(done.stdout.contains(name), "{name}: {}", done.stdout);
        }
        if name != "checkpoint.bin" {
            fs::remove_file(&path).unwrap();
            assert!(place.space_run("verify default").expect(65).stdout.contains(name), "{name}");
        }
        fs::write(&path, &whole).unwrap();
    }
}
