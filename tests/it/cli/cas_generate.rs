//! `haul cas generate` on the command line.

use crate::support::place::Place;

#[test]
fn a_store_is_generated_and_described() {
    let place = Place::new();
    let arguments = ["cas", "generate", "old", "--objects", "1000", "--seed", "3", "--generation", "flat"];
    let done = place.run(&arguments).expect(0);
    assert_eq!(done.stdout, "old: 1,000 objects of generation flat, 2.7 MiB\n");
    assert!(done.stderr.starts_with("generating 1,000 objects in old\n"), "{}", done.stderr);
    let objects = std::fs::read_dir(place.path().join("old/objects")).expect("a flat store");
    assert_eq!(objects.count(), 1_000);
    let again = place.run(&arguments).expect(2);
    insta::assert_snapshot!(again.stderr, @"
    generating 1,000 objects in old
    error: old is not empty
    next: choose a directory that does not exist yet
    ");
}

#[test]
fn the_document_describes_what_was_generated() {
    let place = Place::new();
    let arguments = "cas generate old --objects 200 --generation mixed --layout ab-rest --zstd-share 0.5 \
                     --duplicate-share 0.5 --json --progress none --parallel-workers 1";
    let words: Vec<_> = arguments.split_whitespace().collect();
    let done = place.run(&words).expect(0);
    assert_eq!(done.stderr, "");
    let mut document = done.json();
    let stored_bytes = document.as_object_mut().expect("an object").remove("stored_bytes").expect("a number");
    assert!(stored_bytes.as_u64() < document["content_bytes"].as_u64(), "zstd makes it smaller");
    insta::assert_json_snapshot!(document, @r#"
    {
      "algorithms": {
        "blake2s": 71,
        "blake3": 61,
        "cas": 107,
        "sha256": 65
      },
      "content_bytes": 1052819,
      "duplicates": 104,
      "exit_code": 0,
      "generation": "mixed",
      "layout": "ab-rest",
      "objects": 304,
      "path": "old",
      "seed": 0,
      "stopped": false,
      "zstd_objects": 129
    }
    "#);
}
