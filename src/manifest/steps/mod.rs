//! Steps between schema versions: built-in and declarative ones, and the route through them.

pub(crate) mod built_in;
pub(crate) mod declarative;
pub mod invariants;
pub mod inverse;
pub mod registry;
pub mod route;
pub(crate) mod samples;
pub mod step;
pub(crate) mod step_file;
pub mod target_schema;
