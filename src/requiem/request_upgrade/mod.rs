//! Makes the scheduler's mode explicit in request files, and changes nothing else in them (spec/requiem.md A11).

mod destination;

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::json::Json;
use super::json::edit::{append_member, remove_member};
use super::request::{Note, POLICY, Request, RequestFault, SCHEDULER_MODE, SchedulerMode, fault, mode_of};
use super::small_file::{Input, reason};
use crate::cas::format::key::Key;
use crate::migration::Error;

pub use destination::{Destination, DryRun, InPlace, OutDir, Put, backup_path};

/// What an upgrade may do.
#[derive(Debug, Clone, Copy, Default)]
pub struct UpgradeOptions {
    /// A `scheduler_mode` beside the policy is moved into it. That may change what the request does: until now the
    /// reference took no notice of it.
    pub move_scheduler_mode: bool,
}

/// One change to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// The mode that was meant by its absence is now in the policy.
    SchedulerModeAdded {
        /// Which.
        mode: SchedulerMode,
    },
    /// The mode beside the policy is now in it, and beside it no more.
    SchedulerModeMoved {
        /// Which.
        mode: SchedulerMode,
    },
}

/// An upgraded request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    /// Its text.
    pub text: Vec<u8>,
    /// What is not as before.
    pub changes: Vec<Change>,
    /// `request_digest` of what it was, if the reference would take it.
    pub digest_before: Option<Key>,
    /// `request_digest` of what it is.
    pub digest_after: Option<Key>,
    /// What there is to know of it.
    pub notes: Vec<Note>,
}

/// Upgrades the text of a request. An upgraded text is its own upgrade.
pub fn upgrade(text: &[u8], options: UpgradeOptions) -> Result<Upgrade, RequestFault> {
    let request = Request::parse(text)?;
    let mode = request.scheduler_mode()?;
    let moved = match request.top_level_scheduler_mode() {
        Some(top_level) if options.move_scheduler_mode => Some(movable(top_level, mode)?),
        _ => None,
    };
    let mut upgraded = text.to_vec();
    let mut changes = Vec::new();
    if let Some(mode) = moved {
        upgraded = remove_member(request.json(), SCHEDULER_MODE);
        changes.push(Change::SchedulerModeMoved { mode });
    }
    if mode.is_none() {
        let mode = moved.unwrap_or(SchedulerMode::Turbo);
        upgraded = with_mode(Request::parse(&upgraded)?, mode);
        if moved.is_none() {
            changes.push(Change::SchedulerModeAdded { mode });
        }
    }
    let after = Request::parse(&upgraded)?;
    let (digest_after, notes) = (after.digest(), after.notes());
    Ok(Upgrade { digest_before: request.digest(), digest_after, notes, changes, text: upgraded })
}

/// The mode beside the policy, if it may be moved to where `inside` stands.
fn movable(top_level: Json<'_>, inside: Option<SchedulerMode>) -> Result<SchedulerMode, RequestFault> {
    match mode_of(Some(top_level))? {
        Some(mode) if inside.is_none_or(|inside| inside == mode) => Ok(mode),
        _ => fault(top_level, "a scheduler_mode other than that of the policy"),
    }
}

fn with_mode(request: Request<'_>, mode: SchedulerMode) -> Vec<u8> {
    let value = format!("\"{}\"", mode.name());
    match request.policy() {
        Some(policy) => append_member(policy, SCHEDULER_MODE, &value),
        None => append_member(request.json(), POLICY, &format!("{{\"{SCHEDULER_MODE}\":{value}}}")),
    }
}

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
