//! The verbs around a migration, through the real binary: verification, rollback, dry run, history, plan and status.

use std::fs;
use std::path::Path;

use crate::support::manifest::{NOW, Root, manifests};
use crate::support::manifest_files::manifest;
use haul::durable::RealDisk;
use haul::manifest::Checksum;
use haul::manifest::migrate::ledger::{Ledger, LedgerEntry, LedgerPosition};
use haul::manifest::migrate::state::{CHECKPOINT_KIND, RunState};
use haul::migration::{CheckpointFile, Stage, checkpoint};
use serde_json::{Value, json};

fn findings(root: &Root, code: i32) -> Vec<String> {
    let document = root.haul("verify", &["--json"]).expect(code).json();
    let fatal =
        document["findings"].as_array().unwrap().iter().filter(|finding| finding["severity"] == "fatal").cloned();
    fatal.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect()
}

fn digest(text: &str) -> String {
    Checksum::of_bytes(text.as_bytes()).to_string()
}

/// A valid run with a snapshot and a doctrine.
fn valid() -> (Root, Value) {
    let root = Root::new();
    let (brief, doctrine) = ("{}", "be kind");
    let inputs_hash = digest(&format!("{{\"brief\":\"{}\"}}", digest(brief)));
    let run_id = inputs_hash["sha256:".len()..][..32].to_owned();
    let mut document: Value = serde_json::from_str(&manifest("job", &run_id, "1.1.0")).unwrap();
    document["inputs_hash"] = json!(inputs_hash);
    document["input_snapshots"] = json!({"brief": {"path": "inputs/brief.json", "sha256": digest(brief), "bytes": 2}});
    document["doctrine"] = json!({"doctrine_id": "d", "version": "1", "sha256": digest(doctrine)});
    put(&root, &document);
    let inputs = root.artifacts().join("job/run/inputs");
    fs::create_dir(&inputs).unwrap();
    fs::write(inputs.join("brief.json"), brief).unwrap();
    let resolved = json!({"doctrine_id": "d", "version": "1", "sha256": digest(doctrine), "content": doctrine});
    fs::write(inputs.join("doctrine.resolved.json"), resolved.to_string()).unwrap();
    (root, document)
}

fn put(root: &Root, document: &Value) {
    root.put_bytes("job", "run", &serde_json::to_vec(document).unwrap());
}

fn changed(document: &Value, change: impl FnOnce(&mut Value)) -> Value {
    let mut document = document.clone();
    change(&mut document);
    document
}

#[test]
fn a_valid_tree_is_verified_before_and_after_a_migration_and_inputs_stay() {
    let (root, document) = valid();
    assert_eq!(findings(&root, 0), [""; 0]);
    let retry = format!("{}-2", document["run_id"].as_str().unwrap());
    put(&root, &changed(&document, |document| document["run_id"] = json!(retry)));
    assert_eq!(findings(&root, 0), [""; 0]);
    let inputs = crate::support::manifest::files(&root.artifacts().join("job/run/inputs"));
    root.migrate(&[]).expect(0);
    let verified = root.haul("verify", &["--json"]).expect(0).json();
    assert_eq!(
        (&verified["snapshots"], &verified["checksums"], &verified["verified_runs"]),
        (&json!(1), &json!(1), &json!(1))
    );
    assert_eq!(crate::support::manifest::files(&root.artifacts().join("job/run/inputs")), inputs);
}

