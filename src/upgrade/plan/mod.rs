//! Phase 0: looks at every database, measures what is there before the upgrade, and predicts what the upgrade makes of it.

mod baseline;
mod model;

pub use baseline::{Baseline, ForeignKeyState, FtsState, TableFacts};
pub use model::{Block, MemberPlan, Mode, PhaseEstimate, Plan, PlanNote, PlannedStep, Prediction, StepState};
