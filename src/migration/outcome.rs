//! What became of each record, and the sums that must add up.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::checkpoint::{Decode, Encode};
use super::{Error, units::count_text};

/// What became of one record. Every record that is read ends in exactly one of these.
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

/// Records by outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode, Serialize, Deserialize)]
pub struct Counts {
    /// [`Outcome::Migrated`].
    pub migrated: u64,
    /// [`Outcome::Duplicate`] with the same bytes.
    pub duplicate_identical: u64,
    /// [`Outcome::Duplicate`] with other bytes.
    pub duplicate_different: u64,
    /// [`SkipReason::Deleted`].
    pub skipped_deleted: u64,
    /// [`SkipReason::DeleteEntry`].
    pub skipped_delete_entry: u64,
    /// [`SkipReason::UpdateNotApplied`].
    pub skipped_update_not_applied: u64,
    /// [`SkipReason::Control`].
    pub skipped_control: u64,
    /// [`RefusalReason::Corrupt`].
    pub refused_corrupt: u64,
    /// [`RefusalReason::Undecodable`].
    pub refused_undecodable: u64,
    /// [`RefusalReason::OutOfRange`].
    pub refused_out_of_range: u64,
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

    /// Adds the counts of another part of the run.
    pub fn merge(&mut self, other: &Self) {
        for (count, (_, more)) in self.each_mut().into_iter().zip(other.each()) {
            *count = count.saturating_add(more);
        }
    }

    /// Records counted.
    pub fn sum(&self) -> u64 {
        self.each().into_iter().fold(0, |sum, (_, count)| sum.saturating_add(count))
    }

    /// Records that were refused.
    pub fn refused(&self) -> u64 {
        self.refused_corrupt.saturating_add(self.refused_undecodable).saturating_add(self.refused_out_of_range)
    }

    /// Fails unless every record that was read is counted exactly once.
    pub fn check_sum(&self, read: u64) -> Result<(), Error> {
        let sum = self.sum();
        if sum == read {
            return Ok(());
        }
        Err(Error::Accounting { what: format!("{read} records were read, {sum} have an outcome") })
    }

    /// Every count with its name, in the order of the fields.
    fn each(&self) -> [(&'static str, u64); 10] {
        [
            ("migrated", self.migrated),
            ("duplicate, identical", self.duplicate_identical),
            ("duplicate, different", self.duplicate_different),
            ("skipped, deleted", self.skipped_deleted),
            ("skipped, delete entry", self.skipped_delete_entry),
            ("skipped, update not applied", self.skipped_update_not_applied),
            ("skipped, control", self.skipped_control),
            ("refused, corrupt", self.refused_corrupt),
            ("refused, undecodable", self.refused_undecodable),
            ("refused, out of range", self.refused_out_of_range),
        ]
    }

    fn each_mut(&mut self) -> [&mut u64; 10] {
        [
            &mut self.migrated,
            &mut self.duplicate_identical,
            &mut self.duplicate_different,
            &mut self.skipped_deleted,
            &mut self.skipped_delete_entry,
            &mut self.skipped_update_not_applied,
            &mut self.skipped_control,
            &mut self.refused_corrupt,
            &mut self.refused_undecodable,
            &mut self.refused_out_of_range,
        ]
    }
}

/// One aligned line for what was migrated and for every other count above zero.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.each().into_iter().enumerate().filter(|(index, (_, count))| *index == 0 || *count > 0);
        for (line, (_, (name, count))) in shown.enumerate() {
            let end = if line == 0 { "" } else { "\n" };
            write!(f, "{end}{name:<28}{:>16}", count_text(count))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    /// One of the first outcome, two of the second, and so on.
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
        assert_eq!(staircase().each().map(|(_, count)| count), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!((staircase().sum(), staircase().refused()), (55, 27));
    }

    #[test]
    fn merging_adds_each_count() {
        let mut counts = staircase();
        counts.merge(&staircase());
        assert_eq!(counts.each().map(|(_, count)| count), [2, 4, 6, 8, 10, 12, 14, 16, 18, 20]);
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
