//! The upgrade of one request.

use serde::Serialize;

use crate::cas::format::key::Key;
use crate::requiem::json::{Json, append_member, remove_member};
use crate::requiem::request::{Note, POLICY, Request, RequestFault, SCHEDULER_MODE, SchedulerMode, fault, mode_of};

/// What an upgrade may do.
#[derive(Debug, Clone, Copy, Default)]
pub struct UpgradeOptions {
    /// Moves a `scheduler_mode` outside of the policy into it. This can change what the request does, because the
    /// reference has ignored it so far.
    pub move_scheduler_mode: bool,
}

/// One change to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// The default mode is now written in the policy.
    SchedulerModeAdded {
        /// The mode.
        mode: SchedulerMode,
    },
    /// The mode that was outside of the policy is now in it.
    SchedulerModeMoved {
        /// The mode.
        mode: SchedulerMode,
    },
}

/// An upgraded request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    /// The text.
    pub text: Vec<u8>,
    /// The changes.
    pub changes: Vec<Change>,
    /// `request_digest` before the upgrade, if the reference would accept the request.
    pub digest_before: Option<Key>,
    /// `request_digest` after the upgrade.
    pub digest_after: Option<Key>,
    /// Notes on the upgraded request.
    pub notes: Vec<Note>,
}

/// Upgrades the text of a request. Upgrading an upgraded text changes nothing.
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
        // Parsed again: after a removal, the positions in `request` are those of the old text.
        upgraded = with_mode(Request::parse(&upgraded)?, mode);
        if moved.is_none() {
            changes.push(Change::SchedulerModeAdded { mode });
        }
    }
    let after = Request::parse(&upgraded)?;
    let (digest_after, notes) = (after.digest(), after.notes());
    Ok(Upgrade { digest_before: request.digest(), digest_after, notes, changes, text: upgraded })
}

/// Returns the mode outside of the policy, if it does not contradict the mode `inside`.
fn movable(top_level: Json<'_>, inside: Option<SchedulerMode>) -> Result<SchedulerMode, RequestFault> {
    match mode_of(Some(top_level))? {
        Some(mode) if inside.is_none_or(|inside| inside == mode) => Ok(mode),
        _ => fault(top_level, "a scheduler_mode that contradicts the policy"),
    }
}

fn with_mode(request: Request<'_>, mode: SchedulerMode) -> Vec<u8> {
    let value = format!("\"{}\"", mode.name());
    match request.policy() {
        Some(policy) => append_member(policy, SCHEDULER_MODE, &value),
        None => append_member(request.json(), POLICY, &format!("{{\"{SCHEDULER_MODE}\":{value}}}")),
    }
}
