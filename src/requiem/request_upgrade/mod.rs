//! Makes the scheduler's mode explicit in request files, and changes nothing else in them (spec/requiem.md A11).

mod destination;
mod upgrade;

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::request::Note;
use super::small_file::{Input, reason};
use crate::cas::format::key::Key;
use crate::migration::Error;

pub use destination::{Destination, DryRun, InPlace, OutDir, Put, backup_path};
pub use upgrade::{Change, Upgrade, UpgradeOptions, upgrade};

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is upgraded, or would be.
    Upgraded,
    /// It says already what it means.
    Unchanged,
    /// It cannot be upgraded.
    Refused,
}

/// What there is to say of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileReport {
    /// Its path.
    pub file: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it was refused.
    pub reason: Option<String>,
    /// What is not as before.
    pub changes: Vec<Change>,
    /// `request_digest` of what it was, if the reference would take it.
    pub request_digest_before: Option<Key>,
    /// `request_digest` of what it is.
    pub request_digest_after: Option<Key>,
    /// What there is to know of it.
    pub notes: Vec<Note>,
    /// The file that holds the upgraded request, if it was written.
    pub written: Option<String>,
    /// The file that holds what the request was, if it was replaced.
    pub backup: Option<String>,
}

/// What there is to say of all files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UpgradeReport {
    /// Each file, in the order in which they were named.
    pub files: Vec<FileReport>,
    /// How many are upgraded, or would be.
    pub upgraded: u64,
    /// How many need nothing.
    pub unchanged: u64,
    /// How many cannot be upgraded.
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
    let [upgraded, unchanged, refused] = [Outcome::Upgraded, Outcome::Unchanged, Outcome::Refused].map(count);
    Ok(UpgradeReport { files, upgraded, unchanged, refused })
}

fn upgrade_file(path: &Path, options: UpgradeOptions, destination: &dyn Destination) -> Result<FileReport, Error> {
    let mut report = FileReport {
        file: path.display().to_string(),
        outcome: Outcome::Refused,
        reason: None,
        changes: Vec::new(),
        request_digest_before: None,
        request_digest_after: None,
        notes: Vec::new(),
        written: None,
        backup: None,
    };
    let input = match Input::read(path) {
        Ok(input) => input,
        Err(error) => return Ok(FileReport { reason: Some(reason(&error)), ..report }),
    };
    let upgrade = match upgrade(&input.bytes, options) {
        Ok(upgrade) => upgrade,
        Err(fault) => return Ok(FileReport { reason: Some(fault.to_string()), ..report }),
    };
    let text = |path: PathBuf| path.display().to_string();
    match destination.put(path, &input, &upgrade)? {
        Put::Nothing => {}
        Put::Written { file, backup } => (report.written, report.backup) = (Some(text(file)), backup.map(text)),
        Put::Refused(reason) => return Ok(FileReport { reason: Some(reason), ..report }),
    }
    let outcome = if upgrade.changes.is_empty() { Outcome::Unchanged } else { Outcome::Upgraded };
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
