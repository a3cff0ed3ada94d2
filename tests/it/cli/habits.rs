//! What users of other tools type first.

use std::fs;

use crate::support::old_store::OldStore;
use crate::support::place::Place;
use haul::migration::exit;

fn next(stderr: &str) -> &str {
    stderr.lines().find_map(|line| line.strip_prefix("next: ")).unwrap_or_default()
}

#[test]
fn a_verb_without_its_noun_is_answered_with_a_command_that_works() {
    let place = Place::with_space(3);
    let store = OldStore::with_objects(2);
    let old = store.root().display().to_string();
    let target = store.target().display().to_string();
    let cases = [vec!["migrate", "data/default"], vec!["migrate", &old, &target], vec!["verify", &target]];
    for words in cases {
        let done = place.run(&words).expect(i32::from(exit::USAGE));
        assert!(done.stderr.starts_with(&format!("error: {} needs the kind of store before it: ", words[0])));
        let advised: Vec<&str> = next(&done.stderr).split(' ').skip(1).collect();
        assert_eq!(advised[1..], words[..], "{}", done.stderr);
        place.run(&advised).expect(0);
    }
    fs::create_dir_all(place.path().join("app/artifacts")).unwrap();
    let done = place.run(&["migrate", "app", "--json"]).expect(2);
    assert_eq!(done.json()["error"]["next"], "haul manifest migrate app --json");
    let unknown = place.run(&["teleport"]).expect(2);
    assert!(unknown.stderr.contains("unrecognized subcommand"), "{}", unknown.stderr);
}
