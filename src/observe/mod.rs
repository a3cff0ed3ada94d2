//! Consumers of the events of a run: plain lines for logs, JSON lines for programs, and the state of the run that other
//! processes read.

mod console;
pub mod found;
mod json_lines;
mod lines;
pub mod live;
pub mod progress_line;
mod scope;
mod text;

pub use console::Console;
pub use json_lines::JsonLines;
pub use lines::Lines;
pub use scope::Scope;
pub use text::duration_text;
