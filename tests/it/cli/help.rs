//! The help of each command.

use crate::support::place::Place;

const COMMANDS: &[&[&str]] = &[
    &[],
    &["demo"],
    &["status"],
    &["serve"],
    &["report"],
    &["completions"],
    &["man"],
    &["space"],
    &["space", "generate"],
    &["space", "stats"],
    &["space", "plan"],
    &["space", "estimate"],
    &["space", "migrate"],
    &["space", "ls"],
    &["space", "status"],
    &["space", "verify"],
    &["space", "publish"],
    &["space", "rollback"],
    &["space", "export"],
    &["space", "clean"],
    &["space", "get"],
    &["cas"],
    &["manifest"],
    &["manifest", "generate"],
    &["manifest", "plan"],
    &["manifest", "migrate"],
    &["manifest", "status"],
    &["manifest", "verify"],
    &["manifest", "rollback"],
    &["manifest", "history"],
    &["manifest", "accept"],
    &["manifest", "runs"],
    &["manifest", "clean"],
    &["manifest", "reindex"],
    &["manifest", "query"],
    &["manifest", "read"],
    &["manifest", "write"],
    &["manifest", "validate"],
    &["manifest", "steps"],
    &["manifest", "steps", "list"],
    &["manifest", "steps", "graph"],
    &["manifest", "steps", "check"],
    &["cas", "generate"],
    &["cas", "get"],
    &["cas", "info"],
    &["cas", "ls"],
    &["cas", "put"],
    &["cas", "map"],
    &["cas", "map", "find"],
    &["cas", "map", "export"],
    &["cas", "map", "check"],
    &["cas", "map", "index"],
    &["cas", "rewrite-refs"],
    &["cas", "hash-vectors"],
    &["cas", "dual-run"],
    &["cas", "request-upgrade"],
    &["cas", "result-check"],
    &["cas", "plan"],
    &["cas", "estimate"],
    &["cas", "migrate"],
    &["cas", "status"],
    &["cas", "rollback"],
    &["cas", "clean"],
    &["cas", "verify"],
    &["cas", "validate"],
    &["cas", "doctor"],
    &["cas", "health"],
    &["db"],
    &["db", "migrate"],
    &["db", "status"],
    &["db", "rollback"],
    &["db", "redo"],
    &["db", "seed"],
    &["db", "verify"],
    &["db", "lint"],
    &["db", "dump"],
    &["db", "drift"],
    &["db", "squash"],
    &["db", "create"],
    &["db", "log"],
    &["db", "locks"],
    &["db", "unlock"],
    &["db", "baseline"],
    &["db", "clean"],
    &["db", "repair"],
    &["db", "resolve"],
];

#[test]
fn each_command_has_its_help() {
    let place = Place::new();
    for command in COMMANDS {
        let arguments: Vec<_> = command.iter().copied().chain(["--help"]).collect();
        let done = place.run(&arguments).expect(0);
        assert_eq!(done.stderr, "", "{command:?}");
        assert!(!done.stdout.contains('\x1b'), "{command:?}");
        let name = if command.is_empty() { "haul".to_owned() } else { command.join("_") };
        insta::assert_snapshot!(name, done.stdout);
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    let done = Place::new().run(&["--version"]).expect(0);
    assert_eq!(done.stdout, format!("haul {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn arguments_that_make_no_sense_are_usage_errors() {
    let place = Place::new();
    for arguments in [
        "",
        "space",
        "space migrate",
        "space migrate x --batch-size 0",
        "space migrate x --checkpoint-interval 0",
        "space migrate x --memory-budget-mb 0",
        "space migrate x --memory-budget-mb 99999999999999999",
        "space migrate x --backpressure-threshold 0",
        "space migrate x --backpressure-threshold 1.01",
        "space migrate x --backpressure-threshold nan",
        "space migrate x --rate-limit 0",
        "space migrate x --parallel-workers 0",
        "space migrate x --reader fast",
        "space migrate x --corruption maybe",
        "space migrate x --resume --restart",
        "space migrate x --dry-run --resume",
        "space migrate x --dry-run --restart",
        "space migrate x --mode online",
        "space migrate x --mode sideways",
        "space migrate x --space y",
        "space verify x --quick --full",
        "space verify x --subset 4/3",
        "space verify x --subset 0/3",
        "space plan x --progress loud",
        "cas generate x",
        "cas generate x --objects 1 --generation v0.3",
        "cas generate x --objects 1 --layout round",
        "cas generate x --objects 1 --size-bytes-min 31",
        "cas generate x --objects 1 --size-bytes-min 100 --size-bytes-max 99",
        "cas generate x --objects 1 --zstd-share 0.5",
        "cas generate x --objects 1 --generation v2 --zstd-share nan",
        "cas plan --source a",
        "cas estimate --source a --target b --for never",
        "cas migrate --source a --target b --dry-run --resume",
        "cas migrate --source a --target b --dry-run --no-publish",
        "cas status",
        "cas rollback a b",
        "db rollback",
        "db rollback --to 1 --steps 1",
        "db migrate --to 1.2",
        "db migrate --dry-run=later",
        "db migrate --backup sometimes",
        "db lint --from x",
        "db create",
        "db squash",
        "db baseline",
        "db resolve --version 1 --not-begun --from-statement 2",
    ] {
        let words: Vec<_> = arguments.split_whitespace().collect();
        let done = place.run(&words).expect(2);
        assert_eq!(done.stdout, "", "{arguments}");
        assert!(done.stderr.contains("error") || done.stderr.contains("Usage"), "{arguments}: {}", done.stderr);
    }
}

#[test]
fn online_migration_is_declined() {
    let done = Place::new().run(&["space", "migrate", "x", "--mode", "online"]).expect(2);
    insta::assert_snapshot!(done.stderr, @"
    error: online migration is not part of this version
    next: stop all writers of the space, then run with --mode offline
    ");
}
