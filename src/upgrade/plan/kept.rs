//! The plan that was made last, if it still holds: to make it again takes about as long as the upgrade.

use std::path::Path;

use super::assess::{inputs_sha256, settings};
use super::dated::latest_plan;
use super::model::Plan;
use super::space::no_space;
use crate::durable::Disk;
use crate::migration::Error;
use crate::upgrade::facts::FileState;
use crate::upgrade::hooks::HookTime;
use crate::upgrade::layout::Layout;
use crate::upgrade::request::UpgradeRequest;
use crate::upgrade::set::{SetRequest, discover};

/// Returns the last plan that was written, if nothing blocks it, it was made for the same request, and no database was
/// written to since. Freeze compares the content of every backup with it all the same.
pub fn kept_plan(request: &UpgradeRequest, disk: &dyn Disk) -> Result<Option<Plan>, Error> {
    let Some(plan) = latest_plan(disk, &Layout::of(&request.directory))? else { return Ok(None) };
    let holds = plan.blocks.is_empty()
        && is_for(&plan, request)
        && has_files(&plan, request, disk)?
        && no_space(&request.directory, plan.space_needed_bytes, plan.mode, disk)?.is_none()
        && is_unchanged(&plan)?;
    Ok(holds.then_some(plan))
}

/// Returns true if the request decides the same.
fn is_for(plan: &Plan, request: &UpgradeRequest) -> bool {
    let has_tested = plan.notes.iter().any(|note| note.code == "tests-pass");
    plan.tool_version == env!("CARGO_PKG_VERSION")
        && plan.definition_sha256 == request.definition.sha256
        && plan.application == request.application
        && plan.mode == request.mode
        && plan.assume_tz == request.zone.to_string()
        && plan.settings == settings(request)
        && plan.inputs_sha256 == inputs_sha256(request)
        && (has_tested || !request.hooks.has(HookTime::Test))
}

/// Returns true if the same files are there, with the same tiers and primary files.
fn has_files(plan: &Plan, request: &UpgradeRequest, disk: &dyn Disk) -> Result<bool, Error> {
    let set = SetRequest { directory: &request.directory, files: &request.files, excluded: &request.excluded };
    let found = discover(&set, disk)?;
    let mut members: Vec<_> = plan.members.iter().map(|planned| &planned.member).collect();
    members.sort_by(|a, b| a.path.cmp(&b.path));
    let is_same = found.candidates.len() == members.len()
        && found.candidates.iter().zip(&members).all(|(candidate, member)| {
            candidate.path == member.path && candidate.tier.as_ref().is_none_or(|tier| *tier == member.tier)
        });
    let is_named = |path: &Path| request.primaries.iter().any(|named| named.file_name() == path.file_name());
    let is_right = |at: usize| {
        let member = members[at];
        let is_first = members[..at].iter().all(|before| before.tier != member.tier);
        let named = members.iter().any(|other| other.tier == member.tier && is_named(&other.path));
        member.is_primary == if named { is_named(&member.path) } else { is_first }
    };
    Ok(is_same && found.refused.is_empty() && found.excluded == plan.excluded && (0..members.len()).all(is_right))
}

fn is_unchanged(plan: &Plan) -> Result<bool, Error> {
    for planned in &plan.members {
        let now = FileState::with_headers(&planned.member.path)?;
        if planned.file_state.difference(&now).is_some() {
            return Ok(false);
        }
    }
    Ok(true)
}
