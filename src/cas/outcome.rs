//! The outcome of each thing that is found in a source.

use crate::migration::outcome::outcome_counts;

/// The outcome of one object, or of one name that is not an object's. Everything found has exactly one outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The target has its content under its new key.
    Migrated,
    /// An earlier object of the source has the same content.
    Duplicate,
    /// The store that is merged into has its content already.
    InTarget,
    /// It is not an object.
    Skipped(SkipReason),
    /// It has an object's name and cannot be migrated; a finding names it.
    Refused(RefusalReason),
}

/// Why a name is not an object's (docs/source-requiem.md, "Layouts").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SkipReason {
    /// A temporary file of some writer: `.tmp_*`, `*.tmp`.
    Temporary,
    /// A sidecar `*.meta` without its object.
    LoneSidecar,
    /// A signature `*.sig`.
    Signature,
    /// An index next to the objects: `index.ndjson`.
    Index,
    /// Any other name.
    Foreign,
}

impl SkipReason {
    /// Returns the reason for people.
    pub fn text(self) -> &'static str {
        match self {
            Self::Temporary => "a temporary file",
            Self::LoneSidecar => "a sidecar without its object",
            Self::Signature => "a signature",
            Self::Index => "an index",
            Self::Foreign => "a foreign name",
        }
    }
}

/// Why an object is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalReason {
    /// No digest of its content is its name, neither stored nor decoded.
    Unidentified,
    /// Its bytes, or the names in a directory of objects, cannot be read.
    Unreadable,
    /// A link, a directory, a pipe or a device has an object's name.
    NotAFile,
    /// It changed while it was read.
    Changed,
}

outcome_counts! {
    /// Everything found in a source, by outcome.
    pub struct Counts {
        passed {
            /// [`Outcome::Migrated`].
            migrated: "migrated",
            /// [`Outcome::Duplicate`].
            duplicate: "duplicate",
            /// [`Outcome::InTarget`].
            duplicate_in_target: "already in the target",
            /// [`SkipReason::Temporary`].
            skipped_temporary: "skipped, temporary file",
            /// [`SkipReason::LoneSidecar`].
            skipped_lone_sidecar: "skipped, lone sidecar",
            /// [`SkipReason::Signature`].
            skipped_signature: "skipped, signature",
            /// [`SkipReason::Index`].
            skipped_index: "skipped, index",
            /// [`SkipReason::Foreign`].
            skipped_foreign: "skipped, foreign name",
        }
        refused {
            /// [`RefusalReason::Unidentified`].
            refused_unidentified: "refused, unidentified",
            /// [`RefusalReason::Unreadable`].
            refused_unreadable: "refused, unreadable",
            /// [`RefusalReason::NotAFile`].
            refused_not_a_file: "refused, not a file",
            /// [`RefusalReason::Changed`].
            refused_changed: "refused, changed",
        }
    }
}

impl Counts {
    /// Counts one thing found.
    pub fn add(&mut self, outcome: Outcome) {
        let count = match outcome {
            Outcome::Migrated => &mut self.migrated,
            Outcome::Duplicate => &mut self.duplicate,
            Outcome::InTarget => &mut self.duplicate_in_target,
            Outcome::Skipped(SkipReason::Temporary) => &mut self.skipped_temporary,
            Outcome::Skipped(SkipReason::LoneSidecar) => &mut self.skipped_lone_sidecar,
            Outcome::Skipped(SkipReason::Signature) => &mut self.skipped_signature,
            Outcome::Skipped(SkipReason::Index) => &mut self.skipped_index,
            Outcome::Skipped(SkipReason::Foreign) => &mut self.skipped_foreign,
            Outcome::Refused(RefusalReason::Unidentified) => &mut self.refused_unidentified,
            Outcome::Refused(RefusalReason::Unreadable) => &mut self.refused_unreadable,
            Outcome::Refused(RefusalReason::NotAFile) => &mut self.refused_not_a_file,
            Outcome::Refused(RefusalReason::Changed) => &mut self.refused_changed,
        };
        *count = count.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migration::OutcomeCounts;

    #[test]
    fn every_outcome_has_its_own_count() {
        use RefusalReason::*;
        use SkipReason::*;
        let all = [
            Outcome::Migrated,
            Outcome::Duplicate,
            Outcome::InTarget,
            Outcome::Skipped(Temporary),
            Outcome::Skipped(LoneSidecar),
            Outcome::Skipped(Signature),
            Outcome::Skipped(Index),
            Outcome::Skipped(Foreign),
            Outcome::Refused(Unidentified),
            Outcome::Refused(Unreadable),
            Outcome::Refused(NotAFile),
            Outcome::Refused(Changed),
        ];
        let mut counts = Counts::default();
        for (times, outcome) in all.into_iter().enumerate() {
            (0..=times).for_each(|_| counts.add(outcome));
        }
        let found: Vec<_> = counts.each().into_iter().map(|(_, count)| count).collect();
        assert_eq!(found, (1..=12).collect::<Vec<_>>());
        assert_eq!((counts.sum(), counts.refused()), (78, 9 + 10 + 11 + 12));
    }
}
