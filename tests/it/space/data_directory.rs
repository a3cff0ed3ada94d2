//! All spaces of a data directory: listed, and migrated one after the other.

use std::fs;

use serde_json::Value;

use crate::support::haul::Done;
use crate::support::headers::header;
use crate::support::place::Place;

/// A data directory with an empty space, one with nodes, and one with a damaged log.
fn three_spaces() -> Place {
    let place = Place::new();
    for (name, nodes) in [("alpha", "3"), ("beta", "4"), ("gamma", "2")] {
        place.run(&["space", "generate", &format!("data/{name}"), "--nodes", nodes]).expect(0);
    }
    let log = place.path().join("data/alpha/wal");
    for entry in fs::read_dir(log).unwrap() {
        fs::write(entry.unwrap().path(), b"").unwrap();
    }
    let log = fs::read_dir(place.path().join("data/gamma/wal")).unwrap().next().unwrap().unwrap().path();
    let damaged = [fs::read(&log).unwrap(), vec![7; 200], header(9, 0)].concat();
    fs::write(log, damaged).unwrap();
    fs::create_dir(place.path().join("data/no-space")).unwrap();
    place
}

fn spaces(done: &Done) -> Vec<Value> {
    done.json()["spaces"].as_array().expect("a list").clone()
}

fn names_and(done: &Done, field: &str) -> Vec<(String, Value)> {
    let name = |space: &Value| space["space"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    spaces(done).iter().map(|space| (name(space), space[field].clone())).collect()
}

#[test]
fn spaces_are_listed_with_what_is_live_and_what_comes_next() {
    let place = three_spaces();
    place.space_run("migrate beta").expect(0);
    let listed = place.space_run("ls --json").expect(0);
    let live: Vec<_> = names_and(&listed, "live");
    assert_eq!(live.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["alpha", "beta", "gamma"]);
    assert_eq!(live.iter().map(|(_, live)| live.as_str().unwrap()).collect::<Vec<_>>(), ["wal", "dual-000001", "wal"]);
    let beta = &spaces(&listed)[1];
    assert_eq!((&beta["nodes"], &beta["records"], &beta["stage"]), (&4.into(), &4.into(), &"published".into()));
    assert!(spaces(&listed)[2]["next"].as_str().unwrap().contains("haul space migrate"));
    let text = place.space_run("ls").expect(0).stdout;
    assert!(text.contains("beta\n") && text.ends_with("data: 3 spaces\n"), "{text}");
    let nowhere = place.space_run("ls --data-dir nowhere").expect(2);
    assert!(nowhere.stderr.contains("error: nowhere is no directory of spaces\nnext: "), "{}", nowhere.stderr);
}

#[test]
fn the_trouble_of_one_space_stops_no_other() {
    let place = three_spaces();
    let tried = place.space_run("migrate --all --dry-run --json").expect(65);
    let codes = names_and(&tried, "exit_code");
    assert_eq!(codes.iter().map(|(_, code)| code.as_u64().unwrap()).collect::<Vec<_>>(), [0, 0, 65]);
    assert!(!place.path().join("data/beta/CURRENT").exists());

    // A lock that someone holds, and the damaged log.
    fs::create_dir(place.path().join("data/alpha/migration")).unwrap();
    let lock = place.path().join("data/alpha/migration/lock");
    fs::write(&lock, "pid 1 on here").unwrap();
    let held = fs::File::open(&lock).unwrap();
    held.lock().unwrap();
    let done = place.space_run("migrate --all --corruption resync --json").expect(75);
    let codes = names_and(&done, "exit_code");
    assert_eq!(codes.iter().map(|(_, code)| code.as_u64().unwrap()).collect::<Vec<_>>(), [75, 0, 3]);
    assert!(spaces(&done)[0]["error"].as_str().unwrap().contains("another run is active"));
    assert_eq!(spaces(&done)[1]["result"]["stage"], "published");
    drop(held);

    // The same command goes on: what is done stays done.
    let again = place.space_run("migrate --all --corruption resync").expect(3);
    assert!(again.stdout.contains("done      data/alpha"), "{}", again.stdout);
    assert!(again.stdout.contains("nothing to do, 4 records"), "{}", again.stdout);
    let sum = "data: 3 spaces, 2 done, 1 with refused nodes, 0 failed or stopped\n";
    assert!(again.stdout.ends_with(sum), "{}", again.stdout);
}

#[test]
fn a_directory_without_a_space_is_no_success() {
    let place = Place::new();
    place.run(&["space", "generate", "alone", "--nodes", "1"]).expect(0);
    fs::create_dir_all(place.path().join("none/below")).unwrap();
    for (directory, text) in [("none", "no directory in it is a space"), ("alone", "it is a space itself")] {
        let refused = place.run(&["space", "migrate", "--all", "--data-dir", directory]).expect(65);
        assert!(refused.stderr.contains(text), "{}", refused.stderr);
    }
    place.run(&["space", "migrate", "--all", "--data-dir", "none", "--allow-empty"]).expect(0);
}

#[test]
fn all_spaces_or_one_but_not_both() {
    let place = three_spaces();
    for arguments in ["migrate alpha --all", "migrate --space alpha --all"] {
        assert!(place.space_run(arguments).expect(2).stderr.contains("--all"), "{arguments}");
    }
    place.space_run("migrate --all --restart --corruption resync").expect(3);
    let asked = place.space_run("migrate --all --restart --corruption resync").expect(2);
    assert!(
        asked.stderr.contains("discards the earlier run of data/alpha, of data/beta, of data/gamma"),
        "{}",
        asked.stderr
    );
}

#[test]
fn plan_and_status_show_all_spaces_as_they_show_one() {
    let place = three_spaces();
    place.space_run("migrate beta").expect(0);
    // Time goes on, and what else is done on this file system changes what is free.
    let without = |mut end: Value, names: &[&str]| {
        names.iter().for_each(|name| _ = end.as_object_mut().unwrap().remove(*name));
        end
    };
    for verb in ["plan", "status"] {
        let all = place.space_run(&format!("{verb} --all --json")).expect(0);
        for (name, result) in names_and(&all, "result") {
            let alone = place.space_run(&format!("{verb} {name} --json")).expect(0).json();
            let names = ["exit_code", "free_bytes", "checkpoint_age_ms"];
            assert_eq!(without(result, &names), without(alone, &names), "{verb} of {name}");
        }
    }
    let shown = place.space_run("status --all").expect(0).stdout;
    assert!(shown.contains("live: dual-000001; last run published, 4 records; next: "), "{shown}");
    assert!(shown.ends_with("data: 3 spaces, 3 done, 0 with refused nodes, 0 failed or stopped\n"), "{shown}");
    fs::write(place.path().join("data/gamma/CURRENT"), "dual-000009\n").unwrap();
    let planned = place.space_run("plan --all --json").expect(65);
    let codes: Vec<_> = names_and(&planned, "exit_code").into_iter().map(|(_, code)| code).collect();
    assert_eq!(codes, [0, 0, 65], "the trouble of one stops no other");
}
