//! What SQL of an upgrade works with besides the data: instants in every form, the clock of the run, settings and lists of
//! the operator, and temporary views that hide the differences between shapes.

mod functions;
mod instant;
mod views;
mod zone;

pub use functions::{Values, register};
pub use instant::{canonical, canonical_text, form, microseconds};
pub use views::create_views;
pub use zone::AssumedZone;
