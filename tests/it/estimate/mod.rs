//! Estimates with the real binary: what they say, what they leave, and how the run grades them.

mod grades;
mod refusals;
mod says;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::haul::{Done, HAUL};

/// Measures as briefly as it can.
const BRIEFLY: &str = "--for 50ms";

/// A directory with a store of each kind, and a history of its own.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    /// A place with a space of `nodes` nodes.
    fn with_space(nodes: u64) -> Self {
        let place = Self::new();
        place.run(&format!("space generate s --nodes {nodes} --seed 7")).expect(0);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn history(&self) -> PathBuf {
        self.path("state/history.jsonl")
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(HAUL);
        command.args(arguments.split_whitespace()).current_dir(self.directory.path());
        command.env("HAUL_HISTORY", self.history());
        command
    }

    fn run(&self, arguments: &str) -> Done {
        Done::of(self.command(arguments).output().unwrap())
    }

    /// Returns the document that the command prints.
    #[track_caller]
    fn json(&self, arguments: &str) -> Value {
        self.run(&format!("{arguments} --json")).expect(0).json()
    }

    fn document(&self, name: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.path(name)).unwrap()).unwrap()
    }

    fn history_lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.history()).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Returns the names in a directory, sorted.
fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Returns the three numbers of a range.
fn range(time: &Value) -> [f64; 3] {
    ["p10", "p50", "p90"].map(|name| time[name].as_f64().unwrap_or_else(|| panic!("{name} in {time}")))
}
