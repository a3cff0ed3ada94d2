//! Bounds of the binary: what one document may take of the memory, and who may read what is made of a tree.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::haul::{Done, HAUL};
use crate::support::manifest::Root;
use crate::support::manifest_files::manifest;
use serde_json::json;

/// A valid manifest with many values, which take many times the bytes of the text.
fn many_values(job: &str, run: &str, values: usize) -> String {
    let list = format!(", \"list\": [{}{{}}]}}", "{},".repeat(values));
    manifest(job, run, "1.0.0").strip_suffix('}').unwrap().to_owned() + &list
}

fn too_large(root: &Root) -> String {
    root.put_bytes("job", "many", many_values("job", "many", 20_000).as_bytes()).display().to_string()
}

/// Runs the command with a limit on its address space, as a service or a container sets it.
fn limited(root: &Root, verb: &str, arguments: &[&str]) -> Done {
    let command = root.command(verb, arguments);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "ulimit -v 1000000; exec \"$@\"", "sh", HAUL]).args(command.get_args());
    Done::of(shell.output().expect("the binary runs"))
}

#[test]
fn a_document_that_does_not_fit_is_refused_by_a_code_and_the_tree_goes_on() {
    let root = Root::new();
    too_large(&root);
    root.put("job", "small");
    for arguments in [&["--dry-run"][..], &[]] {
        let done = root.migrate(&[arguments, &["--memory-budget-mb", "2"]].concat()).expect(3);
        assert_eq!((done.codes(), &done.json()["counts"]["migrated"]), (vec!["E_TOO_LARGE".to_owned()], &json!(1)));
    }
    let plan = root.haul("plan", &["--json", "--memory-budget-mb", "2"]).expect(0);
    assert_eq!(plan.codes(), ["E_TOO_LARGE"]);
    let verified = root.haul("verify", &["--json", "--memory-budget-mb", "2"]).expect(65).json();
    assert_eq!(verified["findings"][0]["code"], "E_TOO_LARGE");
    let indexed = root.haul("reindex", &["--rows", "jsonl", "--memory-budget-mb", "2"]).expect(0);
    assert_eq!(indexed.stdout.lines().count(), 1);
    let index = root.path().join("index.db").display().to_string();
    let indexed = root.haul("reindex", &["--sqlite", &index, "--json", "--memory-budget-mb", "2"]).expect(0).json();
    assert_eq!(
        (&indexed["rows"], &indexed["left_out_paths"]),
        (&json!(1), &json!(["artifacts/job/many/manifest.json"]))
    );
    root.migrate(&[]).expect(0);
    root.haul("verify", &[]).expect(0);
    assert_eq!(root.haul("reindex", &["--rows", "jsonl"]).expect(0).stdout.lines().count(), 2);
}

#[test]
fn commands_on_one_document_have_the_same_bound() {
    let root = Root::new();
    let path = too_large(&root);
    let place = crate::support::place::Place::new();
    for verb in ["validate", "read"] {
        let done = place.run(&["manifest", verb, &path, "--memory-budget-mb", "2"]).expect(65);
        assert!((done.stdout + &done.stderr).contains("E_TOO_LARGE"), "{verb}");
        place.run(&["manifest", verb, &path]).expect(0);
    }
    for (budget, code) in [("2", 65), ("512", 0)] {
        let target = root.path().join(format!("new-{budget}.json")).display().to_string();
        let mut command = place.command(&["manifest", "write", &target, "--memory-budget-mb", budget]);
        let done = Done::of(command.stdin(fs::File::open(&path).unwrap()).output().unwrap()).expect(code);
        assert_eq!(done.stderr.contains("E_TOO_LARGE"), code > 0, "{}", done.stderr);
    }
}

/// A sparse file claims any length, and deep nesting makes much of little: neither may end the process.
#[test]
fn a_limit_on_the_address_space_does_not_abort_a_run() {
    let root = Root::new();
    let sparse = root.put_bytes("job", "a", b"");
    fs::File::options().write(true).open(sparse).unwrap().set_len(3 << 30).unwrap();
    let deep = format!(", \"d\": {}{}1{}}}", "[".repeat(990), "1,".repeat(30_000), "]".repeat(990));
    root.put_bytes(
        "job",
        "b",
        (manifest("job", "b", "1.0.0").strip_suffix('}').unwrap().to_owned() + &deep).as_bytes(),
    );
    root.put_bytes("job", "c", &[b'['; 1 << 20]);
    root.put("job", "d");
    let done = limited(&root, "migrate", &["--json", "--memory-budget-mb", "64"]).expect(3);
    assert_eq!(
        (done.codes().join(" "), &done.json()["counts"]["migrated"]),
        ("E_TOO_LARGE E_TOO_LARGE E_DEPTH".to_owned(), &json!(1))
    );
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn an_index_is_as_readable_as_its_least_readable_manifest() {
    let root = Root::new();
    set_mode(root.path(), 0o755);
    let (first, second) = (root.put("job", "a"), root.put("job", "b"));
    let index = root.path().join("index.db");
    let reindex = || root.haul("reindex", &["--sqlite", index.to_str().unwrap()]).expect(0);
    set_mode(&first, 0o644);
    set_mode(&second, 0o640);
    reindex();
    assert_eq!(mode(&index) & !0o640, 0);
    set_mode(&index, 0o664);
    reindex();
    assert_eq!(mode(&index), 0o640);
    set_mode(&first, 0o600);
    reindex();
    assert_eq!(mode(&index), 0o600);
    fs::remove_file(&index).unwrap();
    reindex();
    assert_eq!(mode(&index), 0o600);
    // A directory that nobody else may enter counts like the files in it.
    [&first, &second].iter().for_each(|path| set_mode(path, 0o644));
    set_mode(first.parent().unwrap(), 0o700);
    fs::remove_file(&index).unwrap();
    reindex();
    assert_eq!(mode(&index), 0o600);
    assert_eq!(root.path().read_dir().unwrap().count(), 2, "nothing is left next to it");
}

#[test]
fn what_commands_add_to_a_run_directory_is_as_private_as_the_tree() {
    let root = Root::new();
    root.put("job", "a");
    set_mode(&root.artifacts(), 0o700);
    root.migrate(&[]).expect(0);
    fs::remove_file(root.path().join("migration/journal.jsonl")).unwrap();
    root.haul("verify", &[]).expect(0);
    root.haul("rollback", &["--run", "last", "--yes"]).expect(0);
    for entry in fs::read_dir(root.path().join("migration")).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path) & 0o077, 0, "{}", path.display());
    }
}
