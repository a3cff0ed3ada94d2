//! A part of a tree: what is selected is done, the rest is counted, and a later command goes on with it.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::support::manifest::{Root, manifests};
use crate::support::manifest_files::manifest;
use serde_json::{Value, json};

/// Three jobs of two runs, one of them without a directory of its own. The status of each second run is `failed`.
fn tree() -> Root {
    let root = Root::new();
    for (directory, job) in [("a", "a"), ("b", "b"), ("runs", "c")] {
        for (run, status) in [("1", "ok"), ("2", "failed")] {
            let text = manifest(job, run, "1.0.0").replace("\"ok\"", &format!("\"{status}\""));
            root.put_bytes(directory, &format!("{job}{run}"), text.as_bytes());
        }
    }
    root
}

/// The run directories whose manifests are at the last version.
fn migrated(root: &Root) -> Vec<String> {
    let files = manifests(&root.files());
    let migrated = files.iter().filter(|(_, (bytes, _))| String::from_utf8_lossy(bytes).contains("1.2.0"));
    let run = |path: &Path| path.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
    migrated.map(|(path, _)| run(path)).collect()
}

fn counts(done: &Value) -> (u64, u64, u64) {
    let count = |key: &str| done["counts"][key].as_u64().unwrap();
    (count("migrated"), count("current"), count("not_selected"))
}

#[test]
fn a_job_a_status_and_an_age_select_and_the_rest_is_counted() {
    for (arguments, expected) in [
        (&["--job", "a"][..], &["a1", "a2"][..]),
        (&["--job", "c"], &["c1", "c2"]),
        (&["--status", "unknown"], &[]),
        (&["--status", "failed"], &["a2", "b2", "c2"]),
        (&["--job", "b", "--status", "failed"], &["b2"]),
        (&["--newer", "1h"], &["a1", "a2", "b1", "c1", "c2"]),
        (&["--newer", "2999-01-01"], &[]),
    ] {
        let root = tree();
        let old = fs::File::options().write(true).open(root.artifacts().join("b/b2/manifest.json")).unwrap();
        if arguments[0] == "--newer" {
            old.set_modified(SystemTime::now() - Duration::from_secs(86_400)).unwrap();
        }
        // The instant of the run is that of the machine here: an age is counted back from it.
        let run = |more: &[&str]| root.haul("migrate", &[arguments, more, &["--json"]].concat()).expect(0).json();
        let (rehearsed, done) = (run(&["--dry-run"]), run(&[]));
        let selected = expected.len() as u64;
        assert_eq!(counts(&rehearsed), (selected, 0, 6 - selected), "{arguments:?}");
        assert_eq!(counts(&done), (selected, 0, 6 - selected), "{arguments:?}");
        assert_eq!(migrated(&root), expected, "{arguments:?}");
    }
}

#[test]
fn a_limit_takes_the_first_that_need_it_and_the_next_run_goes_on() {
    let root = tree();
    root.put_bytes("a", "a0", b"{");
    let limited = |code| root.migrate(&["--limit", "2"]).expect(code).json();
    let rehearsed = root.migrate(&["--limit", "2", "--dry-run"]).expect(3).json();
    assert_eq!((counts(&rehearsed), &rehearsed["records"]), ((2, 0, 4), &json!(7)));
    let first = limited(3);
    assert_eq!((counts(&first), migrated(&root)), ((2, 0, 4), vec!["a1".to_owned(), "a2".to_owned()]));
    assert_eq!(counts(&limited(3)), (2, 2, 2));
    root.haul("rollback", &["--run", first["run_id"].as_str().unwrap(), "--yes"]).expect(0);
    assert_eq!(migrated(&root), ["b1", "b2"]);
    let rest = root.migrate(&[]).expect(3).json();
    assert_eq!(counts(&rest), (4, 2, 0));
    assert_eq!(counts(&limited(3)), (0, 6, 0), "nothing is left, so nothing is left out");
    let planned = root.haul("plan", &["--limit", "2", "--json"]).expect(0).json();
    assert_eq!(planned["passed_over"]["not_selected"], 0);
}

