//! A tree of manifests: finds the files and reads each of them once.

pub mod file_names;
pub(super) mod reader;
pub mod scan;
pub(super) mod siblings;
