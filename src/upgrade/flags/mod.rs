//! Feature flags of an application: the file that holds them, and the sequence in which cutover sets them.

mod file;
mod log;
mod sequence;

pub use file::FlagFile;
pub use log::{FlagEvent, FlagLine};
pub use sequence::{FlagsEnd, FlagsRequest, set_flags};
