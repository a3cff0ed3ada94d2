//! Reading a manifest as if it were at another version, and writing nothing (§12).

use std::path::Path;

use super::assess::{MANIFEST_BYTES_MAX, judge};
use super::{Refusal, Transformer, Verdict};
use crate::durable::{Disk, DiskError, parent_of};
use crate::migration::Error;

/// The document of the file at `path` as the target of `transformer` has it: its own bytes if it is there already.
///
/// Nothing is written. A file that cannot be taken there is [`Error::Corrupt`] with the code and the place.
pub fn read_migrated(disk: &dyn Disk, path: &Path, transformer: &Transformer) -> Result<Vec<u8>, Error> {
    let root = disk.root(parent_of(path))?;
    let name = Path::new(path.file_name().unwrap_or_default());
    let mut bytes = Vec::new();
    let state = root.read_file(name, MANIFEST_BYTES_MAX, &mut bytes).map_err(|error| {
        // Under the name that the caller knows.
        Error::Disk(DiskError::new(error.operation, path, error.source))
    })?;
    match judge(&*root, transformer, name, &bytes, &state) {
        Verdict::Migrated(migrated) => Ok(migrated.bytes),
        Verdict::Current(_) => Ok(bytes),
        Verdict::Skipped(skip) => Err(corrupt(path, &Refusal::new(skip.code, skip.text))),
        Verdict::Refused(refusal) => Err(corrupt(path, &refusal)),
    }
}

/// A refusal of one file as an error.
pub(super) fn corrupt(path: &Path, refusal: &Refusal) -> Error {
    let place = refusal.at.map_or(String::new(), |at| format!(" (line {}, column {})", at.line, at.column));
    Error::Corrupt {
        path: path.to_owned(),
        offset: refusal.at.map_or(0, |at| at.offset),
        what: format!("{}: {}{place}", refusal.code, refusal.text),
        next: "correct the document, or take the options that let it pass".into(),
    }
}
