//! The lines of `--progress json`.

use std::collections::BTreeSet;

use rustix::process::Signal;
use serde_json::Value;

use super::{NODES, Run};
use crate::support::place::Place;

#[test]
fn every_line_of_a_run_is_as_the_schema_says_and_none_is_missing() {
    let schema: Value = serde_json::from_str(include_str!("../../../docs/progress.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let place = Place::with_space(NODES);
    let run = Run::begun(&place, &["--progress", "json", "--progress-interval", "100ms"]);
    run.signal(Signal::USR1);
    let done = run.end().expect(0);
    let mut types = BTreeSet::new();
    for (at, text) in done.stderr.lines().enumerate() {
        let line: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let errors: Vec<_> = validator.iter_errors(&line).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{text}: {errors:?}");
        assert_eq!(line["seq"], at, "{}", done.stderr);
        types.insert(line["type"].as_str().unwrap().to_owned());
    }
    assert_eq!(types.iter().map(String::as_str).collect::<Vec<_>>(), ["end", "hello", "phase", "progress", "status"]);
    let count = |name: &str| done.stderr.matches(&format!("\"type\":\"{name}\"")).count();
    assert_eq!((count("hello"), count("status"), count("end")), (1, 1, 1));
    assert!(count("progress") > 3, "{}", done.stderr);
}
