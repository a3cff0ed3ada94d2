//! Files and directories that are only read.

mod cached;
mod entries;
pub(super) mod faults;
mod file;
pub(super) mod interrupted;
mod link;
mod names;
mod reader_kind;
mod whole;

pub use entries::{SourceEntry, SourceEntryKind, source_entries};
#[cfg(any(test, feature = "internals"))]
pub use faults::{FailingSource, SourceFault, SourceOperation};
pub use file::{SourceChange, SourceFile, SourceIdentity, WindowError};
pub use link::link_obstacle;
pub use names::{SourceName, SourceNameKind, is_source_directory, source_identity, source_names};
pub use reader_kind::ReaderKind;
pub use whole::read_source_whole;
