//! The scenes: every verb that writes.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::scene::Script;

const SPACE: &str = "space generate ./s --nodes 60 --seed 7 --files 3";
const SPACE_MIGRATE: &str = "space migrate ./s --batch-size 10 --checkpoint-interval 20 --parallel-workers 1";
const OLD: &str = "cas generate old --objects 40 --generation v0.5 --seed 1";
const CAS_MIGRATE: &str =
    "cas migrate --source old --target new --batch-size 10 --checkpoint-interval 20 --parallel-workers 1";
const OTHER: &str = "cas generate other --objects 15 --generation v0.2 --seed 2";
const OTHER_MIGRATE: &str = "cas migrate --source other --target new";
const MANIFESTS: &str = "manifest generate app --manifests 30 --seed 7";
const MANIFEST_MIGRATE: &str = "manifest migrate app --now 2026-01-02T03:04:05Z --batch-size 5 --parallel-workers 1";

fn nothing(_: &Path) {}

fn none(_: &str) -> bool {
    false
}

fn below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn of_space(path: &str) -> bool {
    below(path, "s") && !below(path, "s/migration")
}

fn of_log(path: &str) -> bool {
    path == "s" || below(path, "s/wal")
}

fn of_new(path: &str) -> bool {
    below(path, "new")
}

fn of_old(path: &str) -> bool {
    below(path, "old") || below(path, "other")
}

fn of_artifacts(path: &str) -> bool {
    path == "app" || below(path, "app/artifacts")
}

fn of_references(path: &str) -> bool {
    below(path, "refs")
}

/// Returns the id of the last run of `app`.
fn last_run(work: &Path) -> String {
    let report = fs::read(work.join("app/migration/report.json")).expect("a report");
    let report: Value = serde_json::from_slice(&report).expect("JSON");
    report["run_id"].as_str().expect("an id").to_owned()
}

/// Ten files that name objects by their old keys.
fn references(prepared: &Path) {
    let map = fs::read_to_string(prepared.join("new.migration/key-map.tsv")).expect("a map");
    let keys: Vec<_> = map.lines().skip(1).filter_map(|line| line.split('\t').next()).collect();
    fs::create_dir(prepared.join("refs")).expect("a directory");
    for (number, key) in keys.iter().take(10).enumerate() {
        fs::write(prepared.join(format!("refs/{number}.json")), format!("{{\"blob\":\"{key}\"}}")).expect("a file");
    }
}

/// Removes the state of the first run, as an operator does who keeps the store and begins another migration into it.
fn forget_run(prepared: &Path) {
    fs::remove_dir_all(prepared.join("new.migration")).expect("the state of a run");
}

fn content(prepared: &Path) {
    fs::write(prepared.join("content"), "a content that no generated object has").expect("a file");
}

fn migrations(prepared: &Path) {
    fs::create_dir(prepared.join("m")).expect("a directory");
    for number in 1..=4 {
        let text = format!(
            "-- Up\nCREATE TABLE t{number} (a INTEGER PRIMARY KEY, b TEXT);\nINSERT INTO t{number} (b) VALUES ('x'), ('y');\n\n-- Down\nDROP TABLE t{number};\n"
        );
        fs::write(prepared.join(format!("m/00{number}_t.sql")), text).expect("a file");
    }
}

const DUMP: &str = "db dump --database sqlite:a.db";

