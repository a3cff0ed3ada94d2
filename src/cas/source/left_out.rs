//! What a run left out because it could not read it. A rollback proves that everything else is in the source; whether
//! this can be read by now does not matter, because the target has nothing of it.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::location::{LOCATION_BYTES, Location, shard};
use super::read::is_about_unread;
use super::root::SourceRoot;
use crate::durable::Disk;
use crate::migration::plan::unescape_name;
use crate::migration::{Error, Finding, Findings, Severity};

/// Objects and directories that a run could not read, in about 150 bytes each.
#[derive(Debug, Default)]
pub struct LeftOut {
    /// Objects whose bytes could not be read, with the lengths that the run saw.
    objects: BTreeMap<Location, u64>,
    /// Directories that could not be listed and names that could not be looked up, relative to the directory of objects.
    names: HashSet<PathBuf>,
}

impl LeftOut {
    /// Reads what the findings of a run name as unread.
    pub fn of_findings(disk: &dyn Disk, findings: &Findings, root: &SourceRoot) -> Result<Self, Error> {
        let mut left_out = Self::default();
        findings.for_each(disk, |finding| {
            if finding.severity == Severity::Refused && is_about_unread(&finding.reason) {
                left_out.add(&finding, root);
            }
            Ok(())
        })?;
        Ok(left_out)
    }

    fn add(&mut self, finding: &Finding, root: &SourceRoot) {
        if finding.id.is_some() {
            self.objects.extend(location(&finding.file).map(|location| (location, finding.length)));
        } else if let Some(path) = unescape_name(&finding.file) {
            self.names.extend(relative(Path::new(&path), root));
        }
    }

    /// Returns true if the run has not read what is there.
    pub fn has(&self, location: &Location) -> bool {
        self.objects.contains_key(location) || self.is_below(location)
    }

    /// Returns true if the run could not look up this name either.
    pub fn has_name(&self, finding: &Finding, root: &SourceRoot) -> bool {
        let path = unescape_name(&finding.file).and_then(|path| relative(Path::new(&path), root));
        path.is_some_and(|path| self.names.contains(&path))
    }

    /// Returns the objects that the run counts as found and has not read, in the order of their paths.
    pub fn objects(&self) -> impl Iterator<Item = (Location, u64)> {
        self.objects.iter().map(|(location, len_bytes)| (*location, *len_bytes))
    }

    fn is_below(&self, location: &Location) -> bool {
        !self.names.is_empty() && location.path().ancestors().any(|above| self.names.contains(above))
    }
}

/// Returns the location with this text.
fn location(text: &str) -> Option<Location> {
    let mut bytes = [0; LOCATION_BYTES];
    bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
    Location::from_bytes(bytes)
}

/// Returns the part of a path that is below the directory of objects. The path may have been given relative to another
/// working directory, so only its end is known: shards, and perhaps an object's name, after the name of that directory.
fn relative(path: &Path, root: &SourceRoot) -> Option<PathBuf> {
    let names: Vec<&OsStr> = path.iter().collect();
    let objects = root.objects().file_name();
    let ends = (1..=3.min(names.len())).rev().map(|count| names.split_at(names.len() - count));
    let mut ends = ends.filter(|(above, end)| {
        let (last, shards) = end.split_last().expect("it has a name");
        let shards: Option<Vec<_>> = shards.iter().map(|name| shard(name)).collect();
        let fits = shards.is_some_and(|shards| {
            shards.len() < 2 && shard(last).is_some() || Location::new(&shards, last.as_encoded_bytes()).is_some()
        });
        fits && (objects.is_none() || above.last().copied() == objects)
    });
    ends.next().map(|(_, end)| end.iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(file: &str, reason: &str, id: Option<&str>) -> Finding {
        Finding {
            severity: Severity::Refused,
            file: file.into(),
            offset: 0,
            length: 7,
            reason: reason.into(),
            id: id.map(str::to_owned),
            sequence: None,
            related: None,
        }
    }

    #[test]
    fn objects_and_whole_directories_are_left_out() {
        let place = tempfile::tempdir().unwrap();
        std::fs::DirBuilder::new().recursive(true).create(place.path().join("old/objects")).unwrap();
        let root = SourceRoot::open(&place.path().join("old")).unwrap();
        let key = |digit: &str| digit.repeat(64);
        let mut left_out = LeftOut::default();
        left_out.add(&finding(&format!("aa/{}", key("a")), "cannot read source", Some(&key("a"))), &root);
        // As a run in another working directory spelt it.
        left_out.add(&finding("../old/objects/bb", "cannot list", None), &root);
        left_out.add(&finding("old/objects/cc/cc", "cannot list", None), &root);
        left_out.add(&finding("old/elsewhere/dd", "cannot list", None), &root);
        let at = |text: String| location(&text).unwrap();
        assert_eq!(left_out.objects().collect::<Vec<_>>(), [(at(format!("aa/{}", key("a"))), 7)]);
        for (text, expected) in [
            (format!("aa/{}", key("a")), true),
            (format!("bb/bb/{}", key("b")), true),
            (format!("bb/{}", key("b")), true),
            (format!("cc/cc/{}", key("c")), true),
            (format!("cc/{}", key("c")), false),
            (format!("dd/{}", key("d")), false),
            (key("a"), false),
        ] {
            assert_eq!(left_out.has(&at(text.clone())), expected, "{text}");
        }
    }
}
