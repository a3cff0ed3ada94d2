//! What the tests of the command line share: a directory to run in, and the binary run there.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use serde_json::Value;

/// The binary under test.
pub const HAUL: &str = env!("CARGO_BIN_EXE_haul");

/// A directory of its own, in which commands run.
pub struct Place {
    directory: tempfile::TempDir,
}

/// What a command did.
pub struct Done {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    pub fn of(output: Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        Self {
            code: output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0)),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// Fails unless it ended with `code`.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// The document on standard output.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}", self.stdout))
    }

    /// Both outputs, with the path of the binary as `haul`.
    pub fn texts(&self) -> String {
        format!("{}---\n{}", self.stdout, self.stderr).replace(HAUL, "haul")
    }
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
    pub fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(HAUL);
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
