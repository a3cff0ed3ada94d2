//! A directory to run the binary in.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::haul::{Done, HAUL};

/// A directory of its own, in which commands run.
pub struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a temporary directory") }
    }

    /// With a generated space `data/default`.
    pub fn with_space(nodes: u64) -> Self {
        let place = Self::new();
        let nodes = nodes.to_string();
        place.run(&["space", "generate", "data/default", "--nodes", &nodes, "--seed", "7"]).expect(0);
        place
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn space(&self) -> PathBuf {
        self.path().join("data/default")
    }

    /// The only log file of the space.
    pub fn log(&self) -> PathBuf {
        let mut entries = std::fs::read_dir(self.space().join("wal")).expect("a log directory");
        entries.next().expect("a log file").expect("an entry").path()
    }

    /// A command that is yet to be run.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(HAUL);
        command.args(arguments).current_dir(self.path()).stdin(Stdio::null());
        command.env("ENGRAM_DATA_DIR", "data").env_remove("COLUMNS").env_remove("NO_COLOR");
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Done {
        Done::of(self.command(arguments).output().expect("haul runs"))
    }

    /// Runs `haul space …`.
    pub fn space_run(&self, arguments: &str) -> Done {
        let words: Vec<_> = std::iter::once("space").chain(arguments.split_whitespace()).collect();
        self.run(&words)
    }
}

impl Done {
    /// Both outputs, with the path of the binary as `haul`.
    pub fn texts(&self) -> String {
        format!("{}---\n{}", self.stdout, self.stderr).replace(HAUL, "haul")
    }
}
