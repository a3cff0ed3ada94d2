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
    below(path, "old")
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

/// Removes the state of the first run and its source, as an operator does who keeps the store and begins another
/// migration into it. The store then has the only copy of its objects.
fn forget_run(prepared: &Path) {
    fs::remove_dir_all(prepared.join("new.migration")).expect("the state of a run");
    fs::remove_dir_all(prepared.join("other")).expect("the source of a run");
}

fn is_blob(path: &str) -> bool {
    below(path, "new/objects") && !path.ends_with(".meta")
}

/// Manifests that a migration replaces.
fn is_manifest(path: &str) -> bool {
    path.ends_with("/manifest.json")
}

/// Manifests as they were before a migration.
fn is_backup(path: &str) -> bool {
    path.ends_with(".backup")
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

/// Migrations that leave no rows.
fn chain(prepared: &Path) {
    fs::create_dir(prepared.join("m")).expect("a directory");
    for (name, text) in [
        (
            "001_t.sql",
            "CREATE TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT, b TEXT);\nINSERT INTO t (b) VALUES ('x');\nDELETE FROM t;\n",
        ),
        ("002_i.sql", "CREATE INDEX i ON t (b);\nCREATE VIEW v AS SELECT b FROM t;\n"),
        ("003_u.sql", "CREATE TABLE u (a INTEGER REFERENCES t);\nALTER TABLE u RENAME COLUMN a TO c;\n"),
    ] {
        fs::write(prepared.join("m").join(name), text).expect("a file");
    }
}

const SQUASHED: &str = "m/003_squashed.sql";

const DUMP: &str = "db dump --database sqlite:a.db";

/// What most scenes have, by noun.
const OF_SPACE: Script = Script {
    name: "",
    noun: "space",
    prepare: &[SPACE, SPACE_MIGRATE],
    also: nothing,
    command: |_| SPACE_MIGRATE.into(),
    again: None,
    is_result: of_space,
    is_source: of_log,
    probe: None,
    may_stay: false,
    is_kept: none,
};
const OF_CAS: Script = Script {
    noun: "cas",
    prepare: &[OLD, CAS_MIGRATE],
    command: |_| CAS_MIGRATE.into(),
    is_result: of_new,
    is_source: of_old,
    ..OF_SPACE
};
const OF_MANIFESTS: Script = Script {
    noun: "manifest",
    prepare: &[MANIFESTS],
    command: |_| MANIFEST_MIGRATE.into(),
    is_result: of_artifacts,
    is_source: none,
    ..OF_SPACE
};
const OF_DATABASE: Script = Script {
    noun: "db",
    prepare: &[],
    also: migrations,
    is_result: none,
    is_source: |path| below(path, "m"),
    probe: Some(DUMP),
    ..OF_SPACE
};

pub const ALL: &[Script] = &[
    Script { name: "space-migrate", prepare: &[SPACE], ..OF_SPACE },
    Script {
        name: "space-restart",
        command: |_| format!("{SPACE_MIGRATE} --restart --yes"),
        again: Some(SPACE_MIGRATE),
        may_stay: true,
        ..OF_SPACE
    },
    Script { name: "space-rollback", command: |_| "space rollback ./s --yes".into(), ..OF_SPACE },
    Script {
        name: "space-publish",
        prepare: &[SPACE, SPACE_MIGRATE, "space rollback ./s --yes"],
        command: |_| "space publish ./s".into(),
        ..OF_SPACE
    },
    Script {
        name: "space-export",
        command: |_| "space export ./s --to out".into(),
        is_result: |path| below(path, "out"),
        is_source: of_space,
        ..OF_SPACE
    },
    Script { name: "cas-migrate", prepare: &[OLD], ..OF_CAS },
    Script {
        name: "cas-merge",
        prepare: &[OLD, OTHER, OTHER_MIGRATE],
        also: forget_run,
        command: |_| format!("{CAS_MIGRATE} --merge"),
        is_kept: is_blob,
        ..OF_CAS
    },
    Script {
        name: "cas-replace",
        prepare: &[OLD, OTHER, OTHER_MIGRATE],
        also: forget_run,
        command: |_| format!("{CAS_MIGRATE} --replace"),
        is_kept: is_blob,
        ..OF_CAS
    },
    Script { name: "cas-rollback", command: |_| "cas rollback new --yes".into(), ..OF_CAS },
    Script {
        name: "cas-put",
        also: content,
        command: |_| "cas put new content --created-at 7".into(),
        is_kept: is_blob,
        ..OF_CAS
    },
    Script {
        name: "cas-references",
        also: references,
        command: |_| "cas rewrite-refs --map new.migration/key-map.tsv refs --yes".into(),
        is_result: of_references,
        ..OF_CAS
    },
    Script { name: "manifest-migrate", is_kept: is_manifest, ..OF_MANIFESTS },
    Script {
        name: "manifest-rollback",
        prepare: &[MANIFESTS, MANIFEST_MIGRATE],
        command: |work| format!("manifest rollback app --run {} --yes", last_run(work)),
        is_kept: is_backup,
        ..OF_MANIFESTS
    },
    Script {
        name: "db-migrate",
        command: |_| "db migrate --create --database sqlite:a.db --dir m --yes".into(),
        ..OF_DATABASE
    },
    Script {
        name: "db-migrate-to",
        command: |_| "db migrate --create --database sqlite:a.db --dir m --to 002 --yes".into(),
        ..OF_DATABASE
    },
    Script {
        name: "db-squash",
        also: chain,
        command: |_| "db squash --database sqlite:a.db --dir m --to 003".into(),
        is_result: |path| path == "m" || path == SQUASHED,
        // What is half written has a name that is not read.
        is_source: |path| path == "m" || (path.starts_with("m/0") && path != SQUASHED),
        probe: None,
        ..OF_DATABASE
    },
];
