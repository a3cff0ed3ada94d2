//! Phase 0: looks at every database, measures what is there before the upgrade, and predicts what the upgrade makes of it.

mod model;

pub use super::facts::{Baseline, ForeignKeyState, FtsState, TableFacts};
pub use model::{Block, MemberPlan, Mode, PhaseEstimate, Plan, PlanNote, PlannedStep, Prediction, StepState};
