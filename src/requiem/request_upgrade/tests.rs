#![allow(clippy::disallowed_methods, reason = "tests prepare files directly")]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::*;
use crate::durable::RealDisk;
use crate::requiem::request::{NoteKind, SchedulerMode};

const PLAIN: UpgradeOptions = UpgradeOptions { move_scheduler_mode: false };
const MOVING: UpgradeOptions = UpgradeOptions { move_scheduler_mode: true };
const ADDED: Change = Change::SchedulerModeAdded { mode: SchedulerMode::Turbo };

fn moved(mode: SchedulerMode) -> Change {
    Change::SchedulerModeMoved { mode }
}

fn upgraded(text: &str, options: UpgradeOptions) -> (String, Vec<Change>) {
    let upgrade = upgrade(text.as_bytes(), options).unwrap();
    (String::from_utf8(upgrade.text).unwrap(), upgrade.changes)
}

#[test]
fn the_mode_is_written_where_it_is_meant() {
    for (before, after, changes) in [
        (r#"{"command":"a"}"#, r#"{"command":"a","policy":{"scheduler_mode":"turbo"}}"#, vec![ADDED]),
        (r#"{"policy":{},"command":"a"}"#, r#"{"policy":{"scheduler_mode":"turbo"},"command":"a"}"#, vec![ADDED]),
        (
            "{\n\t\"command\": \"a\",\n\t\"policy\": {\n\t\t\"mode\": \"strict\"\n\t},\n\t\"n\": 1.50\n}\n",
            "{\n\t\"command\": \"a\",\n\t\"policy\": {\n\t\t\"mode\": \"strict\",\n\t\t\"scheduler_mode\": \"turbo\"\n\t},\n\t\"n\": 1.50\n}\n",
            vec![ADDED],
        ),
        (
            r#"{"command":"a","policy":{"scheduler_mode":"repro"}}"#,
            r#"{"command":"a","policy":{"scheduler_mode":"repro"}}"#,
            vec![],
        ),
        (
            r#"{"scheduler_mode":"fast","command":"a"}"#,
            r#"{"scheduler_mode":"fast","command":"a","policy":{"scheduler_mode":"turbo"}}"#,
            vec![ADDED],
        ),
    ] {
        assert_eq!(upgraded(before, PLAIN), (after.to_owned(), changes));
    }
}

#[test]
fn the_mode_outside_the_policy_is_moved_on_request() {
    for (before, after, mode) in [
        (
            r#"{"scheduler_mode":"repro","command":"a"}"#,
            r#"{"command":"a","policy":{"scheduler_mode":"repro"}}"#,
            SchedulerMode::Repro,
        ),
        (
            r#"{"command":"a", "policy": {"mode":"x"}, "scheduler_mode": "turbo"}"#,
            r#"{"command":"a", "policy": {"mode":"x","scheduler_mode":"turbo"}}"#,
            SchedulerMode::Turbo,
        ),
        (
            r#"{"command":"a","scheduler_mode":"repro","policy":{"scheduler_mode":"repro"}}"#,
            r#"{"command":"a","policy":{"scheduler_mode":"repro"}}"#,
            SchedulerMode::Repro,
        ),
    ] {
        assert_eq!(upgraded(before, MOVING), (after.to_owned(), vec![moved(mode)]));
        let notes = upgrade(before.as_bytes(), PLAIN).unwrap().notes;
        assert_eq!(notes[0].kind, NoteKind::TopLevelSchedulerMode);
        let notes = upgrade(before.as_bytes(), MOVING).unwrap().notes;
        assert!(notes.iter().all(|note| note.kind != NoteKind::TopLevelSchedulerMode));
    }
}

#[test]
fn other_modes_are_refused_where_they_stand() {
    for (text, options, at) in [
        (r#"{"command":"a","policy":{"scheduler_mode":"fast"}}"#, PLAIN, "\"fast\""),
        (r#"{"command":"a","policy":{"scheduler_mode":null}}"#, PLAIN, "null"),
        (r#"{"command":"a","policy":{"scheduler_mode":"t\u0075rbo"}}"#, PLAIN, "\"t\\u0075rbo\""),
        (r#"{"command":"a","scheduler_mode":"fast"}"#, MOVING, "\"fast\""),
        (r#"{"command":"a","scheduler_mode":"repro","policy":{"scheduler_mode":"turbo"}}"#, MOVING, "\"repro\""),
    ] {
        let fault = upgrade(text.as_bytes(), options).unwrap_err();
        assert_eq!(fault.offset as usize, text.find(at).unwrap(), "{text}: {fault}");
    }
}

#[test]
fn what_is_meant_has_the_digest_of_what_is_said() {
    let text = r#"{"command":"a","scheduler_mode":"repro"}"#;
    let plain = upgrade(text.as_bytes(), PLAIN).unwrap();
    assert!(plain.digest_before.is_some() && plain.digest_before == plain.digest_after);
    let moving = upgrade(text.as_bytes(), MOVING).unwrap();
    assert!(moving.digest_before == plain.digest_before && moving.digest_after != plain.digest_after);
}

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).unwrap()
    }

    fn names(&self) -> usize {
        fs::read_dir(self.0.path()).unwrap().count()
    }
}

const OLD: &str = "{\"command\":\"a\"}\n";
const NEW: &str = "{\"command\":\"a\",\"policy\":{\"scheduler_mode\":\"turbo\"}}\n";

fn upgrade_in_place(paths: &[PathBuf]) -> UpgradeReport {
    upgrade_files(paths, PLAIN, &InPlace::new(&RealDisk, paths).unwrap()).unwrap()
}

#[test]
fn files_are_replaced_once_and_keep_their_mode() {
    let files = Files::new();
    let path = files.write("a.json", OLD);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    for (outcome, upgraded_files) in [(FileOutcome::Upgraded, 1), (FileOutcome::Unchanged, 0)] {
        let report = upgrade_in_place(std::slice::from_ref(&path));
        assert_eq!((report.files[0].outcome, report.upgraded), (outcome, upgraded_files));
        assert_eq!((files.read("a.json").as_str(), files.read("a.json.haul-backup").as_str()), (NEW, OLD));
        assert_eq!(files.names(), 2);
    }
    for name in ["a.json", "a.json.haul-backup"] {
        assert_eq!(fs::metadata(files.0.path().join(name)).unwrap().permissions().mode() & 0o7777, 0o640);
    }
    // An older backup is never lost.
    files.write("a.json", "{\"command\":\"b\"}");
    let report = upgrade_in_place(&[path]);
    assert!(report.files[0].reason.as_ref().unwrap().ends_with("has other content; move it away"));
    assert_eq!(
        (files.read("a.json").as_str(), files.read("a.json.haul-backup").as_str()),
        ("{\"command\":\"b\"}", OLD)
    );
}

#[test]
fn one_refusal_does_not_keep_the_others() {
    let files = Files::new();
    let good = files.write("good.json", OLD);
    let bad = files.write("bad.json", "{\"command\":\"a\",}");
    let link = files.0.path().join("link.json");
    std::os::unix::fs::symlink("good.json", &link).unwrap();
    let paths = [bad, link, files.0.path().join("absent.json"), good];
    let report = upgrade_in_place(&paths);
    assert_eq!((report.upgraded, report.unchanged, report.refused), (1, 0, 3));
    let reasons: Vec<_> = report.files.iter().filter_map(|file| file.reason.as_deref()).collect();
    assert_eq!(reasons[0], "expected the name of a member at offset 15");
    assert_eq!(reasons[1], "it is a link; name the file itself");
    assert!(reasons[2].contains("No such file"));
    assert_eq!(files.read("good.json"), NEW);
}

#[test]
fn a_dry_run_and_another_directory_leave_the_files() {
    let files = Files::new();
    let path = files.write("in/a.json", OLD);
    let report = upgrade_files(std::slice::from_ref(&path), PLAIN, &DryRun).unwrap();
    assert_eq!((report.upgraded, &report.files[0].written), (1, &None));
    let sources = [path.clone(), files.write("in/b.json", NEW)];
    for _ in 0..2 {
        let out = OutDir::new(&RealDisk, &files.0.path().join("new/out")).unwrap();
        let report = upgrade_files(&sources, PLAIN, &out).unwrap();
        assert_eq!((report.upgraded, report.unchanged, report.refused), (1, 1, 0));
        assert_eq!((files.read("new/out/a.json"), files.read("new/out/b.json")), (NEW.to_owned(), NEW.to_owned()));
        assert!(OutDir::new(&RealDisk, &files.0.path().join("new/out")).is_err(), "it is in use");
    }
    files.write("new/out/a.json", "mine");
    let out = OutDir::new(&RealDisk, &files.0.path().join("new/out")).unwrap();
    assert_eq!(upgrade_files(&sources, PLAIN, &out).unwrap().refused, 1);
    assert_eq!((files.read("new/out/a.json").as_str(), files.read("in/a.json").as_str()), ("mine", OLD));
    OutDir::check_names(files.0.path(), &sources).unwrap();
    OutDir::check_names(files.0.path(), &[path, files.write("other/a.json", OLD)]).unwrap_err();
}

#[test]
fn a_file_that_changes_meanwhile_is_left_alone() {
    let files = Files::new();
    let path = files.write("a.json", OLD);
    let input = SmallFile::read(&path).unwrap();
    let upgrade = upgrade(&input.bytes, PLAIN).unwrap();
    files.write("a.json", "{\"command\":\"another\"}");
    let is_refused = |destination: &dyn Destination| {
        let put = destination.put(&path, &input, &upgrade).unwrap();
        assert!(matches!(&put, PutResult::Refused(why) if why.contains("source changed")), "{put:?}");
    };
    is_refused(&InPlace::new(&RealDisk, std::slice::from_ref(&path)).unwrap());
    is_refused(&OutDir::new(&RealDisk, files.0.path()).unwrap());
    assert_eq!(files.names(), 1);
}

#[test]
fn files_in_one_directory_are_upgraded_by_one_process_at_a_time() {
    let files = Files::new();
    let (a, b) = (files.write("a.json", OLD), files.write("b.json", OLD));
    let first = InPlace::new(&RealDisk, &[a]).unwrap();
    let error = InPlace::new(&RealDisk, std::slice::from_ref(&b)).map(drop).unwrap_err();
    assert_eq!(error.exit_code(), crate::migration::exit::TEMPORARY);
    drop(first);
    assert_eq!(upgrade_in_place(&[b]).upgraded, 1);
}

#[test]
fn a_file_with_several_names_is_refused() {
    let files = Files::new();
    let path = files.write("a.json", OLD);
    fs::hard_link(&path, files.0.path().join("second")).unwrap();
    let report = upgrade_in_place(&[path]);
    assert!(report.files[0].reason.as_ref().unwrap().starts_with("it has 2 names"));
    assert_eq!((files.read("a.json").as_str(), files.names()), (OLD, 2));
}

/// Requests in every layout, with and without a policy and modes.
fn any_request() -> impl Strategy<Value = String> {
    let mode = || prop_oneof![Just(None), Just(Some("turbo")), Just(Some("repro"))];
    let blank = || "[ \n\t]{0,3}";
    let other = prop_oneof![
        Just(r#""n":1.50e+2"#),
        Just(r#""env":{ "A" : "\u00e9" }"#),
        Just(r#""s":"}\"{,:""#),
        Just(r#""l":[ ]"#)
    ];
    (mode(), mode(), any::<bool>(), proptest::collection::vec(other, 0..2), blank(), blank(), 0..5_usize).prop_map(
        |(inside, outside, has_policy, others, first, second, turn)| {
            let mut members: Vec<String> = others.into_iter().map(str::to_owned).collect();
            members.push(format!("\"command\"{second}:{first}\"a\""));
            if let Some(mode) = outside {
                members.push(format!("\"scheduler_mode\":{second}\"{mode}\""));
            }
            if has_policy {
                let inside =
                    inside.map_or_else(String::new, |mode| format!("\"scheduler_mode\"{first}:\"{mode}\"{second}"));
                members.push(format!("\"policy\":{{{first}{inside}}}"));
            }
            let len = members.len();
            members.rotate_left(turn % len);
            format!("{first}{{{second}{}{first}}}{second}", members.join(&format!("{first},{second}")))
        },
    )
}

/// Values by path, for comparison with another parser's eyes.
fn without_modes(text: &str) -> serde_json::Value {
    let mut value: serde_json::Value = serde_json::from_str(text).unwrap();
    let members = value.as_object_mut().unwrap();
    members.remove("scheduler_mode");
    if let Some(policy) = members.get_mut("policy") {
        policy.as_object_mut().unwrap().remove("scheduler_mode");
        if policy.as_object().unwrap().is_empty() {
            members.remove("policy");
        }
    }
    value
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_upgraded_or_refused(bytes: Vec<u8>, text in any_request(), at: usize, byte: u8) {
        let _ = upgrade(&bytes, MOVING);
        let mut damaged = text.into_bytes();
        let at = at % damaged.len();
        damaged[at] = byte;
        if let Ok(once) = upgrade(&damaged, MOVING) {
            prop_assert_eq!(upgrade(&once.text, MOVING).unwrap().changes, []);
        }
    }

    #[test]
    fn an_upgrade_changes_nothing_else_and_is_its_own_upgrade(text in any_request(), moving: bool) {
        let options = if moving { MOVING } else { PLAIN };
        let Ok(once) = upgrade(text.as_bytes(), options) else {
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert!(moving && value["scheduler_mode"] != value["policy"]["scheduler_mode"]);
            return Ok(());
        };
        let after = String::from_utf8(once.text.clone()).unwrap();
        prop_assert_eq!(without_modes(&after), without_modes(&text));
        let value: serde_json::Value = serde_json::from_str(&after).unwrap();
        prop_assert!(value["policy"]["scheduler_mode"].is_string());
        prop_assert!(!moving || value.get("scheduler_mode").is_none());
        if !moving {
            prop_assert_eq!(once.digest_before, once.digest_after);
            // What was there is there still, in its order: only one piece was put in.
            let common = text.bytes().zip(after.bytes()).take_while(|(a, b)| a == b).count();
            prop_assert_eq!(&after[after.len() - (text.len() - common)..], &text[common..]);
        }
        let twice = upgrade(&once.text, options).unwrap();
        prop_assert_eq!(twice.text, once.text);
        prop_assert_eq!(twice.changes, []);
    }
}
