//! The real binary under `kill -9`, in each part of its work. At whatever moment and however often it is killed, the
//! rerun gives
//! the bytes of an undisturbed run, and the source stays unchanged. `HAUL_KILL_SEED` chooses other moments.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::killing::{Moments, begins, haul, killed};
use crate::support::generated_store::{Made, assert_same, generated, generated_in, made, mixed};
use crate::support::old_store::OldStore;
use crate::support::seen::{Seen, seen};
use haul::cas::Key;
use haul::cas::paths::TargetPaths;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const KILLS: u32 = 50;
/// Contents of the source; a fifth of them are there twice.
const CONTENTS: u64 = 3_000;
/// Objects a second of a run that is to be killed: it takes three seconds.
const RATE: u64 = 1_200;

/// A source, a target next to it, and the target after an undisturbed run.
struct Scene {
    store: OldStore,
    /// `--merge` or `--replace` for a target where a store exists already.
    placement: Option<&'static str>,
    source: BTreeMap<PathBuf, Seen>,
    before: Made,
    after: Made,
    /// Every name in the run directory afterwards.
    kept: BTreeSet<PathBuf>,
}

impl Scene {
    fn new(contents: u64, placement: Option<&'static str>) -> Self {
        Self::of(generated(&mixed(contents, 12_000)), placement)
    }

    fn of(store: OldStore, placement: Option<&'static str>) -> Self {
        store.file(&format!("objects/88/88/{}", "8".repeat(64)), b"not what its name says");
        store.file("objects/.tmp_1", b"in flight");
        let source = store.seen();
        let (before, after, kept) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        let mut scene = Self { store, placement, source, before, after, kept };
        scene.prepare();
        scene.before = digests(scene.paths().target());
        expect(3, scene.migrate().output().unwrap());
        (scene.after, scene.kept) = (made(&scene.paths()), scene.names());
        scene.discard();
        scene
    }

    fn paths(&self) -> TargetPaths {
        self.store.paths()
    }

    fn migrate(&self) -> Command {
        let mut command = self.verb("migrate");
        command.arg("--source").arg(self.store.root()).arg("--target").arg(self.paths().target());
        command.args(["--checkpoint-interval", "200", "--batch-size", "50"]).args(self.placement);
        command
    }

    fn rollback(&self) -> Command {
        let mut command = self.verb("rollback");
        command.arg(self.paths().target()).arg("--yes");
        command
    }

