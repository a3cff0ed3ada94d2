//! The stages that every migration goes through.

use std::fmt;

use serde::Serialize;

use super::checkpoint::{Decode, Encode};
use crate::pipeline::Phase;

/// How far a migration has come. The order is that of its life; a rollback ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Records are being moved.
    Running,
    /// All records are staged; indexes and digests are still to be made.
    Moved,
    /// The target is complete and has its own name. It is not published.
    Sealed,
    /// The target was read again and is right.
    Verified,
    /// The target is live.
    Published,
    /// The source is live again; the target may still be there.
    RolledBack,
}

impl Stage {
    /// Returns the phase that leads from this stage to the next; `None` where the life ends.
    pub fn next_phase(self) -> Option<Phase> {
        match self {
            Self::Running => Some(Phase::Run),
            Self::Moved => Some(Phase::Seal),
            Self::Sealed => Some(Phase::Verify),
            Self::Verified => Some(Phase::Publish),
            Self::Published | Self::RolledBack => None,
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Moved => "moved",
            Self::Sealed => "sealed",
            Self::Verified => "verified",
            Self::Published => "published",
            Self::RolledBack => "rolled-back",
        })
    }
}
