//! Looks whether a sealed store is there with all of its files, and whether a directory is a store at all. Of their
//! bytes it reads only the manifest.

use std::path::Path;

use super::manifest::Manifest;
use super::names::{MANIFEST, is_store_file};
use crate::durable::{Disk, EntryKind};
use crate::migration::Error;

/// Checks the seal of the manifest of a store, and that each file which it names is there with its length.
pub fn check_files(disk: &dyn Disk, directory: &Path) -> Result<Manifest, Error> {
    let fault = |what: String| Error::Verification {
        what,
        next: "put the store back from a copy, or make it from the log again: `haul space migrate --restart`".into(),
        source: None,
    };
    let check_kind = |path: &Path, expected| match disk.kind(path)? {
        Some(kind) if kind == expected => Ok(()),
        None => Err(fault(format!("{} is missing", path.display()))),
        Some(_) => Err(fault(format!("something else is in the place of {}", path.display()))),
    };
    check_kind(directory, EntryKind::Directory)?;
    check_kind(&directory.join(MANIFEST), EntryKind::File)?;
    let manifest = Manifest::read(disk, directory)?;
    for file in manifest.segments.iter().chain(&manifest.indexes) {
        if !is_store_file(&file.name) {
            return Err(fault(format!("{}: its manifest names {:?}", directory.display(), file.name)));
        }
        let path = directory.join(&file.name);
        check_kind(&path, EntryKind::File)?;
        let found_bytes = disk.open_for_read(&path)?.len()?;
        if found_bytes != file.bytes {
            let path = path.display();
            return Err(fault(format!("{path} is {found_bytes} bytes long, its manifest says {}", file.bytes)));
        }
    }
    Ok(manifest)
}

/// Returns why a directory that has the name of a store cannot be proved to be one, and nothing but one. What cannot be
/// proved is never removed: somebody else may have made it.
pub fn foreign_part(disk: &dyn Disk, directory: &Path) -> Result<Option<String>, Error> {
    if disk.kind(directory)? != Some(EntryKind::Directory) {
        return Ok(Some("is no directory".into()));
    }
    if disk.kind(&directory.join(MANIFEST))? != Some(EntryKind::File) {
        return Ok(Some("has no MANIFEST".into()));
    }
    match Manifest::read(disk, directory) {
        Err(Error::Corrupt { what, .. }) => return Ok(Some(format!("has a damaged MANIFEST ({what})"))),
        read => read?,
    };
    let foreign = |entry: &crate::durable::DiskEntry| {
        entry.kind != EntryKind::File || !entry.name.to_str().is_some_and(is_store_file)
    };
    let found = disk.list(directory)?.into_iter().find(foreign);
    Ok(found.map(|entry| format!("holds {}, which is not of a store", entry.name.display())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests lay out directories")]

    use super::*;
    use crate::durable::RealDisk;

    #[test]
    fn a_manifest_that_no_store_has_is_a_foreign_part_and_no_error() {
        let directory = tempfile::tempdir().unwrap();
        let manifest = std::fs::File::create(directory.path().join(MANIFEST)).unwrap();
        manifest.set_len(3 << 30).unwrap();
        let why = foreign_part(&RealDisk, directory.path()).unwrap().expect("a reason");
        assert!(why.contains("damaged MANIFEST") && why.contains("3221225472"), "{why}");
    }
}
