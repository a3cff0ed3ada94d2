//! Requests, as the reference reads them (docs/source-requiem.md, "Requests").

mod notes;
mod parse;

pub use notes::{Note, NoteKind};
pub(super) use parse::{POLICY, SCHEDULER_MODE, fault, mode_of};
pub use parse::{Request, RequestFault, SchedulerMode};
