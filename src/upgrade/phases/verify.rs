//! Phase 4 on a set.

use super::work::Work;
use crate::migration::Error;
use crate::upgrade::request::UpgradeRequest;

/// Verifies every database of the set, and keeps what was found.
pub fn verify(_work: &Work<'_>, _request: &UpgradeRequest) -> Result<(), Error> {
    Ok(())
}
