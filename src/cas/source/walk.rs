//! The walk through a source into an inventory, for a migration, its dry run and its rollback.

use std::path::PathBuf;

use super::inventory::{Entry, EntryKind, InventoryBuilder};
use super::left_out::LeftOut;
use super::scan::{Found, ScanSums, scan_watched};
use super::{Inventory, SourceRoot};
use crate::cas::outcome::Outcome;
use crate::migration::plan::escape_name;
use crate::migration::{Error, Finding, Severity};
use crate::pipeline::Control;

/// The result of a walk.
pub struct Walked {
    /// Sums over the source.
    pub sums: ScanSums,
    /// The objects.
    pub inventory: Inventory,
    /// An object that is a file with content, if there is one.
    pub sample: Option<PathBuf>,
}

/// A name that is not an object's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherName {
    /// The outcome of the name.
    pub outcome: Outcome,
    /// The finding about it.
    pub finding: Finding,
}

/// Walks the source. Objects and sidecars go into the inventory, all other names to `on_other`. `Ok(None)`: a stop was
/// requested.
pub fn walk(
    root: &SourceRoot,
    builder: InventoryBuilder,
    workers: usize,
    control: &Control<'_>,
    on_other: impl FnMut(OtherName) -> Result<(), Error>,
) -> Result<Option<Walked>, Error> {
    walk_except(root, &LeftOut::default(), builder, workers, control, on_other)
}

/// Works like [`walk`], and shows the objects that an earlier run left out as that run saw them.
pub fn walk_except(
    root: &SourceRoot,
    left_out: &LeftOut,
    mut builder: InventoryBuilder,
    workers: usize,
    control: &Control<'_>,
    mut on_other: impl FnMut(OtherName) -> Result<(), Error>,
) -> Result<Option<Walked>, Error> {
    let mut sample = None;
    let scanned = scan_watched(root, workers, control, |found| match found {
        Found::Object(Entry { location, .. }) | Found::Sidecar(location) if left_out.has(&location) => Ok(()),
        Found::Object(entry) => {
            if sample.is_none() && entry.kind == EntryKind::File && entry.len_bytes > 0 {
                sample = Some(root.blob(&entry.location));
            }
            Ok(builder.push_object(&entry)?)
        }
        Found::Sidecar(location) => Ok(builder.push_sidecar(&location)?),
        Found::Skipped { path, reason } => {
            let text = format!("not an object: {}", reason.text());
            on_other(other(Outcome::Skipped(reason), Severity::Note, path, text))
        }
        Found::Refused { path, reason, text } => {
            on_other(other(Outcome::Refused(reason), Severity::Refused, path, text))
        }
    })?;
    let Some(sums) = scanned else { return Ok(None) };
    for (location, len_bytes) in left_out.objects() {
        builder.push_object(&Entry { len_bytes, ..Entry::new(location, EntryKind::File, None) })?;
    }
    Ok(Some(Walked { sums, inventory: builder.finish()?, sample }))
}

fn other(outcome: Outcome, severity: Severity, path: PathBuf, reason: String) -> OtherName {
    let file = escape_name(path.as_os_str());
    let finding = Finding { severity, file, offset: 0, length: 0, reason, id: None, sequence: None, related: None };
    OtherName { outcome, finding }
}
