//! Several processes at the same files: one works, the others wait or end with 75, and nothing is lost.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::haul::{Done, HAUL};
use crate::support::manifest_files::manifest;
use haul::cas::references::{BACKUP_SUFFIX, DiskReplacer, FileSource, Original, Packed, RealFileSource, Rewrite};
use haul::durable::{DiskEntry, DiskError, EntryKind, RealDisk};
use haul::migration::{DIRECTORY_LOCK, DirectoryLocks, Error, RunDirectory, exit};

/// A directory for the processes of a test.
struct Scene(tempfile::TempDir);

impl Scene {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(HAUL);
        command.args(arguments).args(["--progress", "none"]).current_dir(self.path()).env("NO_COLOR", "1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Done {
        Done::of(self.command(arguments).output().expect("the binary runs"))
    }

    /// Runs several commands at once.
    fn at_once(&self, commands: &[&[&str]]) -> Vec<Done> {
        let children: Vec<Child> = commands.iter().map(|command| self.command(command).spawn().unwrap()).collect();
        children.into_iter().map(|child| Done::of(child.wait_with_output().unwrap())).collect()
    }

    /// Migrates a store of five objects, and returns an old key with its new one.
    fn migrated(&self) -> (String, String) {
        let generate = ["cas", "generate", "old", "--objects", "5", "--generation", "v0.2", "--seed", "2"];
        self.run(&generate).expect(0);
        self.run(&["cas", "migrate", "--source", "old", "--target", "new"]).expect(0);
        let map = fs::read_to_string(self.path().join(MAP)).unwrap();
        let row: Vec<_> = map.lines().nth(1).unwrap().split('\t').collect();
        (row[0].to_owned(), row[2].to_owned())
    }

    fn write_references(&self, directory: &str, files: u32, key: &str) {
        fs::create_dir_all(self.path().join(directory)).unwrap();
        for number in 0..files {
            fs::write(self.path().join(format!("{directory}/{number}.json")), reference(key, number)).unwrap();
        }
    }

