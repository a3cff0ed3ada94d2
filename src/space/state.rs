//! What the checkpoint of a space migration holds.

use std::ops::Deref;

use bincode::de::Decoder;
use bincode::error::DecodeError;

use super::log::reader::Cursor;
use super::options::SpaceRules;
use super::outcome::Counts;
use super::store::names::{generation, store_name};
use crate::migration::checkpoint::Kind;
use crate::migration::{self, SourceBytes};

/// Tag of a space's checkpoint file.
pub const CHECKPOINT_KIND: Kind =
    Kind { tag: *b"space\0\0\0", restart: "start over with --restart (the log is untouched)" };

/// State of a run, as of a point that is durable.
pub type RunState = migration::RunState<SpaceRules, Progress, Counts>;

/// How far a run has come. Lengths are of the staged files at a durable point; bytes beyond are cut off when the run is
/// continued.
#[derive(Debug, Clone, PartialEq, Eq, Default, bincode::Encode, bincode::Decode)]
pub struct Progress {
    /// Name of the store that is made.
    pub store: StoreName,
    /// The place in the source from which the run continues.
    pub cursor: Cursor,
    /// Last sequence number seen in the cursor's file.
    pub last_sequence: Option<u64>,
    /// Segment that is being filled.
    pub segment: u32,
    /// Its length.
    pub segment_bytes: u64,
    /// Findings so far under a policy `fail`.
    pub fatal_findings: u64,
    /// Node rows so far, of which the replay decides.
    pub node_rows: u64,
    /// Source bytes so far, by kind.
    pub source: SourceBytes,
}

/// Name of a store, `dual-000001`; empty before a run has chosen it, which no checkpoint holds.
///
/// A path is made of it, so nothing else can be decoded: anybody can give a checkpoint the right digest.
#[derive(Debug, Clone, PartialEq, Eq, Default, bincode::Encode)]
pub struct StoreName(String);

impl StoreName {
    /// Returns the name of this generation.
    pub fn of_generation(number: u32) -> Self {
        Self(store_name(number))
    }
}

impl Deref for StoreName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<C> bincode::Decode<C> for StoreName {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let name: String = bincode::Decode::decode(decoder)?;
        match generation(&name).is_some() {
            true => Ok(Self(name)),
            false => Err(DecodeError::OtherString(format!("{name:?} is no name of a store"))),
        }
    }
}

bincode::impl_borrow_decode!(StoreName);

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::migration::checkpoint::{decode, encode};

    #[test]
    fn a_store_that_a_checkpoint_names_lies_in_the_space() {
        let path = Path::new("checkpoint.bin");
        let bytes = encode(CHECKPOINT_KIND, path, &StoreName::of_generation(7)).unwrap();
        assert_eq!(&*decode::<StoreName>(CHECKPOINT_KIND, path, &bytes).unwrap(), "dual-000007");
        for name in ["", "/tmp/outside", "../dual-000001", "wal", "dual-1", "dual-000001/x", "CURRENT"] {
            let bytes = encode(CHECKPOINT_KIND, path, &name.to_owned()).unwrap();
            let error = decode::<StoreName>(CHECKPOINT_KIND, path, &bytes).unwrap_err();
            assert!(error.to_string().contains("is no name of a store"), "{error}");
            assert_eq!(error.exit_code(), crate::migration::exit::BAD_DATA);
        }
    }
}
