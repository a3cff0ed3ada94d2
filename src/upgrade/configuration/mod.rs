//! The configuration file of an application: its keys are renamed at the cutover, and a rollback brings its bytes back.

mod apply;
mod convert;

pub use apply::{ConfigurationChange, apply, restore};
pub use convert::{Converted, convert};
