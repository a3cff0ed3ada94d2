//! Writes the reverse file of a map that has none.

use std::path::Path;
use std::sync::Arc;

use super::reader::KeyMap;
use super::reverse::{ReverseEntry, ReverseHeader, reverse_path};
use super::writer::write_reverse;
use crate::durable::{Disk, create_directory_durable, parent_of, remove_tree, temporary_name};
use crate::migration::Error;
use crate::pipeline::{SortedRuns, StopToken};

impl KeyMap {
    /// Reads the whole map and writes its reverse file, durable on return. `None`: a stop was requested before that,
    /// and nothing was changed.
    ///
    /// Sorts within `memory_bytes` and in the directory `scratch`, which nothing else uses and which is removed.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for the first line that is not a row or not in order.
    pub fn write_reverse(
        &self,
        disk: Arc<dyn Disk>,
        scratch: &Path,
        memory_bytes: u64,
        stop: &StopToken,
    ) -> Result<Option<u64>, Error> {
        remove_tree(&*disk, scratch)?;
        create_directory_durable(&*disk, scratch)?;
        let mut runs = SortedRuns::new(disk.clone(), scratch.to_path_buf(), memory_bytes);
        let (rows, digest) =
            self.read_all(|found| Ok(runs.push(ReverseEntry::sort_key(found.row.new_key, found.offset))?))?;
        let reverse = reverse_path(self.path());
        let temporary = temporary_name(&reverse);
        let header = ReverseHeader::new(self.len_bytes(), rows, digest);
        let is_written = write_reverse(&*disk, &temporary, &header, runs.finish()?, stop)?;
        if is_written {
            disk.rename(&temporary, &reverse)?;
            disk.sync_directory(parent_of(&reverse))?;
        } else {
            disk.remove_file(&temporary)?;
        }
        remove_tree(&*disk, scratch)?;
        Ok(is_written.then_some(rows))
    }
}
