//! The books of a run: what each converted item adds to the counts, the findings and the proof of the source. A dry run
//! keeps the same ones.

use super::converted::{Converted, ConvertedItem, Verdict};
use super::object_log::{Fate, Moved};
use super::placer::{Arrival, Placing};
use super::source_chain::chain;
use crate::cas::outcome::{Outcome, RefusalReason, SkipReason};
use crate::cas::source::inventory::Entry;
use crate::cas::source::scan::ScanSums;
use crate::cas::source::{Item, Location, SourceRoot};
use crate::cas::state::RunState;
use crate::migration::{Error, Finding, OutcomeCounts, Severity};

/// Where converted objects go.
pub trait Destination {
    /// Takes an object.
    fn place(&mut self, arrival: &Arrival<'_>) -> Result<Placing, Error>;
    /// Keeps what became of an object. Called once for each, in the order of the source.
    fn keep(&mut self, moved: &Moved) -> Result<(), Error>;
    /// Takes note of a finding.
    fn find(&mut self, finding: Finding) -> Result<(), Error>;
}

/// Takes the items of a batch, in the order of the source, to `destination` and into the books, which are `state`.
pub fn enter(
    state: &mut RunState,
    root: &SourceRoot,
    destination: &mut impl Destination,
    converted: &Converted,
) -> Result<(), Error> {
    let mut books = Books { state, root, destination };
    converted.items.iter().try_for_each(|item| books.take(item, &converted.bytes))
}

/// Fails unless everything that the walk found is accounted for.
pub fn check_complete(state: &RunState, sums: &ScanSums) -> Result<(), Error> {
    state.counts.check_sum(state.records)?;
    if state.objects == sums.objects {
        return Ok(());
    }
    let what = format!("{} objects were found, {} gone through", sums.objects, state.objects);
    Err(Error::Accounting { what })
}

struct Books<'a, D> {
    state: &'a mut RunState,
    root: &'a SourceRoot,
    destination: &'a mut D,
}

impl<D: Destination> Books<'_, D> {
    fn take(&mut self, item: &ConvertedItem, bytes: &[u8]) -> Result<(), Error> {
        self.state.items += 1;
        self.state.records += 1;
        match item.item {
            Item::LoneSidecar(location) => {
                self.state.counts.add(Outcome::Skipped(SkipReason::LoneSidecar));
                self.find(Severity::Note, &location, 0, "a sidecar without its object".into(), None)
            }
            Item::Object { entry, .. } => self.take_object(item, &entry, bytes),
        }
    }

    fn take_object(&mut self, item: &ConvertedItem, entry: &Entry, bytes: &[u8]) -> Result<(), Error> {
        self.state.objects += 1;
        self.state.source_bytes += entry.len_bytes;
        self.state.source_chain = chain(&self.state.source_chain, entry, &item.link);
        for note in &item.notes {
            self.find(Severity::Note, &entry.location, entry.len_bytes, note.clone(), None)?;
        }
        let (algorithm, record, blob) = match &item.verdict {
            Verdict::Object { algorithm, record, blob } => (*algorithm, record, blob),
            Verdict::Refused { reason, text } => return self.refuse(entry, *reason, text.clone()),
            Verdict::LoneSidecar => unreachable!("an object is not a sidecar"),
        };
        let source = self.root.blob(&entry.location);
        let arrival = Arrival { record, blob, bytes, source: &source, entry };
        let fate = match self.destination.place(&arrival)? {
            Placing::Done(fate) => fate,
            Placing::SourceChanged => {
                let text = "changed during the run: another file stands under its name".into();
                return self.refuse(entry, RefusalReason::Changed, text);
            }
        };
        self.state.generations[algorithm as usize] += 1;
        match fate {
            Fate::Migrated => {
                self.state.stored_bytes += record.stored_size;
                self.state.counts.add(Outcome::Migrated);
            }
            Fate::Duplicate => {
                self.state.counts.add(Outcome::Duplicate);
                let text = "another object has the same content".into();
                self.find(Severity::Note, &entry.location, entry.len_bytes, text, Some(record.digest.to_string()))?;
            }
            Fate::InTarget => self.state.counts.add(Outcome::InTarget),
            Fate::Refused => unreachable!("nothing that is placed is refused"),
        }
        self.destination.keep(&Moved { fate, old_key: entry.location.key(), algorithm, record: *record })
    }

    fn refuse(&mut self, entry: &Entry, reason: RefusalReason, text: String) -> Result<(), Error> {
        self.state.counts.add(Outcome::Refused(reason));
        self.find(Severity::Refused, &entry.location, entry.len_bytes, text, None)?;
        self.destination.keep(&Moved::refused(entry.location.key()))
    }

    fn find(
        &mut self,
        severity: Severity,
        location: &Location,
        length: u64,
        reason: String,
        related: Option<String>,
    ) -> Result<(), Error> {
        let id = Some(location.key().to_string());
        let file = location.to_string();
        self.destination.find(Finding { severity, file, offset: 0, length, reason, id, sequence: None, related })
    }
}
