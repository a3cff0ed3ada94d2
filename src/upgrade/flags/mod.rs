//! Feature flags of an application.

mod file;

pub use file::FlagFile;
