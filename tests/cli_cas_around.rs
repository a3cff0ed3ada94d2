//! The verbs around the migration of a content-addressed store: digests, requests, results.
#![allow(clippy::disallowed_methods, reason = "tests prepare and damage files directly")]

mod cli_common;
mod common;

use std::fs;

use cli_common::Place;
use serde_json::Value;

#[test]
fn hash_vectors_come_out_by_every_path() {
    let place = Place::new();
    let done = place.run(&["cas", "hash-vectors"]).expect(0);
    insta::assert_snapshot!(done.texts());
    let document = place.run(&["cas", "hash-vectors", "--json"]).expect(0).json();
    assert_eq!(document["digests"]["one_shot"], 177);
    assert_eq!((&document["exit_code"], &document["file"]), (&0.into(), &Value::Null));
}

#[test]
fn the_published_vectors_are_the_built_in_ones() {
    let Some(requiem) = common::conformance("requiem") else { return };
    let path = requiem.join("hash-vectors.json");
    let text = fs::read(&path).unwrap();
    let figures = |vectors: Vec<haul::cas::hash_vectors::Vector>| {
        let mut figures: Vec<_> = vectors
            .into_iter()
            .map(|vector| {
                let mut input = Vec::new();
                vector.input.push_to(&mut input);
                (vector.function, vector.expected, input)
            })
            .collect();
        figures.sort();
        figures
    };
    let published = haul::cas::hash_vectors::read_vectors(&path, &text).unwrap();
    assert!(figures(published) == figures(haul::cas::hash_vectors::built_in()));

    let place = Place::new();
    let document = place.run(&["cas", "hash-vectors", "--json", "--file", path.to_str().unwrap()]).expect(0).json();
    assert_eq!((&document["vectors"], &document["mismatches"]), (&354.into(), &serde_json::json!([])));
}

#[test]
fn wrong_vectors_are_named() {
    let place = Place::new();
    let wrong = "e4828756587d78184d6582cc11fbd23814711a4762fe70d17b59c48f349bb3e4";
    let text = format!(r#"{{"vectors": [{{"input_utf8": "a", "blake3_req": "{wrong}"}}]}}"#);
    fs::write(place.path().join("v.json"), text).unwrap();
    let done = place.run(&["cas", "hash-vectors", "--file", "v.json"]).expect(65);
    assert!(done.stdout.contains(&format!("expected {wrong}")), "{}", done.stdout);
    assert!(done.stdout.contains("found    a4828756"), "{}", done.stdout);
    let document = place.run(&["cas", "hash-vectors", "--file", "v.json", "--json"]).expect(65).json();
    let mismatch = &document["mismatches"][0];
    assert_eq!((&mismatch["vector"], &mismatch["function"]), (&"text \"a\"".into(), &"req:".into()));
    assert_eq!(mismatch["paths"].as_array().unwrap().len(), 14);

    fs::write(place.path().join("v.json"), r#"{"vectors": [], "more": 1}"#).unwrap();
    let done = place.run(&["cas", "hash-vectors", "--file", "v.json"]).expect(65);
    insta::assert_snapshot!(done.stderr, @r#"
    error: v.json: unknown member "more" at offset 16
    next: give a file of the shape of hash-vectors.json
    "#);
    place.run(&["cas", "hash-vectors", "--file", "absent.json"]).expect(1);
}
