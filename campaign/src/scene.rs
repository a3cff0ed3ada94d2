//! A scene: stores in a directory, a command over them, and what must come out of it.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::command::{self, End, copy, words};
use crate::options::Options;
use crate::results::{Results, Trial, Verdict};
use crate::scenes;
use crate::tracer::{self, Fault, Injection, Traced, no_hook};
use crate::tree::{Tree, contents, tree};

/// No command of a scene takes longer than a second undisturbed.
const LIMIT: Duration = Duration::from_secs(60);

/// What a scene is made of. Commands are lines of arguments; paths in them are relative to the scene.
pub struct Script {
    pub name: &'static str,
    pub noun: &'static str,
    /// Commands that make the stores.
    pub prepare: &'static [&'static str],
    /// What is prepared without haul.
    pub also: fn(&Path),
    /// The command that is tried.
    pub command: fn(&Path) -> String,
    /// The command that goes on after it failed; `None`: the same.
    pub again: Option<&'static str>,
    /// Whether the paths that are compared hold this one. The rest is state of runs, with times and ids in it.
    pub is_result: fn(&str) -> bool,
    /// What must never change.
    pub is_source: fn(&str) -> bool,
    /// A command whose output is compared too: what a database holds.
    pub probe: Option<&'static str>,
    /// Whether a failure may leave the state before the command for good.
    pub may_stay: bool,
    /// Files before the command whose content must be somewhere afterwards, whatever the advice was that was followed.
    pub is_kept: fn(&str) -> bool,
}

/// A script with its prepared directory and the result of an undisturbed run.
pub struct Scene {
    pub script: &'static Script,
    prepared: PathBuf,
    /// Where trials take place.
    pub work: PathBuf,
    pub before: Tree,
    pub expected: Tree,
    source: Tree,
    /// Digests of the contents that must not get lost.
    kept: BTreeSet<String>,
    /// How long the command takes undisturbed.
    pub duration: Duration,
    /// How often each system call occurs in an undisturbed run.
    counts: OnceCell<Vec<u64>>,
}

impl Scene {
    /// Prepares the scene below `directory` and runs its command once, undisturbed.
    pub fn build(script: &'static Script, directory: &Path, options: &Options) -> Result<Self, String> {
        let prepared = directory.join(format!("{}.prepared", script.name));
        let work = directory.join(script.name);
        command::remove(&prepared);
        std::fs::create_dir_all(&prepared).expect("the directory of a scene");
        for line in script.prepare {
            let end = command::run(&options.haul, &prepared, &words(line));
            if end.code != 0 {
                return Err(format!("haul {line}: {}", end.text));
            }
        }
        (script.also)(&prepared);
        let source = tree(&prepared, &|path| (script.is_source)(path));
        let kept = contents(&tree(&prepared, &|_| true), script.is_kept);
        let mut scene = Self {
            script,
            prepared,
            work,
            before: Tree::new(),
            expected: Tree::new(),
            source,
            kept,
            duration: Duration::ZERO,
            counts: OnceCell::new(),
        };
        scene.reset();
        scene.before = scene.result(&options.haul);
        let started = Instant::now();
        let end = command::run(&options.haul, &scene.work, &scene.command());
        scene.duration = started.elapsed();
        scene.expected = scene.result(&options.haul);
        if end.code == 0 && scene.is_source_whole() { Ok(scene) } else { Err(end.text) }
    }

    /// Puts the prepared state back.
    pub fn reset(&self) {
        copy(&self.prepared, &self.work);
    }

    pub fn command(&self) -> Vec<String> {
        words(&(self.script.command)(&self.work))
    }

    /// Runs what goes on after a failure.
    pub fn run_again(&self, haul: &Path) -> End {
        let arguments = self.script.again.map_or_else(|| self.command(), words);
        command::run(haul, &self.work, &arguments)
    }

    pub fn is_source_whole(&self) -> bool {
        tree(&self.work, &|path| (self.script.is_source)(path)) == self.source
    }

    /// Returns how often each system call occurs in an undisturbed run.
    pub fn counts(&self, options: &Options) -> &[u64] {
        self.counts.get_or_init(|| {
            self.reset();
            let root = &self.work;
            self.trace(options, &Injection { root, call: None, at: 0, fault: Fault::None, hook: &no_hook }).counts
        })
    }

    /// Runs the command with a fault.
    pub fn trace(&self, options: &Options, injection: &Injection<'_>) -> Traced {
        tracer::run(command::haul(&options.haul, &self.work, &self.command()), injection, LIMIT)
    }

    /// Returns true if what was asked for could not be answered yet: a database that was left in the middle of the last
    /// write says that the next run puts it right.
    pub fn is_to_be_recovered(&self, found: &Tree) -> bool {
        let answer = self.script.probe.and_then(|line| found.get(line));
        answer.is_some_and(|answer| !answer.starts_with("0 ") && answer.contains("`haul db migrate` rolls back"))
    }

    /// Returns what is wrong with contents that must not get lost: one that is in no file any more.
    pub fn lost_content(&self) -> Option<String> {
        let found = contents(&tree(&self.work, &|_| true), |_| true);
        let lost = self.kept.difference(&found).next()?;
        Some(format!("the last copy of {lost} is gone"))
    }

    /// Returns what is compared.
    pub fn result(&self, haul: &Path) -> Tree {
        // A lock's file that could not be removed is in nobody's way.
        let mut found = tree(&self.work, &|path| (self.script.is_result)(path) && !path.ends_with(".haul.lock"));
        if let Some(line) = self.script.probe {
            let end = command::run(haul, &self.work, &words(line));
            found.insert(line.to_owned(), format!("{} {}", end.code, end.text));
        }
        found
    }
}

/// Whose turn it is.
pub struct Turn {
    pub scripts: Vec<&'static Script>,
    pub next: usize,
}

impl Turn {
    pub fn of(options: &Options) -> Self {
        Self { scripts: scenes::ALL.iter().filter(|script| options.takes_noun(script.noun)).collect(), next: 0 }
    }
}

/// Scenes that are built when they are first needed.
pub struct Scenes<'a> {
    options: &'a Options,
    built: BTreeMap<&'static str, Result<Scene, String>>,
}

impl<'a> Scenes<'a> {
    pub fn new(options: &'a Options) -> Self {
        Self { options, built: BTreeMap::new() }
    }

    /// Returns the next of these scripts that works undisturbed. One that does not is recorded and taken out.
    pub fn next(&mut self, turn: &mut Turn, part: &'static str, results: &mut Results) -> Option<&Scene> {
        let script = *turn.scripts.get(turn.next % turn.scripts.len().max(1))?;
        turn.next += 1;
        match self.get(script) {
            Ok(_) => {}
            Err(detail) => {
                let (scene, what) = (script.name.into(), json!("undisturbed"));
                results.record(&Trial { part, scene, what, verdict: Verdict::Stuck, detail });
                turn.scripts.retain(|it| it.name != script.name);
                return None;
            }
        }
        self.get(script).ok()
    }

    /// Returns the scene, or why its command fails undisturbed.
    pub fn get(&mut self, script: &'static Script) -> Result<&Scene, String> {
        let built = self
            .built
            .entry(script.name)
            .or_insert_with(|| Scene::build(script, &self.options.directory, self.options));
        built.as_ref().map_err(Clone::clone)
    }
}
