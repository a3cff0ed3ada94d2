//! What the tests of trees of manifests share: a tree that vanishes with the test, and the binary run on it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The binary under test.
pub const HAUL: &str = env!("CARGO_BIN_EXE_haul");
/// The instant of every history record.
pub const NOW: &str = "2026-03-01T12:34:56.789012Z";

/// Bytes and permission bits of every file below a directory, by relative path.
pub type Files = BTreeMap<PathBuf, (Vec<u8>, u32)>;

/// What a command did.
pub struct Done {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }

    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {} {}", self.stdout, self.stderr))
    }

    /// Codes of the refused files.
    pub fn codes(&self) -> Vec<String> {
        let findings = self.json()["findings"].as_array().cloned().unwrap_or_default();
        let refused = findings.iter().filter(|finding| finding["severity"] == "refused");
        refused.map(|finding| finding["code"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

/// An application's root.
pub struct Root(tempfile::TempDir);

impl Root {
    pub fn new() -> Self {
        let root = Self(tempfile::tempdir().expect("a temporary directory"));
        fs::create_dir(root.path().join("artifacts")).expect("a directory");
        root
    }

    /// With this many generated manifests.
    pub fn generated(manifests: u64) -> Self {
        let root = Self(tempfile::tempdir().expect("a temporary directory"));
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

    /// Puts a manifest of version 1.0.0 at `artifacts/JOB/RUN/manifest.json`.
    pub fn put(&self, job: &str, run: &str) -> PathBuf {
        self.put_bytes(job, run, manifest(job, run, "1.0.0").as_bytes())
    }

    pub fn put_bytes(&self, job: &str, run: &str, bytes: &[u8]) -> PathBuf {
        let directory = self.artifacts().join(job).join(run);
        fs::create_dir_all(&directory).expect("a directory");
        let path = directory.join("manifest.json");
        fs::write(&path, bytes).expect("a manifest");
        path
    }

    /// `haul manifest VERB ROOT …`
    pub fn command(&self, verb: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(HAUL);
        command.args(["manifest", verb]).arg(self.path()).args(arguments).args(["--progress", "none"]);
        command
    }

    pub fn haul(&self, verb: &str, arguments: &[&str]) -> Done {
        Done::of(self.command(verb, arguments).output().expect("the binary runs"))
    }

    /// `haul manifest migrate` at [`NOW`], as JSON.
    pub fn migrate(&self, arguments: &[&str]) -> Done {
        self.haul("migrate", &[&["--now", NOW, "--json"], arguments].concat())
    }

    /// Everything below `artifacts/`.
    pub fn files(&self) -> Files {
        files(&self.artifacts())
    }
}

/// A manifest that nothing is wrong with.
pub fn manifest(job: &str, run: &str, version: &str) -> String {
    let document = serde_json::json!({
        "schema_version": version, "job_id": job, "run_id": run, "job_ref": "ref", "job_type": "t", "status": "ok",
    });
    serde_json::to_string(&document).expect("JSON")
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

/// Those of the files that are manifests.
pub fn manifests(files: &Files) -> Files {
    let is_manifest = |path: &Path| path.file_name().is_some_and(|name| name == "manifest.json");
    files.iter().filter(|(path, _)| is_manifest(path)).map(|(path, file)| (path.clone(), file.clone())).collect()
}
