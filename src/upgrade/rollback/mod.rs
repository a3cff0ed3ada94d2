//! The way back: exports what was written since the snapshot, and makes the backups live.

mod divergence;
mod export;
mod rebuilt;
mod restore;
mod run;
mod statements;
#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests lay out files")]
mod tests;

pub use divergence::TableDivergence;
pub use export::{DatabaseDivergence, SetDivergence};
pub use run::{RollbackEnd, rollback};
