//! Phase 7: removes what the definition keeps no longer, after an archive of it was read again.

mod archive;
mod run;

pub use archive::{Archive, ArchiveWriter, check as check_archive};
pub use run::{CleanupEnd, CleanupRequest, TableCleaned, clean};
