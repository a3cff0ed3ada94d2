//! A scene: stores in a directory, a command over them, and what must come out of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::command::{self, End, copy, words};
use crate::options::Options;
use crate::tree::{Tree, tree};

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
}

impl Scene {
    /// Prepares the scene and runs its command once, undisturbed.
    pub fn build(script: &'static Script, options: &Options) -> Result<Self, String> {
        let prepared = options.directory.join(format!("{}.prepared", script.name));
        let work = options.directory.join(script.name);
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
        let mut scene = Self { script, prepared, work, before: Tree::new(), expected: Tree::new(), source };
        scene.reset();
        scene.before = scene.result(&options.haul);
        let end = command::run(&options.haul, &scene.work, &scene.command());
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

/// Scenes that are built when they are first needed.
pub struct Scenes<'a> {
    options: &'a Options,
    built: BTreeMap<&'static str, Result<Scene, String>>,
}

impl<'a> Scenes<'a> {
    pub fn new(options: &'a Options) -> Self {
        Self { options, built: BTreeMap::new() }
    }

    /// Returns the scene, or why its command fails undisturbed.
    pub fn get(&mut self, script: &'static Script) -> Result<&Scene, String> {
        let built = self.built.entry(script.name).or_insert_with(|| Scene::build(script, self.options));
        built.as_ref().map_err(Clone::clone)
    }
}