#[test]
fn verify_finds_snapshots_ids_and_doctrine_that_do_not_agree() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 6] = [
        (|document| document["input_snapshots"]["brief"]["bytes"] = json!(3), "E_SNAPSHOT"),
        (|document| document["input_snapshots"]["brief"]["path"] = json!("inputs/gone.json"), "E_SNAPSHOT"),
        (|document| document["input_snapshots"]["brief"]["path"] = json!("../../../index.db"), "E_SNAPSHOT"),
        (|document| document["run_id"] = json!("0123-1"), "E_RUN_ID"),
        (|document| document["doctrine"]["version"] = json!("2"), "E_DOCTRINE"),
        (|document| document["doctrine"]["sha256"] = json!("0000"), "E_DOCTRINE"),
    ];
    for (change, code) in cases {
        let (root, document) = valid();
        put(&root, &changed(&document, change));
        assert!(findings(&root, 65).iter().all(|found| found == code), "{code}: {:?}", findings(&root, 65));
    }
    let (root, _) = valid();
    fs::write(root.artifacts().join("job/run/inputs/brief.json"), "[]").unwrap();
    assert_eq!(findings(&root, 65), ["E_SNAPSHOT"]);
    let (root, document) = valid();
    let other = "0".repeat(64);
    let renamed = |document: &mut Value| {
        document["inputs_hash"] = json!(format!("sha256:{other}"));
        document["run_id"] = json!(other[..32]);
    };
    put(&root, &changed(&document, renamed));
    assert_eq!(findings(&root, 65), ["E_INPUTS_HASH"]);
}

/// Other JSON readers refuse such a number, so with them the doctrine would seem to be damaged.
#[test]
fn a_doctrine_may_hold_any_number_that_json_allows() {
    let (root, _) = valid();
    let path = root.artifacts().join("job/run/inputs/doctrine.resolved.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen('{', "{\"weight\": 1e400, ", 1)).unwrap();
    assert_eq!(findings(&root, 0), [""; 0]);
}

#[test]
fn manifests_without_snapshots_are_distinguished_from_damaged_ones() {
    let root = Root::new();
    root.put("job", "run");
    root.migrate(&[]).expect(0);
    assert_eq!(root.haul("verify", &["--json"]).expect(0).json()["legacy_no_snapshots"], 1);
    let path = root.artifacts().join("job/run/manifest.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"ok\"", "\"bad\"")).unwrap();
    assert_eq!(findings(&root, 65), ["E_CHECKSUM"]);
    fs::write(&path, &text).unwrap();
    assert_eq!(findings(&root, 0), [""; 0]);
}

