//! Formats of content-addressed stores: keys, digests, layouts, sidecars and frames.

pub mod digest;
pub mod frame;
pub mod generation;
pub mod key;
pub mod layout;
pub mod record;
