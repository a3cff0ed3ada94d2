//! Versioned SQL migrations of SQLite and PostgreSQL databases.

mod dialect;
pub mod script;
mod version;

pub use dialect::Dialect;
pub use version::{NotAVersion, Version};