#[test]
fn a_ledger_that_was_edited_is_found() {
    let root = Root::new();
    root.put("job", "run");
    root.migrate(&[]).expect(0);
    let path = root.path().join("migration/ledger.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("1.0.0", "1.1.0", 1)).unwrap();
    let done = root.haul("verify", &[]).expect(65);
    assert!(done.stderr.contains("does not follow on the line before it"), "{}", done.stderr);
}

/// Whatever is lost of the ledger, verification says so, and starting over is a way on that the messages name.
#[test]
fn a_ledger_that_is_gone_or_cut_is_found_and_can_be_left_behind() {
    type Damage = fn(&Path);
    let damages: [(Damage, &str); 3] = [
        (|ledger| fs::remove_file(ledger).unwrap(), "the ledger is gone"),
        (|ledger| cut(ledger, 1), "the ledger was cut short"),
        (|ledger| cut(ledger, 3), "the ledger was cut short"),
    ];
    for (damage, what) in damages {
        let root = Root::new();
        ["a", "b"].into_iter().for_each(|run| drop(root.put("job", run)));
        let run = root.migrate(&[]).expect(0).json()["run_id"].as_str().unwrap().to_owned();
        damage(&root.path().join("migration/ledger.jsonl"));
        assert_eq!(findings(&root, 65), ["E_LEDGER"]);
        root.put("job", "new");
        let calls = [
            root.migrate(&[]),
            root.haul("rollback", &["--run", &run, "--yes"]),
            root.haul("clean", &["--older-than", "0s", "--yes"]),
        ];
        for refused in calls {
            let refused = refused.expect(65);
            assert!(refused.stderr.contains(what) && refused.stderr.contains("--restart"), "{}", refused.stderr);
        }
        assert_eq!(root.migrate(&["--restart", "--yes"]).expect(0).json()["counts"]["migrated"], 1);
        assert_eq!(findings(&root, 0), [""; 0]);
        assert_eq!(root.migrate(&[]).expect(0).json()["already_done"], true);
    }
}

/// Removes the last lines of a file.
fn cut(path: &Path, lines: usize) {
    let text = fs::read_to_string(path).unwrap();
    let kept = text.lines().count() - lines;
    let kept: String = text.split_inclusive('\n').take(kept).collect();
    fs::write(path, kept).unwrap();
}

#[test]
fn lines_of_a_rollback_and_of_a_verification_are_missed_too() {
    for verb in ["rollback", "verify"] {
        let root = Root::new();
        root.put("job", "run");
        let run = root.migrate(&[]).expect(0).json()["run_id"].as_str().unwrap().to_owned();
        let arguments = if verb == "rollback" { vec!["--run", &run, "--yes"] } else { Vec::new() };
        root.haul(verb, &arguments).expect(0);
        assert_eq!(findings(&root, 0), [""; 0]);
        cut(&root.path().join("migration/ledger.jsonl"), 1);
        assert_eq!(findings(&root, 65), ["E_LEDGER"], "{verb}");
    }
}

#[test]
fn a_damaged_checkpoint_is_a_finding_of_a_verification() {
    let root = Root::new();
    root.put("job", "run");
    root.migrate(&[]).expect(0);
    fs::write(root.path().join("migration/checkpoint.bin"), b"rubbish").unwrap();
    assert_eq!(findings(&root, 65), ["E_STATE"]);
}

/// Of one tree: a manifest that its application rewrites, one whose backup is gone, and a run that is removed.
#[test]
fn an_application_that_goes_on_does_not_keep_the_others_from_being_verified_and_cleaned_up() {
    let root = Root::new();
    let files = ["a", "b", "c", "d"].map(|run| root.put("job", run));
    root.migrate(&[]).expect(0);
    let rewrite = |text: &str| {
        let document = fs::read_to_string(&files[1]).unwrap().replace("\"ok\"", text);
        fs::write(&files[1], document).unwrap();
    };
    rewrite("\"failed\"");
    fs::remove_dir_all(files[2].parent().unwrap()).unwrap();
    let clean = || root.haul("clean", &["--older-than", "0s", "--yes", "--json"]).expect(0).json();
    let unverified = clean();
    assert_eq!(unverified["removed"], 0);
    assert_eq!((&unverified["kept"][0]["backups"], &unverified["kept"][0]["why"]), (&json!(3), &json!("not-verified")));

    let verified = root.haul("verify", &["--json"]).expect(65).json();
    assert_eq!((&verified["verified_runs"], &verified["excepted_files"]), (&json!(1), &json!(1)));
    assert_eq!(findings(&root, 65), ["E_CHECKSUM"], "what was removed is no fault");
    let cleaned = clean();
    assert_eq!((&cleaned["removed"], &cleaned["kept"][0]["why"]), (&json!(2), &json!("faulty")));
    let text = root.haul("clean", &["--older-than", "0s", "--yes"]).expect(0).stdout;
    assert!(text.contains("haul manifest accept"), "{text}");

    root.haul("accept", &["artifacts/job/b/manifest.json"]).expect(0);
    assert_eq!(findings(&root, 0), [""; 0]);
    assert_eq!(clean()["removed"], 1);
    rewrite("\"new\"");
    let text = fs::read_to_string(&files[1]).unwrap().replace("failed", "stopped");
    fs::write(&files[1], text).unwrap();
    assert_eq!(findings(&root, 65), ["E_CHECKSUM"], "other bytes are not accepted with it");
    let refused = root.haul("accept", &["artifacts/job/none/manifest.json"]).expect(2);
    assert!(refused.stderr.contains("no run has written this file"), "{}", refused.stderr);
}

/// What is printed never leads to the loss of the only whole copy: a damaged manifest keeps its backup until it is whole
/// again, whoever follows the advice.
#[test]
fn the_backup_of_a_damaged_manifest_outlives_all_advice() {
    type Damage = fn(&Path);
    let cases: [(Damage, &str); 3] = [
        (|path| fs::write(path, "").unwrap(), "E_EMPTY"),
        (|path| fs::write(path, &fs::read(path).unwrap()[..100]).unwrap(), "E_JSON"),
        (|path| fs::remove_file(path).unwrap(), "E_GONE"),
    ];
    for (damage, code) in cases {
        let root = Root::new();
        let (path, _) = (root.put("job", "a"), root.put("job", "b"));
        let text = fs::read(&path).unwrap();
        let id = root.migrate(&[]).expect(0).json()["run_id"].as_str().unwrap().to_owned();
        damage(&path);
        assert_eq!(findings(&root, 65), [code]);
        let cleaned = root.haul("clean", &["--older-than", "0s", "--yes", "--json"]).expect(0).json();
        assert_eq!((&cleaned["removed"], &cleaned["kept"][0]["why"]), (&json!(1), &json!("faulty")), "{code}");
        if path.exists() {
            let refused = root.haul("accept", &["artifacts/job/a/manifest.json"]).expect(65);
            assert!(
                refused.stderr.contains(code) && refused.stderr.contains("next: restore it from "),
                "{}",
                refused.stderr
            );
        }
        root.haul("rollback", &["--run", &id, "--yes", "artifacts/job/a/manifest.json"]).expect(70);
        root.migrate(&["--restart", "--yes"]);
        root.haul("verify", &[]).expect(65);
        root.haul("clean", &["--older-than", "0s", "--yes"]).expect(0);
        let copies: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path()).collect();
        let backup = copies.iter().find(|path| path.extension().is_some_and(|ending| ending == "backup")).unwrap();
        assert_eq!(fs::read(backup).unwrap(), text, "{code}");
        fs::copy(backup, &path).unwrap();
        root.migrate(&[]).expect(0);
        assert_eq!(findings(&root, 0), [""; 0], "{code}");
    }
}

