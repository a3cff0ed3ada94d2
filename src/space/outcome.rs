//! The outcome of each record of a log.

use crate::migration::outcome::outcome_counts;

/// The outcome of one record. Every record that is read ends in exactly one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It is in the target.
    Migrated,
    /// Another record of the same identity is in the target in its place.
    Duplicate {
        /// True if both hold the same bytes.
        identical: bool,
    },
    /// It is left out because of what it says.
    Skipped(SkipReason),
    /// It is left out because of what is wrong with it; a finding names it.
    Refused(RefusalReason),
}

/// Why a sound record is not in the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SkipReason {
    /// A later record deletes what it holds.
    Deleted,
    /// It is itself the record of a deletion.
    DeleteEntry,
    /// It updates something that is not there.
    UpdateNotApplied,
    /// It holds no data, only something about the log itself.
    Control,
}

/// What is wrong with a record that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalReason {
    /// Its bytes do not match their checksum.
    Corrupt,
    /// Its bytes are whole but do not decode.
    Undecodable,
    /// It decodes to a value that the target does not allow.
    OutOfRange,
}

outcome_counts! {
    /// Records by outcome.
    pub struct Counts {
        passed {
            /// [`Outcome::Migrated`].
            migrated: "migrated",
            /// [`Outcome::Duplicate`] with the same bytes.
            duplicate_identical: "duplicate, identical",
            /// [`Outcome::Duplicate`] with other bytes.
            duplicate_different: "duplicate, different",
            /// [`SkipReason::Deleted`].
            skipped_deleted: "skipped, deleted",
            /// [`SkipReason::DeleteEntry`].
            skipped_delete_entry: "skipped, delete entry",
            /// [`SkipReason::UpdateNotApplied`].
            skipped_update_not_applied: "skipped, update not applied",
            /// [`SkipReason::Control`].
            skipped_control: "skipped, control",
        }
        refused {
            /// [`RefusalReason::Corrupt`].
            refused_corrupt: "refused, corrupt",
            /// [`RefusalReason::Undecodable`].
            refused_undecodable: "refused, undecodable",
            /// [`RefusalReason::OutOfRange`].
            refused_out_of_range: "refused, out of range",
        }
    }
}

impl Counts {
    /// Counts one record.
    pub fn add(&mut self, outcome: Outcome) {
        let count = match outcome {
            Outcome::Migrated => &mut self.migrated,
            Outcome::Duplicate { identical: true } => &mut self.duplicate_identical,
            Outcome::Duplicate { identical: false } => &mut self.duplicate_different,
            Outcome::Skipped(SkipReason::Deleted) => &mut self.skipped_deleted,
            Outcome::Skipped(SkipReason::DeleteEntry) => &mut self.skipped_delete_entry,
            Outcome::Skipped(SkipReason::UpdateNotApplied) => &mut self.skipped_update_not_applied,
            Outcome::Skipped(SkipReason::Control) => &mut self.skipped_control,
            Outcome::Refused(RefusalReason::Corrupt) => &mut self.refused_corrupt,
            Outcome::Refused(RefusalReason::Undecodable) => &mut self.refused_undecodable,
            Outcome::Refused(RefusalReason::OutOfRange) => &mut self.refused_out_of_range,
        };
        *count = count.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migration::OutcomeCounts;

    const ALL: [Outcome; 10] = [
        Outcome::Migrated,
        Outcome::Duplicate { identical: true },
        Outcome::Duplicate { identical: false },
        Outcome::Skipped(SkipReason::Deleted),
        Outcome::Skipped(SkipReason::DeleteEntry),
        Outcome::Skipped(SkipReason::UpdateNotApplied),
        Outcome::Skipped(SkipReason::Control),
        Outcome::Refused(RefusalReason::Corrupt),
        Outcome::Refused(RefusalReason::Undecodable),
        Outcome::Refused(RefusalReason::OutOfRange),
    ];

    /// Returns one of the first outcome, two of the second, and so on.
    fn staircase() -> Counts {
        let mut counts = Counts::default();
        for (index, outcome) in ALL.into_iter().enumerate() {
            for _ in 0..=index {
                counts.add(outcome);
            }
        }
        counts
    }

    #[test]
    fn every_outcome_has_a_count_of_its_own() {
        assert_eq!(
            staircase().each().into_iter().map(|(_, count)| count).collect::<Vec<_>>(),
            [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
        );
        assert_eq!((staircase().sum(), staircase().refused()), (55, 27));
    }

    #[test]
    fn merging_adds_each_count() {
        let mut counts = staircase();
        counts.merge(&staircase());
        assert_eq!(
            counts.each().into_iter().map(|(_, count)| count).collect::<Vec<_>>(),
            [2, 4, 6, 8, 10, 12, 14, 16, 18, 20]
        );
    }

    #[test]
    fn counts_that_do_not_add_up_fail() {
        staircase().check_sum(55).unwrap();
        for read in [0, 54, 56] {
            let error = staircase().check_sum(read).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("counts do not add up: {read} records were read, 55 have an outcome")
            );
        }
    }

    #[test]
    fn names_in_json_are_frozen() {
        insta::assert_snapshot!(serde_json::to_string(&staircase()).unwrap(), @r#"{"migrated":1,"duplicate_identical":2,"duplicate_different":3,"skipped_deleted":4,"skipped_delete_entry":5,"skipped_update_not_applied":6,"skipped_control":7,"refused_corrupt":8,"refused_undecodable":9,"refused_out_of_range":10}"#);
    }

    #[test]
    fn lines_are_aligned_and_zeros_left_out() {
        insta::assert_snapshot!(Counts::default(), @"migrated                                   0");
        insta::assert_snapshot!(Counts { migrated: 1234567, refused_corrupt: 2, ..Counts::default() }, @r#"
        migrated                           1,234,567
        refused, corrupt                           2
        "#);
    }
}
