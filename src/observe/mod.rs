//! Consumers of the events of a run: a bar for terminals, plain lines for logs, JSON lines for programs.
//!
//! An event costs the run a few atomic additions. A thread of its own draws a few times a second, from a [`Snapshot`].
//! Everything goes to standard error.

mod bar;
mod console;
mod figures;
mod json_lines;
mod lines;
mod scope;
mod speed;
mod text;

pub use bar::Bar;
pub use console::Console;
pub use figures::Snapshot;
pub use json_lines::JsonLines;
pub use lines::Lines;
pub use scope::Scope;
pub use text::duration_text;
