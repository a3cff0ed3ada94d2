//! A tree of manifests: finds the files and reads each of them once.

pub mod file_names;
pub(crate) mod reader;
pub mod scan;
pub(crate) mod siblings;
