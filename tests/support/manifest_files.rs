//! Trees of manifests that tests build file by file.

use std::fs;
use std::path::PathBuf;

use super::haul::Done;
use super::manifest::{NOW, Root};

impl Root {
    pub fn new() -> Self {
        let root = Self::empty();
        fs::create_dir(root.artifacts()).expect("a directory");
        root
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

    /// Runs `haul manifest migrate` at [`NOW`] with JSON output.
    pub fn migrate(&self, arguments: &[&str]) -> Done {
        self.haul("migrate", &[&["--now", NOW, "--json"], arguments].concat())
    }
}

/// Returns the text of a valid manifest.
pub fn manifest(job: &str, run: &str, version: &str) -> String {
    let document = serde_json::json!({
        "schema_version": version, "job_id": job, "run_id": run, "job_ref": "ref", "job_type": "t", "status": "ok",
    });
    serde_json::to_string(&document).expect("JSON")
}

impl Done {
    /// Returns the codes of the refused files.
    pub fn codes(&self) -> Vec<String> {
        let findings = self.json()["findings"].as_array().cloned().unwrap_or_default();
        let refused = findings.iter().filter(|finding| finding["severity"] == "refused");
        refused.map(|finding| finding["code"].as_str().unwrap_or_default().to_owned()).collect()
    }
}
