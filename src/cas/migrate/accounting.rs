//! The accounting of a run: what each converted item adds to the counts, the findings and the digest of the source.
//! Runs, dry runs and read-only passes share it, so that their numbers agree.

use super::converted::{ConvertedItem, ItemResult};
use super::known_objects::KnownObject;
use super::object_log::{LoggedObject, ObjectOutcome};
use super::placer::{IncomingObject, PlaceResult};
use super::source_chain::{Link, chain};
use crate::cas::outcome::{Outcome, RefusalReason, SkipReason};
use crate::cas::source::inventory::Entry;
use crate::cas::source::read::ReadRefusal;
use crate::cas::source::scan::ScanSums;
use crate::cas::source::{Item, Location, SourceRoot};
use crate::cas::state::RunState;
use crate::migration::{Error, Finding, OutcomeCounts, Severity};

/// Where converted objects go.
pub trait Destination {
    /// Stores an object.
    fn place(&mut self, incoming: &IncomingObject<'_>) -> Result<PlaceResult, Error>;
    /// Records the outcome of an object. Called once for each, in the order of the source.
    fn log_object(&mut self, object: &LoggedObject) -> Result<(), Error>;
    /// Records a finding.
    fn add_finding(&mut self, finding: Finding) -> Result<(), Error>;
}

/// Passes the items of a batch to `destination`, in the order of the source, and adds them to `state`.
pub fn record_batch(
    state: &mut RunState,
    root: &SourceRoot,
    destination: &mut impl Destination,
    items: &[ConvertedItem],
) -> Result<(), Error> {
    let mut accounting = RunAccounting { state, root, destination };
    items.iter().try_for_each(|item| accounting.record(item))
}

/// Fails unless everything that the walk found is accounted for.
pub fn check_complete(state: &RunState, sums: &ScanSums) -> Result<(), Error> {
    state.counts.check_sum(state.records)?;
    if state.progress.objects == sums.objects {
        return Ok(());
    }
    let what = format!("{} objects were found, {} were processed", sums.objects, state.progress.objects);
    Err(Error::Accounting { what })
}

struct RunAccounting<'a, D> {
    state: &'a mut RunState,
    root: &'a SourceRoot,
    destination: &'a mut D,
}

impl<D: Destination> RunAccounting<'_, D> {
    fn record(&mut self, item: &ConvertedItem) -> Result<(), Error> {
        self.state.progress.items += 1;
        self.state.records += 1;
        match item.item {
            Item::LoneSidecar(location) => {
                self.state.counts.add(Outcome::Skipped(SkipReason::LoneSidecar));
                self.add_finding(Severity::Note, &location, 0, "a sidecar without its object".into(), None)
            }
            Item::Object { entry, .. } => self.record_object(item, &entry),
        }
    }

    fn record_object(&mut self, item: &ConvertedItem, entry: &Entry) -> Result<(), Error> {
        self.state.progress.objects += 1;
        self.state.progress.source_bytes += entry.len_bytes;
        for note in &item.notes {
            self.add_finding(Severity::Note, &entry.location, entry.len_bytes, note.clone(), None)?;
        }
        let (algorithm, record, blob) = match &item.result {
            ItemResult::Object { algorithm, record, blob } => (*algorithm, record, blob),
            ItemResult::Refused { reason, text } => return self.refuse(entry, &item.link, *reason, text.clone()),
            ItemResult::Known(known) => return self.record_known(entry, &item.link, known),
            ItemResult::LoneSidecar => unreachable!("an object is not a sidecar"),
        };
        let source = self.root.blob(&entry.location);
        let incoming = IncomingObject { record, blob, source: &source, entry };
        let placed = self.destination.place(&incoming)?;
        if let PlaceResult::Refused(ReadRefusal { reason, text }) = placed {
            return self.refuse(entry, &Link::UNREAD, reason, text);
        }
        self.extend_chain(entry, &item.link);
        self.state.progress.generations[algorithm as usize] += 1;
        let outcome = match placed {
            PlaceResult::Migrated { method, sidecar_bytes } => {
                self.state.progress.stored_bytes += record.stored_size;
                self.state.progress.more.sidecar_bytes += sidecar_bytes;
                self.state.progress.more.blobs.add(method);
                self.state.counts.add(Outcome::Migrated);
                ObjectOutcome::Migrated
            }
            PlaceResult::Duplicate => {
                self.state.counts.add(Outcome::Duplicate);
                let text = "another object has the same content".into();
                self.add_finding(
                    Severity::Note,
                    &entry.location,
                    entry.len_bytes,
                    text,
                    Some(record.digest.to_string()),
                )?;
                ObjectOutcome::Duplicate
            }
            PlaceResult::InTarget => {
                self.state.counts.add(Outcome::InTarget);
                ObjectOutcome::InTarget
            }
            PlaceResult::Refused(_) => unreachable!("it is refused above"),
        };
        self.destination.log_object(&LoggedObject {
            outcome,
            old_key: entry.location.key(),
            algorithm,
            record: *record,
        })
    }

    fn record_known(&mut self, entry: &Entry, link: &Link, known: &KnownObject) -> Result<(), Error> {
        self.extend_chain(entry, link);
        self.state.progress.generations[known.algorithm as usize] += 1;
        self.state.progress.more.not_read_again += 1;
        self.state.counts.add(Outcome::InTarget);
        self.destination.log_object(&LoggedObject::known(entry.location.key(), known))
    }

    fn extend_chain(&mut self, entry: &Entry, link: &Link) {
        let so_far = &mut self.state.progress.source_chain;
        *so_far = chain(so_far, entry, link);
    }

    fn refuse(&mut self, entry: &Entry, link: &Link, reason: RefusalReason, text: String) -> Result<(), Error> {
        self.extend_chain(entry, link);
        self.state.counts.add(Outcome::Refused(reason));
        self.add_finding(Severity::Refused, &entry.location, entry.len_bytes, text, None)?;
        self.destination.log_object(&LoggedObject::refused(entry.location.key()))
    }

    fn add_finding(
        &mut self,
        severity: Severity,
        location: &Location,
        length: u64,
        reason: String,
        related: Option<String>,
    ) -> Result<(), Error> {
        let id = Some(location.key().to_string());
        let file = location.to_string();
        self.destination.add_finding(Finding { severity, file, offset: 0, length, reason, id, sequence: None, related })
    }
}
