//! `haul demo`, the first command that a newcomer runs.

use crate::support::place::Place;

#[test]
fn the_demo_shows_a_whole_migration() {
    let place = Place::new();
    let done = place.run(&["demo", "--nodes", "600"]).expect(0);
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\b(\d+\.\d s|\d+ ms)\b", "[time]");
    settings.add_filter(r"[\d,]+ nodes/s", "[rate]");
    settings.add_filter(r"generate \d+ nodes", "generate [n] nodes");
    settings.add_filter(r"workers \d+", "workers [n]");
    settings.bind(|| insta::assert_snapshot!(done.texts()));
    assert!(place.path().join("haul-demo/default/CURRENT").exists());

    // The commands that it shows work.
    let document = place.run(&["demo", "--nodes", "300", "--json", "--progress", "none"]).expect(0);
    assert_eq!(document.stderr, "");
    let commands = &document.json()["commands"];
    for name in ["get", "verify", "rollback"] {
        let words: Vec<_> = commands[name].as_str().unwrap().split(' ').skip(1).collect();
        let words = words.iter().copied().chain((name == "rollback").then_some("--yes")).collect::<Vec<_>>();
        place.run(&words).expect(0);
    }
}

#[test]
fn the_demo_leaves_foreign_directories_alone() {
    let place = Place::new();
    std::fs::DirBuilder::new().recursive(true).create(place.path().join("mine/default")).unwrap();
    let done = place.run(&["demo", "--nodes", "10", "--dir", "mine"]).expect(2);
    insta::assert_snapshot!(done.texts(), @"
    ---
    error: mine exists and was not created by a demo
    next: choose another directory with --dir
    ");
    assert_eq!(std::fs::read_dir(place.path().join("mine/default")).unwrap().count(), 0);
}
