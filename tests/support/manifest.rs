//! Trees of manifests for tests, and runs of the binary on them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::haul::{Done, HAUL};

/// The instant of every history record.
pub const NOW: &str = "2026-03-01T12:34:56.789012Z";

/// Bytes and permission bits of every file below a directory, by relative path.
pub type Files = BTreeMap<PathBuf, (Vec<u8>, u32)>;

/// The root of an application.
pub struct Root(tempfile::TempDir);

impl Root {
    /// Creates an empty root.
    pub fn empty() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    /// Creates a root with generated manifests.
    pub fn generated(manifests: u64) -> Self {
        let root = Self::empty();
        let count = manifests.to_string();
        root.haul("generate", &["--manifests", &count, "--seed", "5"]).expect(0);
        root
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn artifacts(&self) -> PathBuf {
        self.path().join("artifacts")
    }

    /// Returns the command `haul manifest VERB ROOT …`.
    pub fn command(&self, verb: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(HAUL);
        command.args(["manifest", verb]).arg(self.path()).args(arguments).args(["--progress", "none"]);
        command
    }

    pub fn haul(&self, verb: &str, arguments: &[&str]) -> Done {
        Done::of(self.command(verb, arguments).output().expect("the binary runs"))
    }

    /// Returns all files below `artifacts/`.
    pub fn files(&self) -> Files {
        files(&self.artifacts())
    }
}

pub fn files(directory: &Path) -> Files {
    let mut found = Files::new();
    collect(directory, Path::new(""), &mut found);
    found
}

fn collect(directory: &Path, relative: &Path, found: &mut Files) {
    use std::os::unix::fs::PermissionsExt;
    for entry in fs::read_dir(directory).expect("a directory") {
        let entry = entry.expect("an entry");
        let (path, relative) = (entry.path(), relative.join(entry.file_name()));
        let metadata = path.symlink_metadata().expect("an entry");
        if metadata.is_dir() {
            collect(&path, &relative, found);
        } else if metadata.is_file() {
            let mode = metadata.permissions().mode() & 0o7777;
            found.insert(relative, (fs::read(&path).expect("a file"), mode));
        }
    }
}

/// Returns the files that are manifests.
pub fn manifests(files: &Files) -> Files {
    let is_manifest = |path: &Path| path.file_name().is_some_and(|name| name == "manifest.json");
    files.iter().filter(|(path, _)| is_manifest(path)).map(|(path, file)| (path.clone(), file.clone())).collect()
}
