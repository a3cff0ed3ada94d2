//! The walk through a v2 store: the names in its directory, and everything below its objects.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::fault::{FaultKind, VerifyFault};
use super::request::{Share, ShareBuilder};
use super::tally::Tally;
use crate::cas::format::key::Key;
use crate::cas::options::MigrateOptions;
use crate::cas::outcome::{RefusalReason, SkipReason};
use crate::cas::paths::{INDEX_NAME, OBJECTS_NAME};
use crate::cas::source::inventory::InventoryBuilder;
use crate::cas::source::scan::{Found, ScanSums, scan_watched, skip_reason};
use crate::cas::source::{Inventory, SourceRoot};
use crate::durable::{SourceNameKind, is_source_directory, source_names};
use crate::migration::plan::escape_name;
use crate::migration::{DIRECTORY_LOCK, Error};
use crate::pipeline::Control;

/// The parts of a store that its directory has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// True if there is a directory of objects.
    pub has_objects: bool,
    /// What kind of file has the name of the index.
    pub index: Option<SourceNameKind>,
}

/// The result of the walk.
pub struct Walked {
    /// Sums over the objects.
    pub sums: ScanSums,
    /// The objects in the order of their paths.
    pub inventory: Inventory,
    /// Those that are read.
    pub share: Share,
}

/// Reads the names in the directory of a store. Fails if there is no such directory, and creates nothing.
pub fn list_root(root: &Path, tally: &mut Tally) -> Result<Parts, Error> {
    let names = source_names(root).map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => no_store(root),
        _ => error.into(),
    })?;
    let mut parts = Parts { has_objects: false, index: None };
    for name in names {
        let name = name?;
        let (text, kind) = (name.name(), name.kind()?);
        if text == OBJECTS_NAME {
            // A link to the directory is followed, as the reference does.
            parts.has_objects = kind == SourceNameKind::Directory || is_source_directory(&root.join(&text))?;
        } else if text == INDEX_NAME {
            parts.index = Some(kind);
        } else if text != DIRECTORY_LOCK {
            tally.add(skipped(Path::new(&text), skip_reason(&text)));
        }
    }
    if !parts.has_objects {
        let text = "there is no directory of objects";
        tally.add(VerifyFault::new(FaultKind::ObjectsMissing, OBJECTS_NAME.into(), None, text));
    }
    Ok(parts)
}

fn no_store(root: &Path) -> Error {
    Error::Verification {
        what: format!("{} is not a directory; nothing was verified", root.display()),
        next: "give the root of a v2 store: the directory that holds objects/ and index.ndjson".into(),
        source: None,
    }
}

/// Walks the objects of a store. `Ok(None)`: a stop was requested.
pub fn walk(
    root: &SourceRoot,
    mut builder: InventoryBuilder,
    mut share: ShareBuilder,
    tally: &mut Tally,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<Option<Walked>, Error> {
    let sums = scan_watched(root, options.run.parallel_workers.get(), control, |found| {
        match found {
            Found::Object(entry) => {
                builder.push_object(&entry)?;
                share.push(&entry)?;
            }
            Found::Sidecar(location) => builder.push_sidecar(&location)?,
            Found::Skipped { path, reason } => tally.add(skipped(below(root.path(), &path), reason)),
            Found::Refused { path, reason: RefusalReason::Unidentified, .. } => {
                tally.add(skipped(below(root.path(), &path), SkipReason::Foreign));
            }
            Found::Refused { path, reason, text } => {
                let kind = match reason {
                    RefusalReason::NotAFile => FaultKind::NotAFile,
                    RefusalReason::Unreadable | RefusalReason::Changed | RefusalReason::Unidentified => {
                        FaultKind::Unreadable
                    }
                };
                let path = escape_name(below(root.path(), &path).as_os_str());
                tally.add(VerifyFault::new(kind, path, None, text));
            }
        }
        Ok(())
    })?;
    let Some(sums) = sums else { return Ok(None) };
    Ok(Some(Walked { sums, inventory: builder.finish()?, share: share.finish()? }))
}

fn below<'a>(root: &Path, path: &'a Path) -> &'a Path {
    path.strip_prefix(root).unwrap_or(path)
}

/// Returns the fault of a name that does not belong into a store.
fn skipped(path: &Path, reason: SkipReason) -> VerifyFault {
    let kind = match reason {
        SkipReason::Temporary => FaultKind::TemporaryFile,
        SkipReason::Foreign | SkipReason::Signature | SkipReason::Index | SkipReason::LoneSidecar => {
            FaultKind::ForeignName
        }
    };
    let text = if is_key_in_uppercase(path.file_name().unwrap_or_default()) {
        "a key in upper case, which no reader accepts"
    } else {
        reason.text()
    };
    VerifyFault::new(kind, escape_name(path.as_os_str()), None, text)
}

fn is_key_in_uppercase(name: &OsStr) -> bool {
    Key::parse(&name.as_bytes().to_ascii_lowercase()).is_some()
}