#[test]
fn a_file_whose_backup_is_gone_can_be_accepted() {
    let root = Root::new();
    ["a", "b"].into_iter().for_each(|run| drop(root.put("job", run)));
    root.migrate(&[]).expect(0);
    let is_backup =
        |path: &&std::path::PathBuf| path.starts_with("job/a") && path.to_str().unwrap().ends_with(".backup");
    let backup = root.files().keys().find(is_backup).unwrap().clone();
    fs::remove_file(root.artifacts().join(backup)).unwrap();
    assert_eq!(findings(&root, 65), ["E_BACKUP"]);
    root.haul("accept", &["artifacts/job/a/manifest.json"]).expect(0);
    assert_eq!(findings(&root, 0), [""; 0]);
}

#[test]
fn runs_are_listed_and_the_last_one_is_undone_by_name() {
    let root = Root::new();
    root.haul("rollback", &["--run", "last", "--yes"]).expect(2);
    root.put("job", "run");
    let first = root.migrate(&["--target-version", "1.1.0"]).expect(0).json()["run_id"].clone();
    let last = root.migrate(&[]).expect(0).json()["run_id"].clone();
    root.haul("verify", &[]).expect(0);
    let undone = root.haul("rollback", &["--run", "last", "--yes", "--json"]).expect(0).json();
    assert_eq!((&undone["run_id"], &undone["restored"]), (&last, &json!(1)));
    let listed = root.haul("runs", &["--json"]).expect(0).json();
    let fields =
        |run: &Value| ["run_id", "target_version", "written", "restored", "verified"].map(|name| run[name].clone());
    assert_eq!(fields(&listed["runs"][0]), [first, json!("1.1.0"), json!(1), json!(0), json!(true)]);
    assert_eq!(fields(&listed["runs"][1]), [last, json!("1.2.0"), json!(1), json!(1), json!(true)]);
    let text = root.haul("runs", &[]).expect(0).stdout;
    assert_eq!(text.lines().count(), 2, "{text}");
}

