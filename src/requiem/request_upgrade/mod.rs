//! Writes the mode of the scheduler into request files and changes nothing else in them (docs/source-requiem.md,
//! "Requests").

mod destination;
mod upgrade;

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::request::Note;
use super::small_file::{SmallFile, error_chain};
use crate::cas::format::key::Key;
use crate::migration::Error;

pub use destination::{Destination, DryRun, InPlace, OutDir, PutResult};
pub use upgrade::{Change, UpgradeOptions, upgrade};

/// What was done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileOutcome {
    /// It is upgraded; in a dry run, would be.
    Upgraded,
    /// It needs no change.
    Unchanged,
    /// It cannot be upgraded.
    Refused,
}

/// The report on one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileReport {
    /// The path of the file.
    pub file: String,
    /// What was done with the file.
    pub outcome: FileOutcome,
    /// Why the file was refused.
    pub reason: Option<String>,
    /// The changes to the request.
    pub changes: Vec<Change>,
    /// `request_digest` before the upgrade, if the reference would accept the request.
    pub request_digest_before: Option<Key>,
    /// `request_digest` after the upgrade.
    pub request_digest_after: Option<Key>,
    /// Notes on the request.
    pub notes: Vec<Note>,
    /// The file with the upgraded request, if it was written.
    pub written: Option<String>,
    /// The file with the original request, if it was replaced.
    pub backup: Option<String>,
    /// Owner, permissions and other attributes of the original that the new file does not have, because this process may
    /// not set them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_kept: Option<String>,
}

/// The report on all files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UpgradeReport {
    /// The files in the order in which they were named.
    pub files: Vec<FileReport>,
    /// Files that are upgraded; in a dry run, would be.
    pub upgraded: u64,
    /// Files that need no change.
    pub unchanged: u64,
    /// Files that cannot be upgraded.
    pub refused: u64,
}

/// Upgrades each file and puts it where `destination` says. A file that cannot be upgraded is reported, and the others
/// are upgraded; a failure to write ends the run.
pub fn upgrade_files(
    paths: &[PathBuf],
    options: UpgradeOptions,
    destination: &dyn Destination,
) -> Result<UpgradeReport, Error> {
    let files = paths.iter().map(|path| upgrade_file(path, options, destination)).collect::<Result<Vec<_>, _>>()?;
    let count = |outcome| files.iter().filter(|file| file.outcome == outcome).count() as u64;
    let [upgraded, unchanged, refused] =
        [FileOutcome::Upgraded, FileOutcome::Unchanged, FileOutcome::Refused].map(count);
    Ok(UpgradeReport { files, upgraded, unchanged, refused })
}

fn upgrade_file(path: &Path, options: UpgradeOptions, destination: &dyn Destination) -> Result<FileReport, Error> {
    let mut report = FileReport {
        file: path.display().to_string(),
        outcome: FileOutcome::Refused,
        reason: None,
        changes: Vec::new(),
        request_digest_before: None,
        request_digest_after: None,
        notes: Vec::new(),
        written: None,
        backup: None,
        not_kept: None,
    };
    let input = match SmallFile::read(path) {
        Ok(input) => input,
        Err(error) => return Ok(FileReport { reason: Some(error_chain(&error)), ..report }),
    };
    let upgrade = match upgrade(&input.bytes, options) {
        Ok(upgrade) => upgrade,
        Err(fault) => return Ok(FileReport { reason: Some(fault.to_string()), ..report }),
    };
    let text = |path: PathBuf| path.display().to_string();
    match destination.put(path, &input, &upgrade)? {
        PutResult::Nothing => {}
        PutResult::Written { file, backup, not_kept } => {
            (report.written, report.backup) = (Some(text(file)), backup.map(text));
            report.not_kept = (!not_kept.is_empty()).then(|| not_kept.to_string());
        }
        PutResult::Refused(reason) => return Ok(FileReport { reason: Some(reason), ..report }),
    }
    let outcome = if upgrade.changes.is_empty() { FileOutcome::Unchanged } else { FileOutcome::Upgraded };
    Ok(FileReport {
        outcome,
        changes: upgrade.changes,
        request_digest_before: upgrade.digest_before,
        request_digest_after: upgrade.digest_after,
        notes: upgrade.notes,
        ..report
    })
}

#[cfg(test)]
mod tests;
