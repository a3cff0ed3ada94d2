//! What an estimate says.

use super::{BRIEFLY, Place, names, range};
use crate::support::files::tree;

#[test]
fn a_time_with_a_range_is_said_and_nothing_else_is_left() {
    let place = Place::with_space(2_000);
    let estimate = place.json(&format!("space estimate ./s {BRIEFLY}"));
    let [p10, p50, p90] = range(&estimate["time"]);
    assert!(0.0 < p10 && p10 < p50 && p50 < p90, "{p10} {p50} {p90}");
    assert_eq!((&estimate["time"]["basis"], estimate["seconds_expected"].as_f64()), (&"probe".into(), Some(p50)));
    let rate = estimate["records_per_second"].as_f64().unwrap();
    assert!((rate * p50 / estimate["records"].as_f64().unwrap() - 1.0).abs() < 0.01, "{rate}");
    let phases = estimate["phases"].as_array().unwrap();
    let sum: f64 = phases.iter().map(|phase| phase[1].as_f64().unwrap()).sum();
    assert!(phases.iter().any(|phase| phase[0] == "run") && sum <= p50 * 1.01, "{phases:?}");
    let workers: Vec<_> = estimate["workers"].as_array().unwrap().iter().map(|row| row["workers"].as_u64()).collect();
    assert!(workers.contains(&Some(1)) && workers.is_sorted(), "{workers:?}");
    // The document is kept for the run, and no sample is.
    assert_eq!(names(&place.path("s")), ["migration", "wal"]);
    assert_eq!(names(&place.path("s/migration")), ["estimate.json"]);
    assert_eq!(place.document("s/migration/estimate.json")["time"], estimate["time"]);
}

#[test]
fn a_limit_is_a_floor_under_the_whole_range() {
    let place = Place::with_space(200);
    place.run("cas generate c --objects 100 --generation v0.5 --seed 7").expect(0);
    place.run("manifest generate m --manifests 100 --seed 7").expect(0);
    for (arguments, floor) in [
        ("space estimate ./s --rate-limit 10", 19.9),
        ("cas estimate c v2 --rate-limit 5", 19.8),
        ("manifest estimate m --rate-limit 5", 19.8),
    ] {
        let estimate = place.json(&format!("{arguments} {BRIEFLY}"));
        let [p10, _, p90] = range(&estimate["time"]);
        assert!(p10 >= floor - 1e-6 && p90 >= p10, "{arguments}: {p10} to {p90}");
        let said = estimate["limit"]["seconds_at_least"].as_f64().unwrap();
        assert!((said - floor).abs() < 0.3, "{arguments}: {said}");
    }
    let text = place.run(&format!("space estimate ./s --rate-limit 10 {BRIEFLY}")).expect(0).stdout;
    assert!(text.lines().any(|line| line.starts_with("time ") && line.contains("about ")), "{text}");
    assert!(text.lines().any(|line| line.starts_with("limit ") && line.contains("at least 19 s")), "{text}");
    assert!(text.lines().any(|line| line.starts_with("rate ") && line.contains("nodes/s")), "{text}");
}

#[test]
fn without_writing_only_reading_is_measured() {
    let place = Place::with_space(300);
    place.run("cas generate c --objects 50 --generation v0.5 --seed 7").expect(0);
    place.run("manifest generate m --manifests 50 --seed 7").expect(0);
    let before = tree(place.directory.path());
    for arguments in ["space estimate ./s", "cas estimate c v2", "manifest estimate m"] {
        let estimate = place.json(&format!("{arguments} --no-write"));
        assert!(estimate["time"].is_null() && estimate["of_run"].is_null(), "{arguments}");
        assert_eq!(estimate["time_problem"], "the target cannot be measured without writing");
        assert!(estimate["read_records_per_second"].as_u64() > Some(0), "{arguments}");
        assert!(estimate["space_needed_bytes"].as_u64() > Some(0), "{arguments}");
        let text = place.run(&format!("{arguments} --no-write")).expect(0).stdout;
        assert!(text.contains("unknown: the target cannot be measured"), "{text}");
    }
    assert_eq!(tree(place.directory.path()), before);
}

#[test]
fn a_deadline_is_answered_with_workers_and_what_does_not_divide() {
    let place = Place::with_space(500);
    let far = place.json(&format!("space estimate ./s --deadline 4h {BRIEFLY}"));
    assert_eq!((&far["deadline"]["fits"], &far["deadline"]["workers_needed"]), (&true.into(), &1.into()));
    let near = place.json(&format!("space estimate ./s --deadline 1ms {BRIEFLY}"));
    assert_eq!((&near["deadline"]["fits"], &near["deadline"]["workers_needed"]), (&false.into(), &().into()));
    assert!(near["deadline"]["not_divided"].as_array().unwrap().iter().all(|phase| phase[0] != "run"));
    let text = place.run(&format!("space estimate ./s --deadline 1ms {BRIEFLY}")).expect(0).stdout;
    assert!(text.contains("too short for any number of workers here"), "{text}");
}

#[test]
fn every_check_has_a_code_and_a_next_step_where_it_is_not_right() {
    let place = Place::with_space(100);
    let estimate = place.json(&format!("space estimate ./s {BRIEFLY}"));
    let checks = estimate["checks"].as_array().unwrap();
    let codes: Vec<_> = checks.iter().map(|check| check["code"].as_str().unwrap()).collect();
    for code in [
        "free_space",
        "free_inodes",
        "memory",
        "open_files",
        "write_permission",
        "same_file_system",
        "network_file_system",
        "clock",
        "damage",
        "lock",
    ] {
        assert!(codes.contains(&code), "{code}: {codes:?}");
    }
    assert!(checks.iter().all(|check| check["status"] == "ok" || check["next"].is_string()), "{checks:?}");
}

#[test]
fn an_empty_source_and_one_record_are_estimated() {
    for nodes in [0, 1] {
        let place = Place::new();
        std::fs::create_dir_all(place.path("s/wal")).unwrap();
        if nodes > 0 {
            std::fs::remove_dir_all(place.path("s")).unwrap();
            place.run("space generate s --nodes 1 --seed 7").expect(0);
        }
        let estimate = place.json(&format!("space estimate ./s {BRIEFLY}"));
        assert_eq!(estimate["records"], nodes);
        range(&estimate["time"]);
    }
}

#[test]
fn damage_that_was_drawn_is_a_warning() {
    let place = Place::with_space(300);
    let log = names(&place.path("s/wal")).remove(0);
    let log = place.path("s/wal").join(log);
    let mut bytes = std::fs::read(&log).unwrap();
    let len = bytes.len();
    bytes[len / 3..len / 3 * 2].fill(0xA5);
    std::fs::write(&log, bytes).unwrap();
    let estimate = place.json(&format!("space estimate ./s {BRIEFLY}"));
    let check = estimate["checks"].as_array().unwrap().iter().find(|check| check["code"] == "damage").unwrap().clone();
    assert_eq!(check["status"], "warn", "{check}");
    assert!(estimate["sample"]["refused"].as_u64() > Some(0));
}