/// A link could be taken for a job that was migrated; a link in the place of all jobs is no part of the tree.
#[test]
fn links_in_the_places_of_jobs_are_named_and_a_linked_tree_is_refused_with_a_way_on() {
    let (root, other) = (Root::new(), Root::new());
    let path = other.put("job", "run");
    std::os::unix::fs::symlink(other.artifacts().join("job"), root.artifacts().join("linked")).unwrap();
    let refused = root.migrate(&[]).expect(65);
    assert!(refused.stdout.contains("artifacts/linked is a symbolic link"), "{}", refused.stdout);
    let done = root.migrate(&["--allow-empty"]).expect(0).json();
    assert_eq!(
        (&done["findings"][0]["code"], &done["findings"][0]["path"]),
        (&json!("W_LINK"), &json!("artifacts/linked"))
    );
    assert_eq!(fs::read_to_string(path).unwrap(), manifest("job", "run", "1.0.0"));
    fs::remove_file(root.artifacts().join("linked")).unwrap();
    fs::remove_dir(root.artifacts()).unwrap();
    std::os::unix::fs::symlink(other.artifacts(), root.artifacts()).unwrap();
    let refused = root.migrate(&[]).expect(2);
    assert!(refused.stderr.contains("next: give the root that it leads to"), "{}", refused.stderr);
}

#[test]
fn an_absolute_path_is_taken_with_a_relative_root_and_a_missing_file_has_no_history() {
    let root = Root::new();
    let path = root.put("job", "run");
    let haul = |arguments: &[&str]| {
        let mut command = std::process::Command::new(crate::support::haul::HAUL);
        let output = command.args(["manifest"]).args(arguments).current_dir(root.path()).output().unwrap();
        crate::support::haul::Done::of(output)
    };
    let missing = haul(&["history", ".", "artifacts/job/none/manifest.json"]).expect(2);
    assert!(missing.stderr.contains("does not exist"), "{}", missing.stderr);
    haul(&["migrate", ".", "--manifest", path.to_str().unwrap()]).expect(0);
    haul(&["history", ".", path.to_str().unwrap()]).expect(0);
    fs::remove_file(&path).unwrap();
    haul(&["history", ".", "artifacts/job/run/manifest.json"]).expect(0);
}

const BREAKING: &str = r#"
[[step]]
from = "1.2.0"
to = "2.0.0"
breaking = true
changes = ["Rename status to state", "Bump schema_version to 2.0.0"]
rename = [{ from = "status", to = "state" }]
[step.inverse]
rename = [{ from = "state", to = "status" }]
"#;

#[test]
fn a_rollback_checks_files_with_the_inverse_of_breaking_steps() {
    let root = Root::new();
    let path = root.put("job", "run");
    let steps = root.path().join("steps.toml");
    fs::write(&steps, BREAKING).unwrap();
    let steps_file = ["--steps-file", steps.to_str().unwrap()];
    let original = fs::read(&path).unwrap();
    let run = root.migrate(&steps_file).expect(0).json()["run_id"].as_str().unwrap().to_owned();
    let back = |steps: &[&str]| root.haul("rollback", &[&["--run", &run, "--yes", "--json"], steps].concat());
    let other = root.path().join("other.toml");
    fs::write(&other, BREAKING.replace("\"state\"", "\"phase\"")).unwrap();
    let refused = back(&["--steps-file", other.to_str().unwrap()]).expect(70);
    assert!(refused.stdout.contains("the declared inverse fails"), "{}", refused.stdout);
    assert_ne!(fs::read(&path).unwrap(), original, "nothing was restored");
    let done = back(&steps_file).expect(0).json();
    assert_eq!((&done["restored"], &done["inverses_checked"]), (&json!(1), &json!(1)));
    assert_eq!(fs::read(&path).unwrap(), original);
}

