//! Formats of content-addressed stores: keys, digests, generations, layouts, records and frames.

pub mod digest;
pub mod encoding;
pub mod frame;
pub mod generation;
pub mod key;
pub mod key_text;
pub mod layout;
pub mod record;
