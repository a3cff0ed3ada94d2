//! The sums that must add up: the outcome of each record, by the outcomes of each kind of store.

use std::fmt;

use serde::Serialize;

use super::Error;

/// Records by outcome. Every record that is read ends in exactly one of them. Made by `outcome_counts!`.
pub trait OutcomeCounts: Serialize + fmt::Display {
    /// Adds the counts of another part of the run.
    fn merge(&mut self, other: &Self);
    /// Every count with the name that it has in JSON.
    fn by_name(&self) -> Vec<(&'static str, u64)>;
    /// Records counted.
    fn sum(&self) -> u64;
    /// Records that were refused.
    fn refused(&self) -> u64;

    /// Fails unless every record that was read is counted exactly once.
    fn check_sum(&self, read: u64) -> Result<(), Error> {
        let sum = self.sum();
        if sum == read {
            return Ok(());
        }
        Err(Error::Accounting { what: format!("{read} records were read, {sum} have an outcome") })
    }
}

/// A struct with one count for each outcome of a kind of store: its field, and its name for people. The first is shown
/// even where it is zero. Counts that stand under `refused` are those of records that are left out for what is wrong
/// with them.
macro_rules! outcome_counts {
    (
        $(#[$doc:meta])* pub struct $counts:ident {
            passed { $($(#[$passed_doc:meta])* $passed:ident: $passed_name:literal,)+ }
            refused { $($(#[$refused_doc:meta])* $refused:ident: $refused_name:literal,)+ }
        }
    ) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Default, bincode::Encode, bincode::Decode, serde::Serialize,
            serde::Deserialize,
        )]
        pub struct $counts {
            $($(#[$passed_doc])* pub $passed: u64,)+
            $($(#[$refused_doc])* pub $refused: u64,)+
        }

        impl $counts {
            /// Every count with its name, in the order of the fields.
            pub fn each(&self) -> Vec<(&'static str, u64)> {
                vec![$(($passed_name, self.$passed),)+ $(($refused_name, self.$refused),)+]
            }
        }

        impl $crate::migration::OutcomeCounts for $counts {
            fn merge(&mut self, other: &Self) {
                $(self.$passed = self.$passed.saturating_add(other.$passed);)+
                $(self.$refused = self.$refused.saturating_add(other.$refused);)+
            }

            fn by_name(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($passed), self.$passed),)+ $((stringify!($refused), self.$refused),)+]
            }

            fn sum(&self) -> u64 {
                self.each().into_iter().fold(0, |sum, (_, count)| sum.saturating_add(count))
            }

            fn refused(&self) -> u64 {
                [$(self.$refused),+].into_iter().fold(0, u64::saturating_add)
            }
        }

        /// One aligned line for the first count and for every other above zero.
        impl std::fmt::Display for $counts {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let shown = self.each().into_iter().enumerate().filter(|(index, (_, count))| *index == 0 || *count > 0);
                for (line, (_, (name, count))) in shown.enumerate() {
                    let end = if line == 0 { "" } else { "\n" };
                    write!(f, "{end}{name:<28}{:>16}", $crate::migration::units::count_text(count))?;
                }
                Ok(())
            }
        }
    };
}
pub(crate) use outcome_counts;
