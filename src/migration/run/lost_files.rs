//! Looks whether the files that a run leaves in its directory are there and its own.

use std::io::ErrorKind;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::directory::RunDirectory;
use super::state::RunState;
use crate::durable::{Disk, DiskError, read_file};
use crate::migration::{Error, is_whole_report, serialize_path};

/// The longest plan that is read.
const PLAN_BYTES_MAX: u64 = 64 << 20;

/// A file of a run that is gone, or is not what the run wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LostFile {
    /// The file.
    #[serde(serialize_with = "serialize_path")]
    pub path: PathBuf,
    /// What is wrong with it, and what helps.
    pub what: &'static str,
}

impl LostFile {
    /// A checkpoint that cannot be read.
    pub fn checkpoint(path: PathBuf) -> Self {
        Self { path, what: "it cannot be read, so nothing is known of the run: restore it from a copy" }
    }
}

impl<R, P, C> RunState<R, P, C> {
    /// Returns the plan, findings and report of the finished run if they are gone or cut.
    pub fn lost_files(&self, disk: &dyn Disk, directory: &RunDirectory) -> Result<Vec<LostFile>, Error> {
        let mut lost = Vec::new();
        let mut check = |is_whole: bool, path, what| {
            if !is_whole {
                lost.push(LostFile { path, what });
            }
        };
        let plan = directory.plan_path();
        let what = "it is gone, or not the plan of the run: restore it from a copy";
        check(self.has_plan(disk, directory)?, plan, what);
        let findings = directory.findings_path();
        let has_findings = match disk.open_for_read(&findings).and_then(|file| file.len()) {
            Err(error) if error.kind() == ErrorKind::NotFound => self.findings_bytes == 0,
            len => len? >= self.findings_bytes,
        };
        check(has_findings, findings, "it is gone or shorter than the run wrote it: restore it from a copy");
        let report = directory.report_path();
        let what = "it is gone, or not the whole report of the run: the same migration again writes it";
        check(is_whole_report(disk, &report, &self.run_id)?, report, what);
        Ok(lost)
    }

    fn has_plan(&self, disk: &dyn Disk, directory: &RunDirectory) -> Result<bool, DiskError> {
        #[derive(Deserialize)]
        struct Kept {
            digest: String,
        }
        let bytes = match read_file(disk, &directory.plan_path(), PLAN_BYTES_MAX) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => return Ok(false),
            bytes => bytes?,
        };
        let digest = blake3::Hash::from_bytes(self.plan_digest).to_hex();
        Ok(serde_json::from_slice::<Kept>(&bytes).is_ok_and(|kept| kept.digest == digest.as_str()))
    }
}
