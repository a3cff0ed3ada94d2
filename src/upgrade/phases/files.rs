//! The files of a run, as its plan names them.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::durable::{Disk, read_file};
use crate::migration::{Error, RunDirectory, shell_word};
use crate::upgrade::cutover::switch::Replacement;
use crate::upgrade::layout::Layout;
use crate::upgrade::phases::given::damaged;
use crate::upgrade::plan::{Mode, Plan};
use crate::upgrade::set::Member;
use crate::upgrade::verify::Verification;

/// The longest result of phase 4 that is read.
const VERIFICATION_BYTES_MAX: u64 = 16 << 20;
/// The longest plan that is read.
const PLAN_BYTES_MAX: u64 = 256 << 20;

/// Reads the plan of the run.
pub fn plan_of_run(disk: &dyn Disk, directory: &RunDirectory) -> Result<Plan, Error> {
    let path = directory.plan_path();
    serde_json::from_slice(&read_file(disk, &path, PLAN_BYTES_MAX)?).map_err(|error| damaged(&path, Box::new(error)))
}

/// Reads what phase 4 has found.
pub fn verification(disk: &dyn Disk, layout: &Layout) -> Result<Option<Verification>, Error> {
    let bytes = match read_file(disk, &layout.artifact("verify"), VERIFICATION_BYTES_MAX) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        bytes => bytes?,
    };
    // It is there for people: a damaged one is no reason to fail.
    Ok(serde_json::from_slice(&bytes).ok())
}

/// Returns where phases 2 to 4 work on a database.
pub fn working_path(layout: &Layout, mode: Mode, member: &Member) -> PathBuf {
    match mode {
        Mode::Staged => layout.staged(member),
        Mode::InPlace => member.path.clone(),
    }
}

/// Returns where the old files have their second names while a set is switched.
pub fn replaced(layout: &Layout) -> PathBuf {
    layout.run().path().join("replaced")
}

/// Returns the replacement of a database by `new`, with its verified backup if the old file is what that holds.
pub fn replacement(layout: &Layout, member: &Member, new: PathBuf, backup: Option<PathBuf>) -> Replacement {
    Replacement { live: member.path.clone(), new, kept: replaced(layout).join(&member.key), copy: backup }
}

/// Returns the command of a verb on a directory, for messages.
pub fn command(verb: &str, directory: &Path) -> String {
    format!("haul upgrade {verb} {}", shell_word(directory))
}

/// Returns a digest as text.
pub fn digest_text(digest: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*digest).to_hex().to_string()
}
