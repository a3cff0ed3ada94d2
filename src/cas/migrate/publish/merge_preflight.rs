//! Verifies a store before anything is merged into it (docs/source-requiem.md, "Merging into a store"): a fault that is
//! there already must not be blamed on the merge.

use crate::cas::paths::TargetPaths;
use crate::cas::store::torn_line::torn_record;
use crate::cas::verify::{FaultKind, VerifyEnd};
use crate::durable::Disk;
use crate::migration::{Error, shell_word};
use crate::pipeline::Ended;

/// Errors that one torn line of the index causes: the tear, the line itself, and its object that is not listed.
const TORN_ERRORS_MAX: u64 = 3;

/// Verifies the whole target with `verify`. A target on a simulated disk is not
/// verified, because a verification reads the real disk.
///
/// # Errors
/// [`Error::Verification`] if anything but the end of the index is wrong. The merge repairs that.
pub fn check_before_merge(
    disk: &dyn Disk,
    paths: &TargetPaths,
    verify: impl FnOnce() -> Result<VerifyEnd, Error>,
) -> Result<Ended, Error> {
    if !disk.is_system() {
        return Ok(Ended::Complete);
    }
    let end = verify()?;
    if end.stopped {
        return Ok(Ended::Stopped);
    }
    if end.errors > 0 && !is_only_torn(&end, disk, paths)? {
        let first = end.faults.first().map_or_else(String::new, |fault| format!("; {}: {}", fault.path, fault.text));
        return Err(Error::Verification {
            what: format!("{} has {} errors{first}", paths.target().display(), end.errors),
            next: format!(
                "list them with `haul cas verify {0}`, repair them as far as possible with `haul cas verify --repair {0}`",
                shell_word(paths.target())
            ),
            source: None,
        });
    }
    Ok(Ended::Complete)
}

/// Returns true if all errors come from a torn last line, and the merge can complete that line.
fn is_only_torn(end: &VerifyEnd, disk: &dyn Disk, paths: &TargetPaths) -> Result<bool, Error> {
    let torn = end.faults.iter().find(|fault| fault.kind == FaultKind::IndexTorn);
    let Some(torn) = torn.filter(|_| end.errors <= TORN_ERRORS_MAX) else { return Ok(false) };
    let key = torn_record(disk, paths.target())?.map(|record| record.digest);
    let mut errors = end.faults.iter().filter(|fault| fault.is_error());
    Ok(errors.all(|fault| match fault.kind {
        FaultKind::IndexTorn => true,
        FaultKind::IndexForeignLine => fault.path == torn.path,
        FaultKind::NotIndexed => fault.key.is_some() && fault.key == key,
        _ => false,
    }))
}
