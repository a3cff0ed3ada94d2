//! `haul report`, and the page next to each report.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::place::Place;

#[test]
fn a_run_leaves_a_page_next_to_its_report() {
    let place = Place::with_space(200);
    place.space_run("migrate default").expect(0);
    let run = place.space().join("migration");
    let page = fs::read_to_string(run.join("report.html")).unwrap();
    assert!(page.contains("space migration") && page.contains("published") && page.contains("<svg"), "{page}");
    let mode = |name: &str| fs::metadata(run.join(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode("report.html"), mode("report.json"));
}

#[test]
fn a_report_is_found_by_its_store_its_directory_or_its_file() {
    let place = Place::with_space(20);
    place.space_run("migrate default").expect(0);
    let store = place.space().to_str().unwrap().to_owned();
    for path in [store.clone(), format!("{store}/migration"), format!("{store}/migration/report.json")] {
        let done = place.run(&["report", &path]).expect(0);
        assert!(done.stdout.contains("space: published"), "{}", done.stdout);
        assert_eq!(place.run(&["report", &path, "--json"]).expect(0).json()["records_read"], 20);
    }
    place.run(&["report", &store, "--html", "page.html"]).expect(0);
    assert!(fs::read_to_string(place.path().join("page.html")).unwrap().starts_with("<!DOCTYPE html>"));
}

#[test]
fn what_has_no_report_is_named() {
    let place = Place::with_space(1);
    assert!(place.run(&["report", "nowhere"]).expect(2).stderr.contains("nowhere does not exist"));
    let store = place.space().to_str().unwrap().to_owned();
    assert!(place.run(&["report", &store]).expect(2).stderr.contains("no run has left a report in"));
    fs::write(place.path().join("torn.json"), "{\"run_id\": ").unwrap();
    assert!(place.run(&["report", "torn.json"]).expect(65).stderr.contains("torn.json"));
}

#[test]
fn a_page_that_cannot_be_written_changes_no_exit_code() {
    let place = Place::with_space(20);
    let page = place.space().join("migration/report.html");
    fs::create_dir_all(page.join("in the way")).unwrap();
    let done = place.space_run("migrate default");
    // A directory of that name is none of haul's, which the run says before it begins.
    assert_eq!(done.code, 2, "{}", done.stderr);
    fs::remove_dir_all(&page).unwrap();
    place.space_run("migrate default").expect(0);
}
