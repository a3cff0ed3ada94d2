//! One mistake, one answer: what is no tree, no file and no run is refused alike by every verb, with what was meant.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::haul::Done;
use crate::support::manifest::Root;
use crate::support::place::Place;

/// Every verb on a tree, with what it needs besides.
const VERBS: [(&str, &[&str]); 11] = [
    ("migrate", &[]),
    ("migrate", &["--dry-run"]),
    ("plan", &[]),
    ("status", &[]),
    ("verify", &[]),
    ("accept", &["artifacts/job/run/manifest.json"]),
    ("runs", &[]),
    ("rollback", &["--run", "last", "--yes"]),
    ("history", &["artifacts/job/run/manifest.json"]),
    ("clean", &[]),
    ("reindex", &["--rows", "jsonl"]),
];

fn answers(root: &str, place: &Place) -> Vec<String> {
    let answer = |(verb, more): &(&str, &[&str])| {
        let done = place.run(&[&["manifest", verb, root, "--progress", "none"], *more].concat()).expect(2);
        done.stderr
    };
    VERBS.iter().map(answer).collect()
}

#[test]
fn what_is_no_tree_gets_the_same_answer_from_every_verb() {
    let (root, place) = (Root::new(), Place::new());
    let manifest = root.put("job", "run");
    let app = root.path().display().to_string();
    let nothing = "give the root of the application, which contains artifacts/";
    let file = manifest.display().to_string();
    let inside = root.artifacts().display().to_string();
    fs::create_dir(place.path().join("empty")).unwrap();
    for (given, what, next) in [
        ("none", "none does not exist".to_owned(), nothing.to_owned()),
        ("empty", "empty has no directory artifacts/".to_owned(), nothing.to_owned()),
        (
            &inside,
            format!("{inside} has no directory artifacts/"),
            format!("give the root of the application, {app}\n"),
        ),
        (
            &file,
            format!("{file} is not a directory"),
            format!("give the root of the application, {app}; for this file alone: "),
        ),
    ] {
        for answer in answers(given, &place) {
            assert!(
                answer.contains(&format!("error: {what}\n")) && answer.contains(&format!("next: {next}")),
                "{answer}"
            );
        }
    }
}

#[test]
fn a_tree_behind_a_link_is_named() {
    let (root, place) = (Root::new(), Place::new());
    root.put("job", "run");
    symlink(root.artifacts(), place.path().join("artifacts")).unwrap();
    let real = root.path().canonicalize().unwrap();
    for (verb, more) in [("migrate", &[][..]), ("plan", &[]), ("verify", &[]), ("reindex", &["--rows", "jsonl"])] {
        let done = place.run(&[&["manifest", verb, "."], more].concat()).expect(2);
        assert!(done.stderr.contains("next: give the root that it leads to, "), "{}", done.stderr);
        assert!(done.stderr.contains(&real.display().to_string()), "{}", done.stderr);
    }
}

#[test]
fn a_run_is_named_in_full() {
    let root = Root::new();
    root.put("job", "run");
    let id = root.migrate(&[]).expect(0).json()["run_id"].as_str().unwrap().to_owned();
    let rollback = |run: &str| root.haul("rollback", &["--run", run, "--yes"]).expect(2).stderr;
    assert!(rollback(&id[..8]).contains(&format!("next: give --run {id}")), "{}", rollback(&id[..8]));
    assert!(rollback("x").contains("manifest runs"), "{}", rollback("x"));
    root.haul("rollback", &[]).expect(2);
    root.haul("rollback", &["--run", &id, "--yes"]).expect(0);
}

#[test]
fn files_are_named_from_the_working_directory_or_from_the_root() {
    let root = Root::new();
    root.put("job", "run");
    root.migrate(&[]).expect(0);
    let name = root.path().file_name().unwrap().to_str().unwrap();
    let relative = format!("{name}/artifacts/job/run/manifest.json");
    let run = |directory: &std::path::Path, arguments: &[&str]| {
        let mut command = Place::new().command(&[&["manifest"], arguments].concat());
        Done::of(command.current_dir(directory).output().unwrap())
    };
    let above = root.path().parent().unwrap();
    run(above, &["history", name, &relative]).expect(0);
    run(above, &["history", name, "artifacts/job/run/manifest.json"]).expect(0);
    run(&root.artifacts().join("job"), &["accept", "../..", "run/manifest.json"]).expect(0);
    run(above, &["migrate", name, "--manifest", &relative, "--dry-run"]).expect(0);
    run(above, &["rollback", name, "--run", "last", "--yes", &relative]).expect(0);
    run(above, &["migrate", name, "--manifest", "none.json"]).expect(2);
    run(above, &["read", "none.json"]).expect(2);
    run(above, &["query", "none.db"]).expect(2);
}

/// A pipe would block until something writes to it.
#[test]
fn what_is_no_file_is_refused_like_what_is_missing() {
    let root = Root::new();
    let pipe = root.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (pipe, missing) = (pipe.display().to_string(), root.path().join("missing").display().to_string());
    for verb in ["manifest query", "cas map check --map", "cas map find abcdabcd --map", "cas result-check"] {
        for (path, what) in [(&pipe, "is not a regular file"), (&missing, "does not exist")] {
            let words = verb.split(' ').chain([&**path]);
            let output = std::process::Command::new(crate::support::haul::HAUL).args(words).output().unwrap();
            let done = crate::support::haul::Done::of(output).expect(2);
            assert!(done.stderr.contains(what), "{verb}: {}", done.stderr);
        }
    }
    let done = root.haul("generate", &["--manifests", "3"]).expect(2);
    assert!(done.stderr.contains("is not empty"), "{}", done.stderr);
}
