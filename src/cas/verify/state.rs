//! Where a verification stands, and the writer that takes it further.

use super::object::{Checked, Totals};
use super::request::{Sample, VerifyRequest};
use crate::cas::format::key::Key;
use crate::cas::source::scan::ScanSums;
use crate::durable::SourceIdentity;
use crate::migration::checkpoint::Kind;
use crate::migration::{Error, ResumePoint, Subset};
use crate::pipeline::{Commit, Writer};

/// Kind tag of the checkpoint of a verification.
pub const VERIFY_KIND: Kind = Kind { tag: *b"casverif", restart: "verify again" };

/// What a verification is about: one that is resumed must be about the same.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct Subject {
    objects: [u8; 32],
    index: Option<IndexState>,
    subset: Subset,
    sample: Option<Sample>,
    merged_into: Option<String>,
}

/// Length, time of the last change and inode of an index.
type IndexState = (u64, i64, u32, u64);

impl Subject {
    /// A request about a store as it is now.
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

/// A verification under way.
#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct VerifyState {
    /// What it is about.
    pub subject: Subject,
    /// Things that are done.
    pub next: u64,
    /// What they gave.
    pub totals: Totals,
}

/// The state that was kept at `place` of a verification of the same subject, else one that begins. The flag says which.
pub fn resumed(place: Option<&ResumePoint>, subject: Subject) -> Result<(VerifyState, bool), Error> {
    let saved = match place {
        Some(place) => place.load::<VerifyState>()?,
        None => None,
    };
    match saved.filter(|saved| saved.subject == subject) {
        Some(saved) => Ok((saved, true)),
        None => Ok((VerifyState { subject, next: 0, totals: Totals::default() }, false)),
    }
}

/// Is told of every object that is sound, in the order of keys: its key and the length of its content.
pub type OnSound<'a> = dyn FnMut(Key, u64) -> Result<(), Error> + Send + 'a;

/// Adds up, and keeps the place.
pub struct StateWriter<'a> {
    /// Where it stands.
    pub state: VerifyState,
    /// Where that is kept.
    pub place: Option<&'a ResumePoint>,
    /// Who is told of sound objects.
    pub on_sound: &'a mut OnSound<'a>,
}

impl<'a> Writer for StateWriter<'a> {
    type Output = Checked;
    type Error = Error;
    type Commit = KeepPlace<'a>;

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

/// Keeps the place durably.
pub struct KeepPlace<'a>(Option<(&'a ResumePoint, VerifyState)>);

impl Commit for KeepPlace<'_> {
    type Error = Error;

    fn commit(self) -> Result<(), Error> {
        self.0.map_or(Ok(()), |(place, state)| place.store(&state))
    }
}