/// Rolls back a run that is refused, and returns what is said. Nothing is touched.
fn refused_rollback(root: &Root, run: &str) -> String {
    let before = root.files();
    let done = root.haul("rollback", &["--run", run, "--yes"]).expect(65);
    assert!(done.stderr.contains("use the version of haul that began the run"), "{}", done.stderr);
    assert_eq!(root.files(), before);
    done.stderr
}

#[test]
fn a_run_with_unknown_rules_is_neither_rolled_back_nor_continued() {
    #[derive(checkpoint::Encode)]
    struct NewerRules {
        mode: u32,
    }
    let root = Root::new();
    root.put("job", "run");
    let run = root.migrate(&[]).expect(0).json()["run_id"].as_str().unwrap().to_owned();
    let directory = root.path().join("migration");
    let file = CheckpointFile::new(&directory, CHECKPOINT_KIND);
    let RunState { plan_digest, run_id, durability, findings_bytes, records, counts, progress, attempts, .. } =
        file.load::<RunState>(&RealDisk).unwrap().unwrap();
    let newer = haul::migration::RunState {
        plan_digest,
        run_id,
        stage: Stage::Running,
        durability,
        findings_bytes,
        records,
        counts,
        rules: NewerRules { mode: 9 },
        progress,
        attempts,
    };
    file.store(&RealDisk, &newer).unwrap();
    assert!(refused_rollback(&root, &run).contains("cannot decode this checkpoint"));
    let before = root.files();
    assert!(root.migrate(&[]).expect(65).stderr.contains("cannot decode this checkpoint"));
    assert_eq!(root.files(), before);
}

#[test]
fn the_mode_of_a_run_that_an_older_version_began_is_the_first_word_of_its_settings() {
    let root = Root::new();
    root.put("job", "run");
    root.migrate(&[]).expect(0);
    let directory = root.path().join("migration");
    let began = |run: &str, settings: &str| {
        let mut ledger = Ledger::open(&RealDisk, &directory, run, LedgerPosition::START, |_| Ok(())).unwrap();
        let (target, now, settings) = ("1.2.0".to_owned(), NOW.to_owned(), settings.to_owned());
        ledger.append(LedgerEntry::Began { target, now, settings, mode: None }).unwrap();
        ledger.sync().unwrap();
    };
    began("known", "strict --target-version 1.2.0");
    assert_eq!(root.haul("rollback", &["--run", "known", "--yes", "--json"]).expect(0).json()["restored"], 0);
    began("other", "lenient --target-version 1.2.0");
    assert!(refused_rollback(&root, "other").contains("cannot read the settings of the run: lenient"));
}

#[test]
fn a_rollback_restores_named_files_and_refuses_those_of_no_run() {
    let root = Root::new();
    let (chosen, other) = (root.put("job", "a"), root.put("job", "b"));
    let originals = [fs::read(&chosen).unwrap(), fs::read(&other).unwrap()];
    let run = root.migrate(&[]).expect(0).json()["run_id"].as_str().unwrap().to_owned();
    let back = |file: &str| root.haul("rollback", &["--run", &run, "--yes", "--json", file]);
    let refused = back("artifacts/job/none/manifest.json").expect(70);
    assert!(refused.stdout.contains("it is no file that the run wrote"), "{}", refused.stdout);
    assert_eq!(back("artifacts/job/a/manifest.json").expect(0).json()["restored"], 1);
    assert_eq!(fs::read(&chosen).unwrap(), originals[0]);
    assert_ne!(fs::read(&other).unwrap(), originals[1]);
}