/// A run that was stopped belongs to its selection: continued under another one, it would leave out files in silence.
#[test]
fn a_selected_run_is_continued_only_as_it_began() {
    let root = tree();
    let mut command = root.command("migrate", &["--status", "failed", "--batch-size", "1", "--rate-limit", "1"]);
    let mut child = command.spawn().unwrap();
    let checkpoint = root.path().join("migration/checkpoint.bin");
    while !checkpoint.exists() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let other = root.migrate(&[]);
    assert_eq!(other.code, 2, "{}", other.stderr);
    root.haul("migrate", &["--status", "failed"]).expect(0);
    assert_eq!(migrated(&root), ["a2", "b2", "c2"]);
    root.migrate(&[]).expect(0);
    assert_eq!(migrated(&root).len(), 6);
}

#[test]
fn a_file_and_a_selection_are_not_given_together() {
    let root = tree();
    root.migrate(&["--manifest", "artifacts/a/a1/manifest.json", "--limit", "1"]).expect(2);
    root.migrate(&["--newer", "yesterday"]).expect(2);
    root.migrate(&["--limit", "0"]).expect(2);
}

fn verify(root: &Root, arguments: &[&str], code: i32) -> Value {
    root.haul("verify", &[arguments, &["--json"]].concat()).expect(code).json()
}

#[test]
fn shares_of_a_verification_make_up_the_whole_and_say_what_they_covered() {
    let root = tree();
    root.migrate(&[]).expect(0);
    let parts: Vec<_> = ["1/3", "2/3", "3/3"].map(|part| verify(&root, &["--subset", part], 0)).into();
    let sum = |key: &str| parts.iter().map(|part| part[key].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("manifests"), sum("not_selected"), sum("ledger_files"), sum("backups")), (6, 12, 6, 6));
    assert_eq!(sum("verified_runs"), 0, "none of them has verified a whole run");
    let sample = verify(&root, &["--sample", "2", "--seed", "7"], 0);
    assert_eq!(sample["covered"], "a sample of 2 manifests, seed 7: 2 of 6 read");
    assert_eq!((&sample["ledger_files"], &sample["backups"]), (&json!(2), &json!(2)));
    assert_eq!(verify(&root, &["--sample", "2", "--seed", "7"], 0), sample);
    let whole = verify(&root, &["--sample", "100"], 0);
    assert_eq!((&whole["manifests"], &whole["verified_runs"]), (&json!(6), &json!(1)));
}

