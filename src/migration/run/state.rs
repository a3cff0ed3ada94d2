//! What the checkpoint of a run holds: a head that is the same for every store, and what only that store keeps.

use std::fmt;

use serde::Serialize;

use super::attempts::Attempts;
use crate::durable::GroupSync;
use crate::migration::checkpoint::{Decode, Encode};
use crate::migration::stage::Stage;

/// What decides the result of a run.
///
/// Rules are kept as values and never as text that is parsed: the words of another version would be misunderstood, and a
/// rollback that takes a merge for a new store removes what was there before. A value that this version does not know
/// cannot be decoded, so nothing is done with the run. The text is for people and for the digest of the plan.
pub trait Rules: Clone + fmt::Debug + fmt::Display + PartialEq + Serialize + Encode + Decode<()> {}

/// When what is written is made durable. The order is that of what is guaranteed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Encode, Decode)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// Never: a loss of power may take anything, even what is behind a checkpoint.
    None,
    /// Many records at once, before the checkpoint that names them.
    #[default]
    Group,
    /// Each record by itself.
    Each,
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Group => "group",
            Self::Each => "each",
        })
    }
}

impl Durability {
    /// Returns what is really done where a sync of the whole file system does this, for a run that asks for `self`.
    pub fn with(self, group_sync: &GroupSync) -> Self {
        if self == Self::Group && *group_sync != GroupSync::Reaches { Self::Each } else { self }
    }
}

/// State of a run as of a point that is durable. What is staged beyond it is removed when the run resumes.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct RunState<R, P, C> {
    /// Digest of the plan that the run belongs to: it is continued only under an equal one.
    pub plan_digest: [u8; 32],
    /// Id of the run.
    pub run_id: String,
    /// How far it has come.
    pub stage: Stage,
    /// Least that was done to make durable what is written so far.
    pub durability: Durability,
    /// Length of the findings file.
    pub findings_bytes: u64,
    /// Records read so far.
    pub records: u64,
    /// Outcomes that are decided.
    pub counts: C,
    /// What decides the result.
    pub rules: R,
    /// What only this kind of store keeps.
    pub progress: P,
    /// The attempts until now. They are the end of the payload, which checkpoints of earlier versions do not have.
    pub attempts: Attempts,
}

/// What the state of a run of any store begins with, for those who look at stores of every kind.
#[derive(Debug, Clone, PartialEq, Eq, Decode)]
pub struct RunHead {
    /// Digest of the plan that the run belongs to.
    pub plan_digest: [u8; 32],
    /// Id of the run.
    pub run_id: String,
    /// How far it has come.
    pub stage: Stage,
    /// Least that was done to make durable what is written so far.
    pub durability: Durability,
    /// Length of the findings file.
    pub findings_bytes: u64,
    /// Records read so far.
    pub records: u64,
}

impl<R, P: Default, C: Default> RunState<R, P, C> {
    /// Returns the state of a run that has not read anything.
    pub fn new(plan_digest: [u8; 32], run_id: String, rules: R, durability: Durability) -> Self {
        Self {
            plan_digest,
            run_id,
            stage: Stage::Running,
            durability,
            findings_bytes: 0,
            records: 0,
            counts: C::default(),
            rules,
            progress: P::default(),
            attempts: Attempts::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::migration::checkpoint::{self, Kind};

    #[derive(Debug, Clone, PartialEq, Serialize, Encode, Decode)]
    struct Words(String);

    impl Rules for Words {}

    impl fmt::Display for Words {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(&self.0)
        }
    }

    #[test]
    fn the_head_is_read_without_knowing_the_store() {
        let path = Path::new("checkpoint.bin");
        let mut state =
            RunState::<Words, u64, u64>::new([7; 32], "r1".into(), Words("on-corrupt=refuse".into()), Durability::Each);
        (state.stage, state.records) = (Stage::Verified, 42);
        let bytes = checkpoint::encode(Kind { tag: *b"probe\0\0\0", restart: "" }, path, &state).unwrap();
        let (kind, head) = checkpoint::decode_head::<RunHead>(path, &bytes).unwrap();
        assert_eq!(
            (kind.as_str(), head.run_id.as_str(), head.stage, head.records),
            ("probe", "r1", Stage::Verified, 42)
        );
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0xff;
            checkpoint::decode_head::<RunHead>(path, &damaged).unwrap_err();
            checkpoint::decode_head::<RunHead>(path, &bytes[..at]).unwrap_err();
        }
    }
}
