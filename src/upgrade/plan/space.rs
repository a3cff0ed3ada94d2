//! The space that an upgrade needs next to the databases.

use std::path::Path;

use super::model::{Block, MemberPlan, Mode};
use crate::durable::Disk;
use crate::migration::units::bytes_text;
use crate::migration::{Error, exit};

/// Returns the bytes that must be free: twice the databases with their logs for backups and what a rollback restores,
/// and once more for the copies that a staged upgrade works on.
pub(super) fn needed_bytes(members: &[MemberPlan], mode: Mode) -> u64 {
    let set: u64 = members.iter().map(|planned| planned.file_bytes + planned.wal_bytes).sum();
    set.saturating_mul(if mode == Mode::Staged { 3 } else { 2 })
}

/// Returns what is blocked because there is less.
pub(super) fn no_space(
    directory: &Path,
    needed_bytes: u64,
    mode: Mode,
    disk: &dyn Disk,
) -> Result<Option<Block>, Error> {
    let free_bytes = disk.free_bytes(directory)?;
    if free_bytes >= needed_bytes {
        return Ok(None);
    }
    let what = format!("{} must be free, {} are", bytes_text(needed_bytes), bytes_text(free_bytes));
    let next = match mode {
        Mode::Staged => "free space on that file system, or use --in-place, which needs a third less",
        Mode::InPlace => "free space on that file system",
    };
    Ok(Some(Block::new("no-space", directory, what, next, exit::TEMPORARY)))
}
