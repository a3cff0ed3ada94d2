//! Reads a complete map and its reverse file, and compares them.

use super::reader::{KeyMap, NumberedRow};
use super::reverse::{Reverse, ReverseState, reverse_path, unfit};
use super::row::{HEADER_LINE, MapRow};
use crate::cas::format::key::Key;
use crate::migration::Error;

/// A map that is intact.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct MapCheck {
    /// Rows of the map.
    pub rows: u64,
    /// Length of the map in bytes.
    pub bytes: u64,
    /// BLAKE3 of the map.
    pub digest: Key,
    /// True if there is a reverse file, which then leads to every row.
    pub has_reverse: bool,
}

impl KeyMap {
    /// Reads every line of the map and every entry of the reverse file.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for the first line that is not a row or not in order, for the first entry that does not lead
    /// to its row, and for a reverse file that does not fit the map at all.
    pub fn check(&self) -> Result<MapCheck, Error> {
        let (rows, digest) = self.read_all(|_| Ok(()))?;
        match &self.reverse {
            ReverseState::Fits(reverse) => self.check_reverse(reverse, rows, digest)?,
            ReverseState::Unfit(why) => return Err(unfit(reverse_path(self.path()), 0, (*why).to_owned())),
            ReverseState::Absent => {}
        }
        Ok(MapCheck { rows, bytes: self.len_bytes(), digest, has_reverse: self.has_reverse() })
    }

    /// Reads every line, passes each to `on_row`, and returns their number and the digest of the map.
    pub(super) fn read_all(
        &self,
        mut on_row: impl FnMut(&NumberedRow) -> Result<(), Error>,
    ) -> Result<(u64, Key), Error> {
        let mut digest = blake3::Hasher::new();
        digest.update(HEADER_LINE);
        let mut last: Option<MapRow> = None;
        let mut rows = 0;
        let mut line = Vec::new();
        for found in self.rows() {
            let found = found?;
            if last.is_some_and(|last| last.identity() >= found.row.identity()) {
                return Err(self.corrupt(found.offset, found.line, "it is not in order"));
            }
            // A row has exactly one text, so these are the bytes of the file.
            line.clear();
            found.row.push_line(&mut line);
            digest.update(&line);
            on_row(&found)?;
            last = Some(found.row);
            rows += 1;
        }
        Ok((rows, Key(*digest.finalize().as_bytes())))
    }

    /// There are as many entries as rows, no entry twice, and each leads to a row with its key. So each row has its
    /// entry, and no set of all keys is needed.
    fn check_reverse(&self, reverse: &Reverse, rows: u64, digest: Key) -> Result<(), Error> {
        if reverse.header.map_digest != digest.0 || reverse.rows() != rows {
            return Err(reverse.corrupt(0, "it belongs to another map".into()));
        }
        let mut last = None;
        for entry in reverse.entries() {
            let (index, entry) = entry?;
            if last.is_some_and(|last| last >= entry.rank()) {
                return Err(reverse.corrupt(Reverse::offset_of(index), format!("entry {index} is not in order")));
            }
            last = Some(entry.rank());
            self.row_of_entry(reverse, index, entry.key(), entry.offset.get())?;
        }
        Ok(())
    }
}
