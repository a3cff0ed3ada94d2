//! Everything that shows a run is made here from its events: a bar, lines, objects for programs, and the state of the run
//! that other processes read. [`Hub`] observes, and one thread shows.

mod bar;
mod console;
mod eta;
pub mod found;
mod heartbeat;
mod hub;
pub mod live;
mod message;
pub mod metrics;
mod moment;
mod objects;
pub mod progress_line;
mod rate;
mod read_at;
mod report_document;
pub mod report_page;
mod scope;
mod state;
mod text;
mod view;
mod watcher;

pub use console::{Console, Shape};
pub use hub::{Hub, HubOptions, Latest, Seen, Subject, say_status};
pub use message::EndedRun;
pub use scope::Scope;
pub use state::MigrationState;
pub use text::{duration_text, seconds_text};
pub use view::ViewKind;
