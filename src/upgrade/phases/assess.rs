//! The plan of a run that begins.

use crate::migration::{Context, Error};
use crate::upgrade::plan::Plan;
use crate::upgrade::request::UpgradeRequest;

/// Assesses the set, and refuses to begin where something blocks.
pub fn assess(_request: &UpgradeRequest, _cx: &Context<'_>) -> Result<Plan, Error> {
    unimplemented!()
}