    fn names(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path().join(directory)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

const MAP: &str = "new.migration/key-map.tsv";

fn reference(key: &str, number: u32) -> String {
    format!("{{\"d\":\"{key}\",\"n\":{number}}}")
}

fn rewrite(directory: &str) -> Vec<&str> {
    vec!["cas", "rewrite-refs", "--map", MAP, "--yes", directory]
}

/// Fails unless each ended with 0, or with 75 and the name of another process.
fn check_ends(ends: &[Done]) {
    for end in ends {
        assert!(end.code == 0 || end.code == 75, "{}: {}", end.code, end.stderr);
        assert!(end.code == 0 || end.stderr.contains("another run is active: pid "), "{}", end.stderr);
    }
    assert!(ends.iter().any(|end| end.code == 0), "one of them works");
}

#[test]
fn rewrites_of_one_directory_never_lose_a_file_or_a_backup() {
    let scene = Scene::new();
    let (old, new) = scene.migrated();
    for round in 0..3 {
        let directory = format!("refs{round}");
        scene.write_references(&directory, 200, &old);
        let command = rewrite(&directory);
        check_ends(&scene.at_once(&[&command, &command, &command]));
        for number in 0..200 {
            let file = scene.path().join(format!("{directory}/{number}.json"));
            assert_eq!(fs::read_to_string(&file).unwrap(), reference(&new, number));
            let backup = file.with_extension("json.haul-backup");
            assert_eq!(fs::read_to_string(backup).unwrap(), reference(&old, number));
        }
        assert_eq!(scene.names(&directory).len(), 400, "no lock and no temporary file is left");
    }
}

#[test]
fn a_rewrite_waits_for_one_above_or_below_if_it_may() {
    let scene = Scene::new();
    let (old, new) = scene.migrated();
    scene.write_references("refs", 150, &old);
    scene.write_references("refs/below", 150, &old);
    let waiting = |directory| [&rewrite(directory)[..], &["--wait", "60"]].concat();
    let (above, below) = (waiting("refs"), waiting("refs/below"));
    for end in scene.at_once(&[&above, &below, &above]) {
        end.expect(0);
    }
    for directory in ["refs", "refs/below"] {
        for number in 0..150 {
            let file = scene.path().join(format!("{directory}/{number}.json"));
            assert_eq!(fs::read_to_string(file).unwrap(), reference(&new, number));
        }
    }
}

/// The files of the system. When the directory `at` is listed for the first time, another run begins in it.
struct LateNeighbour {
    at: PathBuf,
    held: RefCell<Option<DirectoryLocks<'static>>>,
}

impl FileSource for LateNeighbour {
    fn list(&self, directory: &Path) -> Result<Vec<DiskEntry>, DiskError> {
        if directory == self.at && self.held.borrow().is_none() {
            let locks = DirectoryLocks::take(&RealDisk, std::slice::from_ref(&self.at));
            *self.held.borrow_mut() = Some(locks.expect("nobody is here yet"));
        }
        RealFileSource.list(directory)
    }

    fn kind(&self, path: &Path) -> Result<Option<EntryKind>, DiskError> {
        RealFileSource.kind(path)
    }

    fn canonical(&self, path: &Path) -> PathBuf {
        RealFileSource.canonical(path)
    }

    fn open(&self, path: &Path) -> Result<Box<dyn Original>, DiskError> {
        RealFileSource.open(path)
    }
}

#[test]
fn a_rewrite_that_begins_below_while_another_looks_around_is_waited_for() {
    let scene = Scene::new();
    let above = scene.path().canonicalize().unwrap();
    let below = above.join("below");
    fs::create_dir(&below).unwrap();
    let files = LateNeighbour { at: below, held: RefCell::default() };
    let (replacer, packed) = (DiskReplacer(&RealDisk), Packed::default());
    let rewrite = Rewrite { files: &files, replacer: &replacer, backup_suffix: BACKUP_SUFFIX, excluded: &[], packed };
    let named = [above.clone()];
    // Before anything is done, so that the command can wait and begin again.
    assert!(matches!(rewrite.begin(&named), Err(Error::Locked { .. })));
    assert!(!above.join(DIRECTORY_LOCK).exists(), "it waits without its own lock");
    files.held.replace(Some(DirectoryLocks::none()));
    assert!(rewrite.begin(&named).is_ok());
}

#[test]
fn what_a_killed_rewrite_left_is_removed_by_the_next() {
    let scene = Scene::new();
    let (old, _) = scene.migrated();
    scene.write_references("refs", 3, &old);
    let leftover = haul::durable::temporary_name_under_lock(&scene.path().join("refs/0.json"));
    fs::write(&leftover, "half").unwrap();
    fs::write(scene.path().join("refs/.mine.tmp"), "of another program").unwrap();
    fs::write(scene.path().join("refs/.haul.lock"), "pid 1 on a host that was switched off").unwrap();
    scene.run(&rewrite("refs")).expect(0);
    assert!(!leftover.exists() && scene.path().join("refs/.mine.tmp").exists());
    assert_eq!(scene.names("refs").len(), 3 + 3 + 1);
}

#[test]
fn two_first_runs_of_a_migration_end_with_0_or_75() {
    let scene = Scene::new();
    let generate = ["cas", "generate", "old", "--objects", "20", "--generation", "v0.2", "--seed", "1"];
    scene.run(&generate).expect(0);
    for round in 0..10 {
        let target = format!("{round}/new");
        fs::create_dir(scene.path().join(round.to_string())).unwrap();
        let command = ["cas", "migrate", "--source", "old", "--target", &target];
        check_ends(&scene.at_once(&[&command, &command, &command]));
        scene.run(&["cas", "verify", &target]).expect(0);
    }
}

#[test]
fn puts_wait_for_each_other() {
    let scene = Scene::new();
    let files: Vec<String> = (0..8).map(|number| format!("f{number}")).collect();
    for file in &files {
        fs::write(scene.path().join(file), file).unwrap();
    }
    let commands: Vec<[&str; 4]> = files.iter().map(|file| ["cas", "put", "store", file]).collect();
    for end in scene.at_once(&commands.iter().map(|command| &command[..]).collect::<Vec<_>>()) {
        end.expect(0);
    }
    let document = scene.run(&["cas", "verify", "store", "--json"]).expect(0).json();
    assert_eq!(document["objects"], 8);
}

#[test]
fn without_time_to_wait_a_put_names_the_run_that_is_active() {
    let scene = Scene::new();
    fs::write(scene.path().join("f"), "content").unwrap();
    scene.run(&["cas", "put", "store", "f"]).expect(0);
    let run = haul::migration::RunDirectory::new(scene.path().join("store.migration"));
    let held = run.lock(&haul::durable::RealDisk).unwrap();
    let done = scene.run(&["cas", "put", "store", "f", "--wait", "0"]).expect(75);
    assert!(done.stderr.contains(&format!("another run is active: pid {} on ", std::process::id())), "{}", done.stderr);
    drop(held);
    scene.run(&["cas", "put", "store", "f", "--wait", "0"]).expect(0);
}

#[test]
fn request_upgrades_at_once_keep_every_original() {
    let scene = Scene::new();
    let request = |number: u32| format!("{{\"command\":\"{number}\"}}");
    let names: Vec<String> = (0..60).map(|number| format!("requests/{number}.json")).collect();
    fs::create_dir(scene.path().join("requests")).unwrap();
    for (name, number) in names.iter().zip(0..) {
        fs::write(scene.path().join(name), request(number)).unwrap();
    }
    for options in [&["--in-place"][..], &["--out-dir", "out"]] {
        let mut command = vec!["cas", "request-upgrade"];
        command.extend(options);
        command.extend(names.iter().map(String::as_str));
        check_ends(&scene.at_once(&[&command, &command, &command]));
    }
    for (name, number) in names.iter().zip(0..) {
        assert_eq!(fs::read_to_string(scene.path().join(format!("{name}.haul-backup"))).unwrap(), request(number));
        assert!(fs::read_to_string(scene.path().join(name)).unwrap().contains("scheduler_mode"));
    }
    assert_eq!((scene.names("requests").len(), scene.names("out").len()), (120, 60));
}

#[test]
fn gets_into_one_file_and_one_report_for_two_runs_lose_nothing() {
    let scene = Scene::new();
    let (old, new) = scene.migrated();
    let get = ["cas", "get", "new", &new, "--out", "content"];
    for end in scene.at_once(&[&get, &get, &get, &get]) {
        end.expect(0);
    }
    assert!(scene.names(".").iter().all(|name| !name.ends_with(".tmp")), "{:?}", scene.names("."));
    scene.write_references("a", 50, &old);
    scene.write_references("b", 50, &old);
    let with_report = |directory| [&rewrite(directory)[..], &["--report", "report.jsonl"]].concat();
    let (a, b) = (with_report("a"), with_report("b"));
    let mut codes: Vec<_> = scene.at_once(&[&a, &b]).iter().map(|end| end.code).collect();
    codes.sort_unstable();
    assert_eq!(codes, [0, 2], "the report of one is not that of the other");
}

#[test]
fn manifests_that_are_written_at_once_are_whole() {
    let scene = Scene::new();
    let directory = scene.path().join("app/artifacts/job/run");
    fs::create_dir_all(&directory).unwrap();
    let texts: Vec<PathBuf> = (0..4)
        .map(|number| {
            let path = scene.path().join(format!("{number}.json"));
            let text = manifest("job", "run", "1.2.0").replacen('{', &format!("{{\"number\":{number},"), 1);
            fs::write(&path, text).unwrap();
            path
        })
        .collect();
    for _ in 0..5 {
        let write = |text: &PathBuf| {
            let mut command = scene.command(&["manifest", "write", "app/artifacts/job/run/manifest.json"]);
            command.stdin(fs::File::open(text).unwrap()).spawn().unwrap()
        };
        let children: Vec<Child> = texts.iter().map(write).collect();
        for child in children {
            Done::of(child.wait_with_output().unwrap()).expect(0);
        }
        let found = fs::read(directory.join("manifest.json")).unwrap();
        assert!(serde_json::from_slice::<serde_json::Value>(&found).unwrap()["number"].is_u64());
        assert_eq!(scene.names("app/artifacts/job/run"), ["manifest.json"]);
    }
    assert_eq!(scene.names("app"), ["artifacts"], "a lock that was held for a moment leaves nothing");
}

#[test]
fn two_first_runs_over_manifests_end_with_0_or_75() {
    let scene = Scene::new();
    for round in 0..5 {
        let app = format!("app{round}");
        scene.run(&["manifest", "generate", &app, "--manifests", "20", "--seed", "1"]).expect(0);
        let command = ["manifest", "migrate", &app];
        check_ends(&scene.at_once(&[&command, &command, &command]));
    }
}

#[test]
fn a_path_that_is_missing_is_a_wrong_argument_everywhere() {
    let scene = Scene::new();
    for command in [
        &["cas", "put", "store", "absent"][..],
        &["cas", "rewrite-refs", "--map", "absent", "--yes", "."],
        &["cas", "rewrite-refs", "--map", MAP, "--yes", "absent"],
    ] {
        let done = scene.run(command).expect(2);
        assert!(done.stderr.contains(" does not exist\nnext: name "), "{}", done.stderr);
    }
    assert!(scene.names(".").is_empty());
}

#[test]
#[ignore = "needs root"]
fn owner_and_mode_of_rewritten_files_stay_as_root() {
    let scene = Scene::new();
    let (old, _) = scene.migrated();
    scene.write_references("refs", 1, &old);
    let path = scene.path().join("refs/0.json");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    chown(&path, Some(12345), Some(12346)).unwrap();
    scene.run(&rewrite("refs")).expect(0);
    let mut found = BTreeMap::new();
    for name in scene.names("refs") {
        let metadata = fs::metadata(scene.path().join("refs").join(&name)).unwrap();
        found.insert(name, (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777));
    }
    let kept = (12345, 12346, 0o640);
    assert_eq!(found, BTreeMap::from([("0.json".into(), kept), ("0.json.haul-backup".into(), kept)]));
}

/// Also where it has found what the other one has written so far.
#[test]
fn a_generator_that_meets_another_one_names_it() {
    let scene = Scene::new();
    for generate in
        ["cas generate old --objects 3", "space generate log --nodes 3", "manifest generate app --manifests 3"]
    {
        let words: Vec<_> = generate.split(' ').chain(["--seed", "1"]).collect();
        scene.run(&words).expect(0);
        let made = scene.path().join(words[2]);
        assert!(!made.join("migration").exists(), "{generate}: nothing is left of the lock");
        let lock = RunDirectory::new(made.join("migration")).create_and_lock(&RealDisk).unwrap();
        let other = scene.run(&words).expect(75);
        assert!(other.stderr.contains("another run is active: pid "), "{generate}: {}", other.stderr);
        drop(lock);
        let code = scene.run(&words).code;
        assert!([exit::USAGE.into(), exit::CONFLICT.into()].contains(&code), "{generate}: {code}, it is not empty");
    }
}