    fn verb(&self, verb: &str) -> Command {
        let mut command = haul();
        command.args(["cas", verb, "--progress", "events", "--parallel-workers", "2"]);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// A slow run.
    fn slowly(&self) -> Child {
        self.migrate().args(["--rate-limit", &RATE.to_string()]).spawn().unwrap()
    }

    /// Puts the store for a merge or a replacement at the target path.
    fn prepare(&self) {
        if self.placement.is_none() {
            return;
        }
        let other = generated(&mixed(100, 2_000));
        expect(
            0,
            haul()
                .args(["cas", "migrate", "--source"])
                .arg(other.root())
                .arg("--target")
                .arg(self.paths().target())
                .output()
                .unwrap(),
        );
        fs::remove_dir_all(self.paths().run_directory().path()).unwrap();
    }

    fn discard(&self) {
        let paths = self.paths();
        for directory in [paths.target(), paths.run_directory().path()] {
            let _ = fs::remove_dir_all(directory);
        }
        self.prepare();
    }

    fn names(&self) -> BTreeSet<PathBuf> {
        seen(self.paths().run_directory().path()).into_keys().collect()
    }

    /// Completes the run that was killed, and checks the result.
    #[track_caller]
    fn complete(&self, what: &str) {
        // The exit code says that an object was refused.
        expect(3, self.migrate().output().unwrap());
        assert_same(&made(&self.paths()), &self.after, what);
        assert_eq!(self.names(), self.kept, "{what}");
        assert!(self.store.seen() == self.source, "the source is untouched: {what}");
    }

    /// Objects in the checkpoint.
    fn durable_objects(&self) -> u64 {
        let output = haul().args(["cas", "status", "--json"]).arg(self.paths().target()).output().unwrap();
        let status: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        status["run"]["objects"].as_u64().unwrap_or(0)
    }
}

fn digests(directory: &Path) -> Made {
    if !directory.exists() {
        return BTreeMap::new();
    }
    seen(directory).into_iter().map(|(path, seen)| (path, (seen.mode, seen.content))).collect()
}

#[track_caller]
fn expect(code: i32, output: Output) {
    assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The moments at which a run that moves objects is killed.
#[derive(Clone, Copy)]
enum At {
    /// The walk, the removal of files that are not in the checkpoint, the first objects.
    Start,
    /// Any moment between a request to stop, which makes it commit at once, and its end.
    Stop,
    /// The steps after a commit.
    Checkpoint,
}

/// Kills a run after a delay. A run that must stop gets the request after `going`. Returns true if it was still alive.
fn killed_at(at: At, child: Child, going: Duration, delay: Duration) -> bool {
    let (pid, started) = (Pid::from_child(&child), Instant::now());
    let mut is_asked = false;
    killed(child, delay, move |event| {
        if !is_asked && started.elapsed() >= going {
            kill_process(pid, Signal::TERM).expect("a signal");
            is_asked = true;
        }
        match at {
            At::Start => true,
            At::Stop => is_asked,
            At::Checkpoint => event["event"] == "checkpoint_written",
        }
    })
}

fn killed_at_random(scene: &Scene, moments: &mut Moments) -> bool {
    let (at, going, delay) = match moments.below(10) {
        0 | 1 => (At::Start, Duration::MAX, moments.delay_below(200)),
        // A regular checkpoint, which comes when objects were moved for two seconds.
        2 => (At::Checkpoint, Duration::MAX, moments.delay_below(20)),
        3..=5 => (At::Checkpoint, moments.delay_below(900), moments.delay_below(5)),
        _ => (At::Stop, moments.delay_below(900), moments.delay_below(100)),
    };
    killed_at(at, scene.slowly(), going, delay)
}

/// A directory in memory if there is one: a kill does not depend on the disk, and other users of the disk
/// do not wait for the commits of so many runs.
fn directory_in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary directory")
}

#[test]
fn fifty_kills_at_random_moments_end_in_the_same_store() {
    let scene = Scene::of(generated_in(directory_in_memory(), &mixed(CONTENTS, 12_000)), None);
    let mut moments = Moments::seeded();
    let (mut kills, mut resumed, mut completed) = (0, 0, 0);
    while kills < KILLS {
        for _ in 0..1 + moments.below(12) {
            let before = scene.durable_objects();
            kills += u32::from(killed_at_random(&scene, &mut moments));
            let durable = scene.durable_objects();
            assert!(durable >= before, "a checkpoint went back from {before} to {durable} objects");
            resumed += u32::from(before > 0);
        }
        scene.complete(&format!("after {kills} kills"));
        scene.discard();
        completed += 1;
    }
    println!("{kills} kills, {resumed} of them in a run that was resumed, {completed} runs completed");
    assert!(resumed > KILLS / 4, "runs get on between the kills");
}

/// Kills runs in the phases that come after the objects, most of which take a few milliseconds.
fn kills_about_the_publication(placement: Option<&'static str>) {
    const KILLS_WANTED: u32 = 8;
    let scene = Scene::new(250, placement);
    let mut moments = Moments::seeded();
    let (mut kills, mut rounds) = (0, 0);
    while kills < KILLS_WANTED {
        let first = kills;
        for phase in ["seal", "verify", "publish", "publish"] {
            let is_long = phase == "publish" && placement == Some("--merge");
            let delay = moments.delay_below(if is_long { 40 } else { 5 });
            if !killed(scene.migrate().spawn().unwrap(), delay, move |event| begins(event, phase)) {
                break;
            }
            kills += 1;
            check_either(&scene);
        }
        scene.complete(&format!("{placement:?}, killed {} times", kills - first));
        scene.discard();
        rounds += 1;
        assert!(rounds < 60, "{kills} runs were alive when they were killed");
    }
    println!("{placement:?}: {kills} kills, {rounds} runs completed");
}

/// Readers of the target find either the earlier store or the one that the run publishes.
#[track_caller]
fn check_either(scene: &Scene) {
    let mut found = digests(scene.paths().target());
    if scene.placement == Some("--merge") {
        // No reader sees an object without a line of the index.
        let listed = |found: &Made| found.get(Path::new("index.ndjson")).cloned();
        assert!([&scene.before, &scene.after].iter().any(|store| listed(store) == listed(&found)));
        let store = if listed(&found) == listed(&scene.after) { &scene.after } else { &scene.before };
        let objects = store.iter().filter(|(path, _)| !path.starts_with("state") && is_file_of_an_object(path));
        let lost: Vec<_> = objects.filter(|(path, file)| found.get(*path) != Some(file)).collect();
        assert!(lost.is_empty(), "listed and not there: {lost:?}");
        return;
    }
    // This file marks the run's own store until the exchange is complete, and has the other name while it is written. No
    // reader uses it.
    for name in [".haul-run", "..haul-run.tmp"] {
        found.remove(Path::new(name));
    }
    let after = scene.after.iter().filter(|(path, _)| !path.starts_with("state"));
    assert!(found == scene.before || found.iter().eq(after), "the target is neither store");
}

fn is_file_of_an_object(path: &Path) -> bool {
    path.file_stem().and_then(|name| name.to_str()).is_some_and(|name| Key::parse(name.as_bytes()).is_some())
}

#[test]
fn kills_about_the_publication_of_a_new_store() {
    kills_about_the_publication(None);
}

#[test]
fn kills_about_the_replacement_of_a_store() {
    kills_about_the_publication(Some("--replace"));
}

#[test]
fn kills_about_a_merge() {
    kills_about_the_publication(Some("--merge"));
}

/// The duration of an undisturbed rollback.
fn rollback_time(scene: &Scene) -> Duration {
    expect(3, scene.migrate().output().unwrap());
    let started = Instant::now();
    expect(0, scene.rollback().output().unwrap());
    let taken = started.elapsed();
    scene.discard();
    taken
}

#[test]
fn a_rollback_that_is_killed_is_completed_by_the_next_one() {
    let mut moments = Moments::seeded();
    for placement in [None, Some("--replace"), Some("--merge")] {
        let scene = Scene::new(250, placement);
        let time_ms = u64::try_from(rollback_time(&scene).as_millis()).unwrap().max(1);
        let (mut kills, mut changed) = (0, 0);
        for round in 0..4 {
            expect(3, scene.migrate().output().unwrap());
            // The check of the source takes a small part of the time, at the start.
            for share in [10, 1, 1] {
                let delay = moments.delay_below((time_ms / share).max(1));
                kills += u32::from(killed(scene.rollback().spawn().unwrap(), delay, |_| true));
                check_either(&scene);
                changed += u32::from(digests(scene.paths().target()) != scene.before);
            }
            expect(0, scene.rollback().output().unwrap());
            let what = format!("{placement:?}, round {round}");
            assert_same(&digests(scene.paths().target()), &scene.before, &what);
            assert!(scene.store.seen() == scene.source, "the source is untouched: {what}");
            let left = scene.names();
            for name in ["staging", "withdrawn", "replaced", "moved", "incoming", "index-before.ndjson", "scratch"] {
                assert!(!left.contains(Path::new(name)), "{name} is left: {what}");
            }
            expect(0, scene.rollback().output().unwrap());
            scene.discard();
        }
        println!("{placement:?}: {kills} kills of a rollback, {changed} of them before the old state was back");
        assert!(kills > 0);
    }
}

#[test]
fn the_second_of_two_runs_at_once_ends_and_names_the_first() {
    let scene = Scene::new(400, None);
    let mut first = scene.migrate().args(["--rate-limit", "20"]).spawn().unwrap();
    let lock = scene.paths().run_directory().lock_path();
    while !fs::read_to_string(&lock).is_ok_and(|owner| owner.starts_with("pid ")) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let second = scene.migrate().output().unwrap();
    let told = String::from_utf8_lossy(&second.stderr).into_owned();
    let alive = first.try_wait().unwrap().is_none();
    first.kill().unwrap();
    first.wait().unwrap();
    expect(75, second);
    assert!(alive, "the first run went on");
    assert!(told.contains(&format!("another run is active: pid {} on ", first.id())), "{told}");
    scene.complete("after a second run was kept out");
}
