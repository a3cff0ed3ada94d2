//! The progress of a verification, and the writer that advances it.

use super::object::{Checked, Totals};
use super::request::VerifyRequest;
use crate::cas::format::key::Key;
use crate::cas::source::scan::ScanSums;
use crate::durable::SourceIdentity;
use crate::migration::checkpoint::Kind;
use crate::migration::{Error, ResumePoint, Sample, Subset};
use crate::pipeline::{Commit, Writer};

/// Kind tag of the checkpoint of a verification.
pub const VERIFY_KIND: Kind = Kind { tag: *b"casverif", restart: "verify again" };

/// What a verification reads. One is resumed only if this is the same.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct VerifySubject {
    objects: [u8; 32],
    index: Option<IndexState>,
    subset: Subset,
    sample: Option<Sample>,
    merged_into: Option<String>,
}

/// Length, time of the last change and inode of an index.
type IndexState = (u64, i64, u32, u64);

impl VerifySubject {
    /// Returns the subject of a request for a store as it is now.
    pub fn new(sums: &ScanSums, index: Option<SourceIdentity>, request: &VerifyRequest) -> Self {
        Self {
            objects: sums.digest(),
            index: index.map(|now| (now.len_bytes, now.modified_secs, now.modified_nanos, now.inode)),
            subset: request.subset,
            sample: request.sample,
            merged_into: request.merged_into.as_ref().map(|store| store.display().to_string()),
        }
    }
}

/// A verification in progress.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct VerifyState {
    /// What it reads.
    pub subject: VerifySubject,
    /// Number of items that are done.
    pub next: u64,
    /// The result for them.
    pub totals: Totals,
}

/// Returns the state stored at `place` by a verification of the same subject, else a new state. The flag says which.
pub fn resumed(place: Option<&ResumePoint>, subject: VerifySubject) -> Result<(VerifyState, bool), Error> {
    let saved = match place {
        Some(place) => place.load::<VerifyState>()?,
        None => None,
    };
    match saved.filter(|saved| saved.subject == subject) {
        Some(saved) => Ok((saved, true)),
        None => Ok((VerifyState { subject, next: 0, totals: Totals::default() }, false)),
    }
}

/// Called for every intact object, in the order of keys: with its key and the length of its content.
pub type OnSound<'a> = dyn FnMut(Key, u64) -> Result<(), Error> + Send + 'a;

/// Adds up the results and stores the progress.
pub struct StateWriter<'a> {
    /// The progress.
    pub state: VerifyState,
    /// Where it is stored.
    pub place: Option<&'a ResumePoint>,
    /// Called for intact objects.
    pub on_sound: &'a mut OnSound<'a>,
}

impl<'a> Writer for StateWriter<'a> {
    type Output = Checked;
    type Error = Error;
    type Commit = KeepPlace<'a>;
    const MIGRATES: bool = false;

    fn write(&mut self, checked: Checked) -> Result<(), Error> {
        for (key, content_bytes) in checked.sound {
            (self.on_sound)(key, content_bytes)?;
        }
        self.state.totals.merge(checked.totals);
        self.state.next = checked.next;
        Ok(())
    }

    fn commit_point(&mut self) -> Result<KeepPlace<'a>, Error> {
        Ok(KeepPlace(self.place.map(|place| (place, self.state.clone()))))
    }
}

/// Stores the progress durably.
pub struct KeepPlace<'a>(Option<(&'a ResumePoint, VerifyState)>);

impl Commit for KeepPlace<'_> {
    type Error = Error;

    fn commit(self) -> Result<(), Error> {
        self.0.map_or(Ok(()), |(place, state)| place.store(&state))
    }
}
