//! The upgrade of one request.

use serde::Serialize;

use crate::cas::format::key::Key;
use crate::requiem::json::{Json, append_member, remove_member};
use crate::requiem::request::{Note, POLICY, Request, RequestFault, SCHEDULER_MODE, SchedulerMode, fault, mode_of};

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
