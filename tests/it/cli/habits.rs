//! What users of other tools type first.

use std::fs;

use crate::support::haul::Done;
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
    let options = place.run(&["migrate", "--root", "app"]).expect(2);
    assert_eq!(next(&options.stderr), "haul manifest migrate --root app");
    let unknown = place.run(&["teleport"]).expect(2);
    assert!(unknown.stderr.contains("unrecognized subcommand"), "{}", unknown.stderr);
}

#[test]
fn a_place_may_be_given_by_position_or_by_an_option() {
    let place = Place::with_space(3);
    let store = OldStore::with_objects(2);
    store.cas("migrate --source old --target new").expect(0);
    let target = store.target().display().to_string();
    place.run(&["manifest", "generate", "app", "--manifests", "2"]).expect(0);
    let verbs = [
        ("cas verify", "--store", &*target),
        ("cas ls", "--store", &target),
        ("cas status", "--target", &target),
        ("space plan", "--space", "default"),
        ("manifest runs", "--root", "app"),
        ("manifest verify", "--root", "app"),
    ];
    for (verb, option, path) in verbs {
        let run = |words: &[&str]| {
            let words: Vec<_> = verb.split(' ').chain(words.iter().copied()).chain(["--json"]).collect();
            place.run(&words)
        };
        let (by_position, by_option) = (run(&[path]).expect(0), run(&[option, path]).expect(0));
        let known = |done: &Done| {
            let mut end = done.json();
            // Time goes on, and what else is done on this file system changes what is free.
            ["free_bytes", "checkpoint_age_ms"].iter().for_each(|name| _ = end.as_object_mut().unwrap().remove(*name));
            end
        };
        assert_eq!(known(&by_position), known(&by_option), "{verb}");
        run(&[path, option, path]).expect(2);
        run(&[]).expect(2);
    }
}