#[test]
fn a_dry_run_predicts_the_run_and_writes_nothing() {
    let root = Root::generated(120);
    root.put_bytes("job", "broken", b"{");
    let before = root.files();
    let foretold = root.haul("migrate", &["--dry-run", "--json"]).expect(3).json();
    assert_eq!(root.files(), before);
    assert!(!root.path().join("migration").exists());
    let done = root.migrate(&[]).expect(3).json();
    assert_eq!(foretold["counts"], done["counts"]);
    assert_eq!(foretold["records"], done["records"]);
}

#[test]
fn list_versions_overrides_a_named_file_and_changes_nothing() {
    let root = Root::new();
    root.put("job", "run");
    let before = root.files();
    let done = root.haul("migrate", &["--compat", "--list-versions", "--manifest", "artifacts/job/run/manifest.json"]);
    assert!(done.expect(0).stdout.starts_with("Found 1 manifests\n"));
    assert_eq!(root.files(), before);
}

#[test]
fn history_shows_the_records_of_the_document_and_of_the_ledger() {
    let root = Root::new();
    let text = manifest("job", "run", "1.0.0").replace("\"ok\"", "\"ok\", \"no binary64\": 1E400");
    root.put_bytes("job", "run", text.as_bytes());
    root.migrate(&["--target-version", "1.1.0"]).expect(0);
    root.migrate(&[]).expect(0);
    let shown = root.haul("history", &["artifacts/job/run/manifest.json"]).expect(0).stdout;
    let at = format!("{NOW}  ");
    let steps: Vec<_> = shown.lines().filter_map(|line| line.strip_prefix(&at)).collect();
    assert_eq!(steps, ["1.0.0 → 1.1.0", "1.1.0 → 1.2.0"]);
    let written = shown.lines().filter(|line| line.contains(": written, ")).count();
    assert_eq!(written, 2, "{shown}");
}

#[test]
fn a_missing_job_id_is_taken_from_the_directory_or_the_brief_on_request() {
    for (how, id) in [("directory", "job"), ("brief", "from-brief")] {
        let root = Root::new();
        let path =
            root.put_bytes("job", "run", manifest("job", "run", "1.0.0").replace("\"job_id\"", "\"x\"").as_bytes());
        fs::create_dir(path.with_file_name("inputs")).unwrap();
        fs::write(path.with_file_name("inputs").join("brief.yaml"), "title: t\njob_id: from-brief\n").unwrap();
        assert_eq!(root.migrate(&[]).expect(3).codes(), ["E_REQUIRED_FIELD"]);
        root.migrate(&["--derive-job-id", how]).expect(0);
        let document: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(document["job_id"], id);
        let first = document["migration_history"][0]["changes"][0][0].as_str().unwrap();
        assert!(first.starts_with("Add job_id field (from "), "{first}");
    }
}

#[test]
fn a_plan_counts_by_version_and_status_and_reads_only() {
    let root = Root::new();
    root.put("job", "a");
    root.put_bytes("job", "b", manifest("job", "b", "1.2.0").as_bytes());
    root.put_bytes("job", "c", manifest("job", "c", "9.0.0").as_bytes());
    root.put_bytes("job", "d", b"");
    let before = root.files();
    let plan = root.haul("plan", &["--json"]).expect(0).json();
    assert_eq!(plan["by_version"], json!({"1.0.0": 1, "1.2.0": 1, "9.0.0": 1, "corrupt": 1}));
    assert_eq!(plan["by_status"], json!({"pending": 1, "current": 1, "future": 1, "corrupt": 1}));
    assert_eq!(root.files(), before);
    assert_eq!(manifests(&before).len(), 4);
    assert!(!Path::new(&root.path().join("migration")).exists());
}

