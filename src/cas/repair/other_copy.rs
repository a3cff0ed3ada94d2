//! Another copy of the objects: a v2 store, or the old store that a migration has read. It is only read.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::examine::{LostObject, Unsound, identify_blob};
use crate::cas::format::encoding::Encoding;
use crate::cas::format::record::{Hint, ObjectRecord, parse_hint};
use crate::cas::map::KeyMap;
use crate::cas::source::bytes::ReadFault;
use crate::cas::source::identify::content_bytes_max;
use crate::cas::source::inventory::{Entry, EntryKind};
use crate::cas::source::read::{Unread, read_sidecar};
use crate::cas::source::{Location, SourceRoot};
use crate::cas::verify::BlobScratch;
use crate::durable::{BadSpots, DiskError, read_again, read_again_if, source_identity};
use crate::migration::Error;
use crate::pipeline::StopToken;

/// A store that may have what another one has lost.
pub struct OtherCopy<'a> {
    root: SourceRoot,
    /// Lead from the keys of the damaged store to those of an old one.
    maps: Vec<KeyMap>,
    stop: &'a StopToken,
    /// Tells objects that cannot be read from a copy whose device fails.
    spots: BadSpots,
    blob: BlobScratch,
    sidecar: Vec<u8>,
}

/// An intact object of the other store.
pub struct FoundObject {
    /// The path of its blob.
    pub path: PathBuf,
    /// Its record, with the time that the other store knows.
    pub record: ObjectRecord,
}

impl<'a> OtherCopy<'a> {
    /// Opens the store at `root`. Objects of an old store are found with `maps`.
    ///
    /// # Errors
    /// [`Error::Usage`] if it is no directory, or the store that is repaired.
    pub fn open(root: &Path, repaired: &Path, maps: Vec<KeyMap>, stop: &'a StopToken) -> Result<Self, Error> {
        let other = SourceRoot::open(root)?;
        let identity = |path: &Path| path.canonicalize().ok();
        if identity(root) == identity(repaired) || identity(other.objects()) == identity(&repaired.join("objects")) {
            return Err(Error::Usage {
                what: format!("{} is the store that is to be repaired", root.display()),
                next: "name another copy of it with --from".into(),
            });
        }
        let (spots, blob, sidecar) = (BadSpots::default(), BlobScratch::default(), Vec::new());
        Ok(Self { root: other, maps, stop, spots, blob, sidecar })
    }

    /// Returns an intact copy of the object, after it was read from its first byte to its last.
    pub fn find(&mut self, lost: &LostObject) -> Result<Option<FoundObject>, Error> {
        let key = lost.key;
        let mut names = vec![key];
        for map in &self.maps {
            names.extend(map.find_new(key)?.into_iter().map(|row| row.old_key));
        }
        names.dedup();
        for name in names {
            for location in Location::all_of(name) {
                if let Some(found) = self.read(&location, lost)? {
                    self.spots.note_readable();
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    fn read(&mut self, location: &Location, lost: &LostObject) -> Result<Option<FoundObject>, Error> {
        let path = self.root.blob(location);
        let identity = match read_again(|| source_identity(&path)) {
            Ok(Some(identity)) => identity,
            Ok(None) => return Ok(None),
            Err(error) => return self.unreadable(error),
        };
        let entry = Entry::new(*location, EntryKind::File, Some(identity));
        let read = || read_sidecar(&self.root, location, &mut self.sidecar);
        let hint = match read_again_if(read, Unread::of_disk) {
            Ok(()) => parse_hint(&self.sidecar),
            Err(Unread::Stopped) => return Err(ReadFault::Stopped.into()),
            Err(Unread::Failed(error)) if error.kind() == ErrorKind::NotFound => Hint::default(),
            // Only the time in it cannot be found out from the blob.
            Err(_) if lost.created_at.is_some() => Hint::default(),
            Err(Unread::Refused(_)) => return Ok(None),
            Err(Unread::Failed(error)) => return self.unreadable(error),
        };
        let limit = content_bytes_max(hint.original_size, entry.len_bytes);
        let expected = (hint.encoding.unwrap_or(Encoding::Identity), limit);
        match identify_blob(&path, &entry, lost.key, expected, &mut self.blob, self.stop) {
            Ok(record) => {
                let created_at = hint.created_at.unwrap_or(record.created_at);
                Ok(Some(FoundObject { path, record: ObjectRecord { created_at, ..record } }))
            }
            Err(Unsound::Left(..)) => Ok(None),
            Err(Unsound::Unreadable(error)) => self.unreadable(error),
            Err(Unsound::Stopped) => Err(ReadFault::Stopped.into()),
        }
    }

    /// Takes an object that cannot be read for one that the copy does not have, unless its device fails.
    fn unreadable(&self, error: DiskError) -> Result<Option<FoundObject>, Error> {
        if self.spots.is_of_file(&error) { Ok(None) } else { Err(error.into()) }
    }
}