#[test]
fn a_part_marks_only_what_it_covered() {
    let root = tree();
    root.migrate(&["--job", "a"]).expect(0);
    root.migrate(&[]).expect(0);
    assert_eq!(verify(&root, &["--job", "b"], 0)["verified_runs"], 0);
    assert_eq!(verify(&root, &["--job", "a"], 0)["verified_runs"], 1, "all files of the first run are of this job");
    assert_eq!(verify(&root, &[], 0)["verified_runs"], 1);
    // A fault that a part finds is excepted from the mark; what it did not look at keeps the mark.
    let manifest = root.artifacts().join("b/b1/manifest.json");
    let backup = fs::read_dir(manifest.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let backup = backup.filter(|path| path.extension().is_some_and(|ending| ending == "backup")).last().unwrap();
    let bytes = fs::read(&backup).unwrap();
    fs::write(&backup, b"{}").unwrap();
    assert_eq!(verify(&root, &["--job", "a"], 0)["verified_runs"], 0);
    let found = verify(&root, &["--job", "b"], 65);
    assert_eq!((&found["excepted_files"], &found["findings"][0]["code"]), (&json!(1), &json!("E_BACKUP")));
    assert_eq!(verify(&root, &["--status", "failed"], 0)["verified_runs"], 0);
    let runs = root.haul("runs", &["--json"]).expect(0).json();
    assert_eq!((&runs["runs"][0]["faulty"], &runs["runs"][1]["faulty"]), (&json!(0), &json!(1)));
    fs::write(&backup, bytes).unwrap();
    assert_eq!(verify(&root, &["--status", "ok"], 0)["verified_runs"], 1);
    assert_eq!(root.haul("runs", &["--json"]).expect(0).json()["runs"][1]["faulty"], 0);
}

#[test]
fn every_manifest_of_a_tree_is_validated_for_readers_of_a_version() {
    let root = tree();
    root.migrate(&["--job", "a"]).expect(0);
    for arguments in [&["--as", "1.0.0"][..], &["--as", "1.2.0"], &[]] {
        let end = root.haul("validate", &[arguments, &["--json"]].concat()).expect(0).json();
        assert_eq!((&end["manifests"], &end["valid"]), (&json!(6), &json!(6)));
    }
    // What readers of 1.0.0 need is gone; what only later readers look at does not matter to them.
    let path = root.artifacts().join("a/a1/manifest.json");
    let mut document: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    document["chain_metadata"] = json!(7);
    fs::write(&path, document.to_string()).unwrap();
    root.haul("validate", &["--as", "1.1.0"]).expect(0);
    root.haul("validate", &["--as", "1.2.0"]).expect(65);
    document.as_object_mut().unwrap().remove("job_ref");
    document["status"] = json!(null);
    fs::write(&path, document.to_string()).unwrap();
    root.put_bytes("b", "foreign", b"[]");
    root.put_bytes("b", "broken", b"{");
    let end = root.haul("validate", &["--as", "1.0.0", "--json"]).expect(65).json();
    assert_eq!(
        (&end["manifests"], &end["valid"], &end["refused"], &end["foreign"]),
        (&json!(7), &json!(5), &json!(2), &json!(1))
    );
    let codes: Vec<_> = end["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| (finding["path"].clone(), finding["code"].clone()))
        .collect();
    let of = |run: &str, code: &str| (json!(format!("artifacts/{run}/manifest.json")), json!(code));
    assert_eq!(
        codes,
        [
            of("a/a1", "E_REQUIRED_FIELD"),
            of("a/a1", "E_FIELD_TYPE"),
            of("b/broken", "E_JSON"),
            of("b/foreign", "E_ROOT")
        ]
    );
    assert_eq!(root.haul("validate", &["--as", "1.0.0", "--job", "c", "--json"]).expect(0).json()["not_selected"], 6);
    root.haul("validate", &["--as", "7.0.0"]).expect(2);
    let one = crate::support::place::Place::new();
    let done = one.run(&["manifest", "validate", path.to_str().unwrap(), "--as", "1.0.0"]).expect(65);
    assert_eq!(done.stdout.lines().count(), 2, "{}", done.stdout);
}

/// Removed by a breaking step, renamed by one: readers of the version before cannot read it any more.
#[test]
fn a_breaking_step_breaks_the_readers_before_it() {
    let root = Root::new();
    let steps = root.path().join("steps.toml");
    let text = "[[step]]\nfrom = \"1.2.0\"\nto = \"2.0.0\"\nbreaking = true\nchanges = [\"Rename status\"]\n\
        rename = [{ from = \"status\", to = \"state\" }]\n[step.inverse]\n\
        rename = [{ from = \"state\", to = \"status\" }]\n";
    fs::write(&steps, text).unwrap();
    root.put("job", "run");
    let with_steps = |verb: &str, more: &[&str]| {
        root.haul(verb, &[&["--steps-file", steps.to_str().unwrap(), "--json"], more].concat())
    };
    with_steps("migrate", &[]).expect(0);
    with_steps("validate", &[]).expect(0);
    let end = with_steps("validate", &["--as", "1.0.0"]).expect(65).json();
    assert!(end["findings"][0]["reason"].as_str().unwrap().contains("status is missing"), "{end}");
}
