//! Decides which records are live: duplicates, deletions, imports and colliding node ids (docs/source-engram.md,
//! "Replay order and duplicates" and "Node ids" and "Field mapping").
//!
//! The rule is local to an id, so one pass over the candidates sorted by id decides everything in constant memory.

use super::layout::{MarkKind, RowKind};
use super::record_lookup::RecordLookup;
use super::replay_key::Candidate;
use crate::migration::{Error, Finding, Severity};
use crate::space::log::node_id::uuid_v5_of;
use crate::space::outcome::{Counts, Outcome, SkipReason};
use crate::space::policy::{Collisions, Deletes, Duplicates, Policies};

/// Takes what the replay decides.
pub trait ReplaySink {
    /// A live node, in the order of `candidate.uuid`; with `rekeyed` it is live under that id instead.
    fn live(&mut self, candidate: &Candidate, rekeyed: Option<[u8; 16]>) -> Result<(), Error>;
    /// A node row that is not live.
    fn mark(&mut self, candidate: &Candidate, kind: MarkKind) -> Result<(), Error>;
    /// Something to report.
    fn finding(&mut self, finding: Finding) -> Result<(), Error>;
}

/// The pass over the sorted candidates.
pub struct Replay<'a, S> {
    policies: Policies,
    records: &'a RecordLookup<'a>,
    sink: &'a mut S,
    counts: Counts,
    /// The last candidate of the current id's walk that is live, if any.
    live: Option<Candidate>,
    previous: Option<Candidate>,
    /// Live records of the current node id, one for each id string.
    claimants: Vec<Candidate>,
}

impl<'a, S: ReplaySink> Replay<'a, S> {
    /// Returns a pass under these policies.
    pub fn new(policies: Policies, records: &'a RecordLookup<'a>, sink: &'a mut S) -> Self {
        Self { policies, records, sink, counts: Counts::default(), live: None, previous: None, claimants: Vec::new() }
    }

    /// Takes the next candidate in key order.
    pub fn push(&mut self, next: Candidate) -> Result<(), Error> {
        if let Some(previous) = self.previous {
            if previous.id_digest != next.id_digest || previous.uuid != next.uuid {
                self.end_id();
            }
            if previous.uuid != next.uuid {
                self.end_uuid()?;
            }
        }
        self.previous = Some(next);
        match next.kind {
            RowKind::Delete => self.delete(&next),
            RowKind::Memory => self.import(next),
            _ => self.store(next),
        }
    }

    /// Ends the pass; the outcomes of all node rows.
    pub fn finish(mut self) -> Result<Counts, Error> {
        self.end_id();
        self.end_uuid()?;
        Ok(self.counts)
    }

    fn store(&mut self, next: Candidate) -> Result<(), Error> {
        let Some(live) = self.live else {
            self.live = Some(next);
            return Ok(());
        };
        let (loser, winner) = match self.policies.duplicates {
            Duplicates::Latest => (live, next),
            Duplicates::Engram | Duplicates::Fail => (next, live),
        };
        self.live = Some(winner);
        let identical = self.records.same_fields(&loser, &winner)?;
        self.counts.add(Outcome::Duplicate { identical });
        self.sink.mark(&loser, if identical { MarkKind::DuplicateIdentical } else { MarkKind::DuplicateDifferent })?;
        let severity = if self.policies.duplicates == Duplicates::Fail { Severity::Fatal } else { Severity::Note };
        let what = if identical { "identical" } else { "different" };
        self.report(severity, &loser, format!("duplicate, {what}"), Some(&winner))
    }

    fn delete(&mut self, delete: &Candidate) -> Result<(), Error> {
        if self.policies.deletes == Deletes::Ignore {
            return Ok(());
        }
        match self.live.take() {
            Some(live) => {
                self.counts.add(Outcome::Skipped(SkipReason::Deleted));
                self.sink.mark(&live, MarkKind::Deleted)?;
                self.report(Severity::Note, &live, "deleted".into(), Some(delete))
            }
            None => self.report(Severity::Note, delete, "deletion found nothing live".into(), None),
        }
    }

    fn import(&mut self, next: Candidate) -> Result<(), Error> {
        let Some(live) = self.live else {
            self.live = Some(next);
            return Ok(());
        };
        self.counts.add(Outcome::Skipped(SkipReason::UpdateNotApplied));
        self.sink.mark(&next, MarkKind::NotApplied)?;
        self.report(Severity::Note, &next, "memory update not applied: its id is live".into(), Some(&live))
    }

    fn end_id(&mut self) {
        self.claimants.extend(self.live.take());
    }

    /// Gives the node id to the first claimant in canonical order.
    fn end_uuid(&mut self) -> Result<(), Error> {
        let mut claimants = std::mem::take(&mut self.claimants);
        claimants.sort_by_key(Candidate::canonical_order);
        for (place, claimant) in claimants.iter().enumerate() {
            self.counts.add(Outcome::Migrated);
            let rekeyed = if place == 0 { None } else { self.collision(claimant, &claimants[0])? };
            self.sink.live(claimant, rekeyed)?;
        }
        claimants.clear();
        self.claimants = claimants;
        Ok(())
    }

    fn collision(&mut self, claimant: &Candidate, first: &Candidate) -> Result<Option<[u8; 16]>, Error> {
        let id = self.records.id_of(claimant)?;
        let node = uuid::Uuid::from_bytes(claimant.uuid);
        if self.policies.collisions == Collisions::Fail {
            let reason = format!("node id {node} is claimed by another id string");
            self.report(Severity::Fatal, claimant, reason, Some(first))?;
            return Ok(None);
        }
        let own = uuid_v5_of(&id);
        if own == node {
            let reason = format!("node id {node} is claimed by another id string, and so is the rekeyed one");
            self.report(Severity::Fatal, claimant, reason, Some(first))?;
            return Ok(None);
        }
        let reason = format!("node id {node} is claimed by another id string: rekeyed to {own}");
        self.report(Severity::Note, claimant, reason, Some(first))?;
        Ok(Some(*own.as_bytes()))
    }

    fn report(
        &mut self,
        severity: Severity,
        record: &Candidate,
        reason: String,
        related: Option<&Candidate>,
    ) -> Result<(), Error> {
        let finding = Finding {
            severity,
            file: self.records.file_name(record.file).to_owned(),
            offset: record.offset,
            length: self.records.total_bytes(record)?,
            reason,
            id: Some(self.records.id_of(record)?),
            sequence: Some(record.sequence),
            related: related.map(|other| {
                format!(
                    "{} at offset {}, sequence {}",
                    self.records.file_name(other.file),
                    other.offset,
                    other.sequence
                )
            }),
        };
        self.sink.finding(finding)
    }
}
