//! Consumers of the events of a run: a bar for terminals, plain lines for logs, JSON lines for programs.
//!
//! An event costs the run a few atomic additions; whatever is drawn is drawn by a thread of its own, a few times a
//! second, from a [`Snapshot`]. Everything goes to standard error.

mod bar;
mod console;
mod figures;
mod json_lines;
mod lines;
mod speed;
mod text;

pub use bar::Bar;
pub use console::Console;
pub use figures::{Figures, Snapshot};
pub use json_lines::JsonLines;
pub use lines::Lines;
pub use speed::Speed;
pub use text::duration_text;

/// What a view knows of a run beyond its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// What one record is called, in the plural.
    pub records_noun: &'static str,
    /// Bytes of the whole source: a resumed run starts its bar where the earlier one ended.
    pub source_bytes: Option<u64>,
    /// The memory budget.
    pub budget_bytes: u64,
}