#[test]
fn the_status_shows_a_damaged_checkpoint_and_what_to_do_next() {
    let root = Root::new();
    let status = || root.haul("status", &["--json"]).expect(0).json();
    assert_eq!(status()["next"], "run `haul manifest migrate`");
    root.put("job", "run");
    root.migrate(&[]).expect(0);
    let sound = status();
    assert_eq!((&sound["run"]["stage"], &sound["checkpoint_problem"]), (&json!("published"), &Value::Null));
    assert!(sound["next"].as_str().unwrap().contains("haul manifest rollback"), "{sound}");
    fs::write(root.path().join("migration/checkpoint.bin"), b"rubbish").unwrap();
    let damaged = status();
    assert!(damaged["run"].is_null() && damaged["journal"] == sound["journal"], "{damaged}");
    let problem = damaged["checkpoint_problem"].as_str().unwrap();
    assert!(problem.contains("not a checkpoint"), "{problem}");
    assert!(damaged["next"].as_str().unwrap().contains("--restart"), "{damaged}");
    let text = root.haul("status", &[]).expect(0).stdout;
    assert!(text.contains(problem) && text.contains("start over with --restart"), "{text}");
    // Manifests are replaced in place, so the hint must not say that the source is untouched.
    let refused = root.migrate(&[]).expect(65);
    assert!(refused.stderr.contains("--restart") && !refused.stderr.contains("untouched"), "{}", refused.stderr);
    root.migrate(&["--restart", "--yes"]).expect(0);
    assert_eq!(status()["run"]["stage"], "published");
}

#[test]
fn a_second_run_with_nothing_to_do_keeps_the_report_of_the_first() {
    let root = Root::generated(50);
    root.put_bytes("job", "broken", b"{");
    let kept = || {
        let names = ["report.json", "plan.json", "ledger.jsonl", "checkpoint.bin"];
        names.map(|name| fs::read(root.path().join("migration").join(name)).unwrap())
    };
    let migrated = |code, counted: u64| {
        let end = root.migrate(&[]).expect(code).json();
        assert_eq!((&end["counts"]["migrated"], &end["already_done"]), (&json!(counted), &json!(counted == 0)));
        end
    };
    let first = root.migrate(&[]).expect(3).json();
    let (before, files) = (kept(), root.files());
    for _ in 0..2 {
        let end = migrated(3, 0);
        assert_eq!((&end["run_id"], &end["records"]), (&first["run_id"], &first["records"]));
        assert_eq!((&end["findings"], &end["counts"]["refused_corrupt"]), (&first["findings"], &json!(1)));
        assert!(kept() == before && root.files() == files, "nothing is changed");
    }
    // A run that crashed before it wrote its report has done its work nevertheless.
    fs::remove_file(root.path().join("migration/report.json")).unwrap();
    migrated(3, 0);
    let report: Value = serde_json::from_slice(&kept()[0]).unwrap();
    assert_eq!((&report["run_id"], &report["counts"]), (&first["run_id"], &first["counts"]));
    // New manifests are migrated, and new refusals are reported.
    root.put("job", "new");
    let second = migrated(3, 1);
    assert_ne!(second["run_id"], first["run_id"]);
    root.put_bytes("job", "broken too", b"{");
    let third = root.migrate(&[]).expect(3).json();
    let report: Value = serde_json::from_slice(&kept()[0]).unwrap();
    assert_eq!((&report["run_id"], &report["counts"]["refused_corrupt"]), (&third["run_id"], &json!(2)));
}

#[test]
fn a_rolled_back_tree_is_migrated_again() {
    let root = Root::generated(20);
    let first = root.migrate(&[]).expect(0).json();
    root.haul("rollback", &["--yes", "--run", first["run_id"].as_str().unwrap()]).expect(0);
    let second = root.migrate(&[]).expect(0).json();
    assert_eq!((&second["counts"], &second["already_done"]), (&first["counts"], &json!(false)));
}

#[test]
fn a_current_tree_has_nothing_to_do() {
    let root = Root::new();
    root.put("job", "run");
    root.migrate(&[]).expect(0);
    let done = root.haul("migrate", &[]).expect(0);
    assert!(done.stdout.contains(": nothing to do\n"), "{}", done.stdout);
}
