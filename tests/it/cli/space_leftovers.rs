//! Directories of a space's runs that hold what the system does not let go, or what no run has made.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::place::Place;

/// A space whose store was made and is not live.
fn rolled_back() -> Place {
    let place = Place::with_space(20);
    place.space_run("migrate default").expect(0);
    place.space_run("rollback default --yes").expect(0);
    place
}

#[test]
fn what_no_run_has_made_stays_in_the_directories_of_runs() {
    for part in ["staging", "scratch", "retired"] {
        let place = rolled_back();
        let directory = place.space().join("migration").join(part);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("mine"), b"precious").unwrap();
        for verb in ["migrate default --dry-run", "migrate default", "migrate default --restart --yes"] {
            let done = place.space_run(verb).expect(2);
            assert!(
                done.stderr.contains(&format!("migration/{part}/mine: no run of haul makes it")),
                "{}",
                done.stderr
            );
        }
        let done = place.space_run("clean default --yes").expect(0);
        assert!(done.stderr.contains(&format!("migration/{part}: it holds mine, which no run")), "{}", done.stderr);
        assert_eq!(fs::read(directory.join("mine")).unwrap(), b"precious", "{part}");
        fs::remove_file(directory.join("mine")).unwrap();
        place.space_run("migrate default --restart --yes").expect(0);
    }
}

fn set_immutable(path: &Path, flag: &str) {
    assert!(
        Command::new("chattr").arg(flag).arg(path).status().unwrap().success(),
        "the file system has immutable files"
    );
}

#[test]
#[ignore = "needs root"]
fn an_immutable_file_of_an_old_store_is_named_and_stops_neither_clean_nor_a_run_as_root() {
    let place = rolled_back();
    let fixed = place.space().join("dual-000001/segment-000000.dual");
    set_immutable(&fixed, "+i");
    let remains = place.space().join("migration/retired/segment-000000.dual");
    let first = place.space_run("clean default --yes");
    let second = place.space_run("clean default --yes");
    let migrated = place.space_run("migrate default");
    let restarted = place.space_run("migrate default --restart --yes");
    set_immutable(&remains, "-i");
    for done in [first.expect(3), second.expect(3)] {
        assert!(done.stdout.contains("not removed: "), "{}", done.stdout);
        assert!(done.stdout.contains("migration/retired/segment-000000.dual"), "{}", done.stdout);
        assert!(done.stderr.contains("next: take away what is in the way"), "{}", done.stderr);
    }
    for done in [migrated.expect(0), restarted.expect(0)] {
        assert!(done.stderr.contains("what is left of an old store stays"), "{}", done.stderr);
    }
    place.space_run("clean default --yes").expect(0);
    assert!(!place.space().join("migration/retired").exists());
    place.space_run("verify default").expect(0);
}

#[test]
#[ignore = "needs root"]
fn a_store_that_is_mounted_stays_whole_with_its_checkpoint_as_root() {
    let place = rolled_back();
    let store = place.space().join("dual-000001");
    let mount = |arguments: &[&str]| Command::new("mount").args(arguments).arg(&store).arg(&store).status().unwrap();
    assert!(mount(&["--bind"]).success());
    let done = place.space_run("clean default --yes");
    assert!(Command::new("umount").arg(&store).status().unwrap().success());
    assert!(done.expect(3).stdout.contains("something is mounted on it"));
    place.space_run("publish default").expect(0);
    place.space_run("verify default").expect(0);
}
