//! Sets of databases that a test upgrades.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;

use crate::support::conformance::{conformance, run_checker};
use crate::support::haul::{Done, HAUL};

/// A directory with the databases of a set.
pub struct Set {
    directory: tempfile::TempDir,
}

impl Set {
    /// Returns a set without databases.
    pub fn empty() -> Self {
        Self { directory: tempfile::tempdir().expect("a directory") }
    }

    /// Builds a set with the generator of the conformance data.
    pub fn built(options: &[&str]) -> Self {
        let set = Self::empty();
        let mut arguments = vec!["build", set.path().to_str().expect("text")];
        arguments.extend(options);
        let output = run_checker(&conformance("cortex").join("make_tiers.py"), &arguments);
        assert!(output.status.success(), "{options:?}: {}", String::from_utf8_lossy(&output.stderr));
        set
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Runs `haul upgrade VERB DIR` with further arguments.
    pub fn upgrade(&self, verb: &str, arguments: &[&str]) -> Done {
        let mut command = Command::new(HAUL);
        command.args(["upgrade", verb]).arg(self.path()).args(arguments);
        Done::of(command.output().expect("the binary"))
    }

    /// Runs the checker of the conformance data, and returns what it says if it finds something.
    pub fn check(&self, after: bool) -> Result<(), String> {
        let mut arguments = vec!["check", self.path().to_str().expect("text")];
        if after {
            arguments.push("--after");
        }
        let output = run_checker(&conformance("cortex").join("make_tiers.py"), &arguments);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() { Ok(()) } else { Err(said) }
    }

    /// Returns the bytes of every file next to the state of the upgrade, but for what readers of SQLite leave.
    pub fn bytes(&self) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(self.path()).expect("a directory").map(|entry| entry.expect("an entry").path());
        let files = entries.filter(|path| path.is_file() && !path.to_string_lossy().ends_with("-shm"));
        let name = |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned();
        files
            .map(|path| (name(&path), fs::read(&path).expect("a file")))
            .filter(|(_, bytes)| !bytes.is_empty())
            .collect()
    }
}
