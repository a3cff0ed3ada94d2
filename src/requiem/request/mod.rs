//! Requests, as the reference reads them (docs/source-requiem.md, "Requests").

mod notes;
mod parse;

pub use notes::{Note, NoteKind};
pub use parse::{OUTPUTS_MAX, REQUEST_BYTES_MAX, Request, RequestFault, SchedulerMode};
pub(super) use parse::{POLICY, SCHEDULER_MODE, fault, mode_of};
