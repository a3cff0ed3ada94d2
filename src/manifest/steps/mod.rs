//! Steps between schema versions: built-in and declarative ones, and the route through them.

mod built_in;
mod declarative;
pub mod invariants;
pub mod inverse;
pub mod registry;
pub mod route;
pub(super) mod samples;
pub mod step;
mod step_file;
pub mod target_schema;
