//! Feature flags, which the application reads.

pub mod file;
