//! Phase 4: compares every database with its baseline and with what was predicted.
//!
//! | part | holds |
//! |---|---|
//! | [`Verification`] | checks, checklist and criteria, each with its figure |
//! | `subject` | what is verified |
//! | `plan_check`, `objects`, `old_data`, `rebuilds`, `new_data`, `records`, `integrity`, `speed`, `operation` | the checks |
//! | `run` | all of them |

mod integrity;
mod new_data;
mod objects;
mod old_data;
mod operation;
mod plan_check;
mod rebuilds;
mod records;
mod result;
mod run;
mod speed;
mod subject;
#[cfg(test)]
mod tests;

pub use result::{CheckResult, Verification};
pub use run::verify;
pub use speed::percentile_of;
pub use subject::Subject;