pub const ALL: &[Script] = &[
    Script {
        name: "space-migrate",
        noun: "space",
        prepare: &[SPACE],
        also: nothing,
        command: |_| SPACE_MIGRATE.into(),
        again: None,
        is_result: of_space,
        is_source: of_log,
        probe: None,
        may_stay: false,
    },
    Script {
        name: "space-restart",
        noun: "space",
        prepare: &[SPACE, SPACE_MIGRATE],
        also: nothing,
        command: |_| format!("{SPACE_MIGRATE} --restart --yes"),
        again: Some(SPACE_MIGRATE),
        is_result: of_space,
        is_source: of_log,
        probe: None,
        may_stay: true,
    },
    Script {
        name: "space-rollback",
        noun: "space",
        prepare: &[SPACE, SPACE_MIGRATE],
        also: nothing,
        command: |_| "space rollback ./s --yes".into(),
        again: None,
        is_result: of_space,
        is_source: of_log,
        probe: None,
        may_stay: false,
    },
    Script {
        name: "space-publish",
        noun: "space",
        prepare: &[SPACE, SPACE_MIGRATE, "space rollback ./s --yes"],
        also: nothing,
        command: |_| "space publish ./s".into(),
        again: None,
        is_result: of_space,
        is_source: of_log,
        probe: None,
        may_stay: false,
    },
    Script {
        name: "space-export",
        noun: "space",
        prepare: &[SPACE, SPACE_MIGRATE],
        also: nothing,
        command: |_| "space export ./s --to out".into(),
        again: None,
        is_result: |path| below(path, "out"),
        is_source: of_space,
        probe: None,
        may_stay: false,
    },
    Script {
        name: "cas-migrate",
        noun: "cas",
        prepare: &[OLD],
        also: nothing,
        command: |_| CAS_MIGRATE.into(),
        again: None,
        is_result: of_new,
        is_source: of_old,
        probe: None,
        may_stay: false,
    },
    Script {
        name: "cas-merge",
        noun: "cas",
        prepare: &[OLD, OTHER, OTHER_MIGRATE],
        also: forget_run,
        command: |_| format!("{CAS_MIGRATE} --merge"),
        again: None,
        is_result: of_new,
        is_source: of_old,
        probe: None,
        may_stay: false,
    },
    Script {
        name: "cas-replace",
        noun: "cas",
        prepare: &[OLD, OTHER, OTHER_MIGRATE],
        also: forget_run,
        command: |_| format!("{CAS_MIGRATE} --replace"),
        again: None,
        is_result: of_new,
        is_source: of_old,
        probe: None,
        may_stay: false,
    },
    Script {
        name: "cas-rollback",
        noun: "cas",
        prepare: &[OLD, CAS_MIGRATE],
        also: nothing,
        command: |_| "cas rollback new --yes".into(),
        again: None,
        is_result: of_new,
        is_source: of_old,
        probe: None,
        may_stay: false,
    },
    Script {
        name: "cas-put",
        noun: "cas",
        prepare: &[OLD, CAS_MIGRATE],
        also: content,
        command: |_| "cas put new content --created-at 7".into(),
        again: None,
        is_result: of_new,
        is_source: of_old,
        probe: None,
        may_stay: false,
    },
    Script {
        name: "cas-references",
        noun: "cas",
        prepare: &[OLD, CAS_MIGRATE],
        also: references,
        command: |_| "cas rewrite-refs --map new.migration/key-map.tsv refs --yes".into(),
        again: None,
        is_result: of_references,
        is_source: of_old,
        probe: None,
        may_stay: false,
    },
    Script {
        name: "manifest-migrate",
        noun: "manifest",
        prepare: &[MANIFESTS],
        also: nothing,
        command: |_| MANIFEST_MIGRATE.into(),
        again: None,
        is_result: of_artifacts,
        is_source: none,
        probe: None,
        may_stay: false,
    },
    Script {
        name: "manifest-rollback",
        noun: "manifest",
        prepare: &[MANIFESTS, MANIFEST_MIGRATE],
        also: nothing,
        command: |work| format!("manifest rollback app --run {} --yes", last_run(work)),
        again: None,
        is_result: of_artifacts,
        is_source: none,
        probe: None,
        may_stay: false,
    },
    Script {
        name: "db-migrate",
        noun: "db",
        prepare: &[],
        also: migrations,
        command: |_| "db migrate --database sqlite:a.db --dir m --yes".into(),
        again: None,
        is_result: none,
        is_source: |path| below(path, "m"),
        probe: Some(DUMP),
        may_stay: false,
    },
    Script {
        name: "db-migrate-to",
        noun: "db",
        prepare: &[],
        also: migrations,
        command: |_| "db migrate --database sqlite:a.db --dir m --to 002 --yes".into(),
        again: None,
        is_result: none,
        is_source: |path| below(path, "m"),
        probe: Some(DUMP),
        may_stay: false,
    },
];
