//! Phase 0: looks at every database, measures what is there before the upgrade, and predicts what the upgrade makes of
//! it.
//!
//! | part | holds |
//! |---|---|
//! | `model` | the plan, as its file holds it |
//! | `assess` | makes it |
//! | `look`, `members`, `steps` | private copies, baselines, and what has to be done in each database |
//! | `rehearse`, `estimate` | the upgrade on the copies: rows that it writes, and how long it takes |
//! | `blocks`, `notes`, `space` | what keeps it from beginning, and what is only wrong |
//! | `digest`, `dated`, `kept` | the identity of a plan, its file, and whether the last one still holds |

mod assess;
mod blocks;
mod dated;
mod digest;
mod estimate;
mod kept;
mod look;
mod members;
mod model;
mod notes;
mod rehearse;
mod space;
mod steps;
#[cfg(test)]
pub mod test_plan;
#[cfg(test)]
mod tests;

pub use assess::assess;
pub use dated::write_dated_plan;
pub use kept::kept_plan;
pub use model::{
    Block, Environment, MemberPlan, Mode, PhaseEstimate, Plan, PlanNote, PlannedStep, Prediction, StepState,
};

pub use super::facts::{Baseline, ForeignKeyState, FtsState, TableFacts};
