//! Trees that are not there, or not whole: nothing is called verified that was not read, and no backup is removed that may
//! be all that is left.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::support::manifest::Root;
use serde_json::json;

/// Migrates two jobs of two runs each.
fn migrated() -> (Root, Vec<PathBuf>) {
    let root = Root::new();
    let runs = [("a", "1"), ("a", "2"), ("b", "1"), ("b", "2")];
    let files = runs.map(|(job, run)| root.put(job, run)).to_vec();
    root.migrate(&[]).expect(0);
    (root, files)
}

fn has_backup(file: &Path) -> bool {
    let names = fs::read_dir(file.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    names.into_iter().any(|path| path.extension().is_some_and(|ending| ending == "backup"))
}

fn clean(root: &Root) -> serde_json::Value {
    root.haul("clean", &["--older-than", "0s", "--yes", "--json"]).expect(0).json()
}

#[test]
fn a_job_or_a_tree_that_is_not_mounted_is_no_verified_one() {
    for part in ["artifacts", "artifacts/b"] {
        let (root, files) = migrated();
        let (place, away) = (root.path().join(part), root.path().join("away"));
        fs::rename(&place, &away).unwrap();
        fs::create_dir(&place).unwrap();
        let verified = root.haul("verify", &["--allow-empty", "--json"]).expect(65).json();
        let first = &verified["findings"][0];
        assert_eq!((&first["code"], &first["severity"]), (&json!("E_GONE"), &json!("fatal")), "{part}");
        assert!(first["reason"].as_str().unwrap().contains("mount what is missing"), "{first}");
        fs::remove_dir(&place).unwrap();
        fs::rename(&away, &place).unwrap();
        fs::write(&files[3], "{garbage").unwrap();
        clean(&root);
        assert!(has_backup(&files[3]), "{part}");
    }
}

#[test]
fn a_run_that_was_removed_is_no_fault() {
    let (root, files) = migrated();
    fs::remove_dir_all(files[0].parent().unwrap()).unwrap();
    root.haul("verify", &[]).expect(0);
    assert_eq!(clean(&root)["removed"], 3);
}

/// A clean-up looks at each manifest itself: it may be spoilt since its verification.
#[test]
fn a_manifest_that_is_spoilt_after_its_verification_keeps_its_backup() {
    let (root, files) = migrated();
    root.haul("verify", &[]).expect(0);
    fs::write(&files[0], "").unwrap();
    fs::write(&files[1], "{}").unwrap();
    fs::remove_file(&files[2]).unwrap();
    let cleaned = clean(&root);
    assert_eq!(cleaned["removed"], 1);
    assert_eq!((&cleaned["kept"][0]["backups"], &cleaned["kept"][0]["why"]), (&json!(3), &json!("changed")));
    assert_eq!(files.iter().map(|file| has_backup(file)).collect::<Vec<_>>(), [true, true, true, false]);
    root.haul("accept", &["artifacts/b/1/manifest.json"]).expect(0);
    assert_eq!(clean(&root)["removed"], 1, "the one that was accepted as gone");
}

#[test]
fn what_has_the_place_of_a_manifest_is_not_accepted_as_gone() {
    let (root, files) = migrated();
    let moved = root.path().join("moved.json");
    fs::rename(&files[0], &moved).unwrap();
    symlink(&moved, &files[0]).unwrap();
    fs::remove_file(&files[1]).unwrap();
    fs::create_dir(&files[1]).unwrap();
    for run in ["1", "2"] {
        let refused = root.haul("accept", &[&format!("artifacts/a/{run}/manifest.json")]).expect(65);
        assert!(refused.stderr.contains("has its name"), "{}", refused.stderr);
    }
    root.haul("verify", &[]).expect(65);
    clean(&root);
    assert!(has_backup(&files[0]) && has_backup(&files[1]));
}

#[test]
fn a_tree_without_a_manifest_is_refused_by_every_verb() {
    let verbs: [&[&str]; 6] = [
        &["migrate"],
        &["migrate", "--dry-run"],
        &["migrate", "--list-versions"],
        &["verify"],
        &["validate"],
        &["plan"],
    ];
    let (misspelt, deep) = (Root::new(), Root::new());
    let file = misspelt.put("job", "run");
    fs::rename(&file, file.with_file_name("MANIFEST.JSON")).unwrap();
    deep.put("tenant/job", "run");
    let trees = [
        (Root::new(), "give the root of the application"),
        (misspelt, "artifacts/job/run/MANIFEST.JSON looks like one"),
        (deep, "artifacts/tenant/job/run/manifest.json looks like one"),
    ];
    for (root, next) in &trees {
        for verb in verbs {
            let refused = root.haul(verb[0], &verb[1..]).expect(65);
            assert!(refused.stderr.contains("no manifest was found"), "{verb:?}: {}", refused.stderr);
            assert!(refused.stderr.contains(next), "{verb:?}: {}", refused.stderr);
        }
        assert!(!root.path().join("migration/checkpoint.bin").exists());
        for verb in verbs {
            root.haul(verb[0], &[&verb[1..], &["--allow-empty"]].concat()).expect(0);
        }
    }
}

#[test]
fn a_job_without_a_manifest_is_refused_and_a_manifest_in_another_spelling_is_named() {
    let root = Root::new();
    let (_, other) = (root.put("job", "a"), root.put("job", "b"));
    for verb in ["migrate", "verify", "validate", "plan"] {
        let refused = root.haul(verb, &["--job", "NOPE"]).expect(65);
        assert!(refused.stderr.contains("no manifest of the job \"NOPE\""), "{}", refused.stderr);
        assert!(refused.stderr.contains("artifacts/job/a/manifest.json is of another job"), "{}", refused.stderr);
    }
    fs::rename(&other, other.with_file_name("Manifest.json")).unwrap();
    let done = root.migrate(&[]).expect(0).json();
    assert_eq!((&done["counts"]["migrated"], &done["findings"][0]["code"]), (&json!(1), &json!("W_SPELLING")));
}

#[test]
fn a_ledger_that_is_gone_is_the_same_to_every_verb() {
    let (root, _) = migrated();
    fs::remove_file(root.path().join("migration/ledger.jsonl")).unwrap();
    let verbs: [&[&str]; 5] = [
        &["runs"],
        &["migrate"],
        &["migrate", "--dry-run"],
        &["clean", "--older-than", "0s", "--yes"],
        &["rollback", "--run", "last", "--yes"],
    ];
    for verb in verbs {
        let refused = root.haul(verb[0], &verb[1..]).expect(65);
        assert!(refused.stderr.contains("the ledger is gone, of "), "{verb:?}: {}", refused.stderr);
    }
    root.haul("verify", &[]).expect(65);
}

#[test]
fn a_plan_or_a_report_that_is_gone_or_cut_is_an_error_of_verify() {
    let (root, _) = migrated();
    for name in ["plan.json", "report.json"] {
        let path = root.path().join("migration").join(name);
        let whole = fs::read(&path).unwrap();
        root.haul("verify", &[]).expect(0);
        for bytes in [&whole[..whole.len() / 2], b""] {
            fs::write(&path, bytes).unwrap();
            let verified = root.haul("verify", &["--json"]).expect(65).json();
            assert_eq!(verified["findings"][0]["code"], "E_STATE", "{name}: {verified}");
        }
        fs::remove_file(&path).unwrap();
        root.haul("verify", &[]).expect(65);
        fs::write(&path, &whole).unwrap();
    }
}
