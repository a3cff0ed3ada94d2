//! Phase 3: fills the tables and columns of the new release, in short transactions.
//!
//! | part | holds |
//! |---|---|
//! | `working` | connections of phases 2 to 4 |
//! | `set_facts`, `given` | what backfills know of the whole set, and the temporary tables that hold it |
//! | `measure` | numbers that are read in each file |
//! | `step` | what a backfill is in one database, and where it stands |
//! | `run`, `batches` | the backfills in order, each in batches with a cursor |

mod batches;
mod given;
mod measure;
mod run;
mod set_facts;
mod step;
#[cfg(test)]
mod tests;
mod working;

pub use batches::{BatchDone, Limits};
pub use given::give;
pub use measure::measure;
pub use run::{BackfillDone, run};
pub use set_facts::{FileFacts, MeasureValue, SetFacts};
pub use step::step_states;
pub use working::{Working, open_working};
