//! Every published case of the manifest migration through the real binary, in its three modes.

use std::fs;
use std::path::Path;

use crate::support::conformance::conformance;
use crate::support::haul::Done;
use crate::support::manifest::{Files, NOW, Root};
use serde_json::Value;

const MODES: [(&str, &[&str]); 3] = [
    ("compat", &["--compat"]),
    ("strict", &[]),
    ("strict_relaxed", &["--shape", "any", "--accept-incomplete", "--assume-version", "1.0.0"]),
];

fn copy_directory(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

struct Case<'a> {
    data: &'a Path,
    case: &'a Value,
    expect: &'a Value,
    file: &'a str,
    about: String,
}

impl Case<'_> {
    fn run(&self, root: &Root, flags: &[&str]) -> Done {
        let manifest = format!("artifacts/{}", self.file);
        let mut arguments = vec!["--manifest", &manifest];
        if let Some(target) = self.case["target"].as_str() {
            arguments.extend(["--target-version", target]);
        }
        if self.case["dry_run"] == true {
            arguments.push("--dry-run");
        }
        root.migrate(&[&arguments[..], flags].concat())
    }

    fn check(&self, before: &Files, after: &Files, done: &Done) {
        let about = &self.about;
        let of = |files: &Files| files[Path::new(self.file)].0.clone();
        let (old, new) = (of(before), of(after));
        let out = fs::read(self.data.join("out").join(self.name()).join(self.file));
        match self.expect["manifest"].as_str().unwrap() {
            "equal_out" => assert_eq!(new, out.unwrap(), "{about}"),
            "out_plus_newline" => assert_eq!(new, [out.unwrap(), b"\n".to_vec()].concat(), "{about}"),
            "unchanged" => assert_eq!(new, old, "{about}"),
            _ => assert_ne!(new, old, "{about}"),
        }
        let added: Vec<_> = after.iter().filter(|(path, _)| !before.contains_key(*path)).collect();
        if self.expect["backup"] == "none" {
            assert!(added.is_empty(), "{about}: {added:?}");
        } else {
            assert_eq!(added.len(), 1, "{about}");
            assert_eq!(*added[0].1, before[Path::new(self.file)], "{about}: bytes and mode of the backup");
        }
        let kept = before.iter().filter(|(path, _)| **path != *Path::new(self.file));
        kept.for_each(|(path, file)| assert_eq!(after.get(path), Some(file), "{about}"));
        if let Some(code) = self.expect["code"].as_str() {
            assert_eq!(done.codes(), [code], "{about}");
        }
        if let Some(exit) = self.expect["exit"].as_i64() {
            assert_eq!(i64::from(done.code), exit, "{about}");
        }
    }

    fn name(&self) -> &str {
        self.case["name"].as_str().unwrap()
    }
}

#[test]
#[ignore = "needs the conformance data"]
fn every_case_ends_as_the_index_says_and_a_second_run_changes_nothing() {
    let data = conformance("sigilzero");
    let index: Value = serde_json::from_slice(&fs::read(data.join("index.json")).unwrap()).unwrap();
    assert_eq!(index["frozen_clock"], NOW);
    let mut checked = 0;
    for case in index["cases"].as_array().unwrap() {
        for (mode, flags) in MODES {
            let expect = &case["expect"][mode];
            if expect.is_null() {
                continue;
            }
            let root = Root::new();
            let about = format!("{} {mode}", case["name"]);
            let case = Case { data: &data, case, expect, file: case["file"].as_str().unwrap(), about };
            copy_directory(&data.join("in").join(case.name()), &root.artifacts());
            let before = root.files();
            let done = case.run(&root, flags);
            let after = root.files();
            case.check(&before, &after, &done);
            case.run(&root, flags);
            assert_eq!(root.files(), after, "{}: again", case.about);
            checked += 1;
        }
    }
    assert!(checked > 180, "{checked} cases");
}
