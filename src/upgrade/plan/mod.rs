//! Phase 0: looks at every database, measures what is there before the upgrade, and foretells what the upgrade makes of it.

mod baseline;
mod model;

pub use baseline::{Baseline, FtsState, ForeignKeyState, TableFacts};
pub use model::{Block, Mode, MemberPlan, PhaseEstimate, Plan, PlanNote, PlannedStep, Prediction, StepState};
