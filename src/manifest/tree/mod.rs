//! A tree of manifests on disk: the scan that finds the files, and the reader that feeds the pipeline.

pub mod count;
pub(super) mod file_faults;
pub mod file_names;
pub(super) mod reader;
pub mod scan;
pub(super) mod siblings;
pub(super) mod writable;
