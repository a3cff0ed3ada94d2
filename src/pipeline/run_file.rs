//! Run files: sorted records, one after the other, with nothing around them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::stop::StopToken;
use crate::durable::{Disk, DiskError, DiskFile, EntryKind};

const NAME_PREFIX: &str = "run-";

/// Bytes that one write hands over.
const WRITE_BYTES_MAX: usize = 4 << 20;

/// Removes the run files that a killed process left in `directory`.
pub fn remove_run_files(disk: &dyn Disk, directory: &Path) -> Result<(), DiskError> {
    for entry in disk.list(directory)? {
        let is_run = entry.name.to_str().and_then(|name| name.strip_prefix(NAME_PREFIX)).is_some_and(is_number);
        if is_run && entry.kind == EntryKind::File {
            disk.remove_file(&directory.join(entry.name))?;
        }
    }
    Ok(())
}

fn is_number(text: &str) -> bool {
    text.len() >= 6 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A file that is removed when it is dropped.
struct Scratch {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    removed: bool,
}

impl Scratch {
    fn create(disk: &Arc<dyn Disk>, directory: &Path, index: u64) -> Result<(Self, Arc<dyn DiskFile>), DiskError> {
        let path = directory.join(format!("{NAME_PREFIX}{index:06}"));
        let file = disk.create_file(&path)?;
        Ok((Self { disk: Arc::clone(disk), path, removed: false }, file))
    }

    fn remove(mut self) -> Result<(), DiskError> {
        self.removed = true;
        self.disk.remove_file(&self.path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.removed {
            // The run is over or has failed; a file that stays is found by `remove_run_files`.
            let _ = self.disk.remove_file(&self.path);
        }
    }
}

/// A complete run file.
pub(super) struct Run {
    scratch: Scratch,
    records: u64,
}

impl Run {
    /// Writes sorted records as run number `index`.
    pub(super) fn write<const N: usize>(
        (disk, directory): (&Arc<dyn Disk>, &Path),
        index: u64,
        records: &[[u8; N]],
        stop: &StopToken,
    ) -> Result<Self, DiskError> {
        let (scratch, file) = Scratch::create(disk, directory, index)?;
        let mut offset = 0;
        for chunk in records.as_flattened().chunks(WRITE_BYTES_MAX) {
            if stop.is_requested() {
                return Err(DiskError::stopped("sort in", directory));
            }
            file.write_all_at(offset, chunk)?;
            offset += chunk.len() as u64;
        }
        Ok(Self { scratch, records: records.len() as u64 })
    }

    /// Records in it.
    pub(super) fn records(&self) -> u64 {
        self.records
    }
}

/// Writes a run record by record.
pub(super) struct RunWriter<const N: usize> {
    scratch: Scratch,
    file: Arc<dyn DiskFile>,
    buffer: Vec<[u8; N]>,
    buffer_records: usize,
    written_records: u64,
}

impl<const N: usize> RunWriter<N> {
    /// Creates run number `index`, to be written through a buffer of `buffer_records`.
    pub(super) fn create(
        disk: &Arc<dyn Disk>,
        directory: &Path,
        index: u64,
        buffer_records: usize,
    ) -> Result<Self, DiskError> {
        let (scratch, file) = Scratch::create(disk, directory, index)?;
        let buffer = Vec::with_capacity(buffer_records);
        Ok(Self { scratch, file, buffer, buffer_records, written_records: 0 })
    }

    /// Appends one record.
    pub(super) fn push(&mut self, record: [u8; N]) -> Result<(), DiskError> {
        self.buffer.push(record);
        if self.buffer.len() >= self.buffer_records { self.flush() } else { Ok(()) }
    }

    /// Writes what is left.
    pub(super) fn finish(mut self) -> Result<Run, DiskError> {
        self.flush()?;
        Ok(Run { scratch: self.scratch, records: self.written_records })
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        self.file.write_all_at(self.written_records * N as u64, self.buffer.as_flattened())?;
        self.written_records += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// Reads a run from its first record to its last.
pub(super) struct RunReader<const N: usize> {
    run: Run,
    file: Arc<dyn DiskFile>,
    loaded_records: u64,
    buffer: Vec<[u8; N]>,
    buffer_records: usize,
    next: usize,
}

impl<const N: usize> RunReader<N> {
    /// Opens `run`, to be read through a buffer of `buffer_records`.
    pub(super) fn open(run: Run, buffer_records: usize) -> Result<Self, DiskError> {
        let file = run.scratch.disk.open_for_read(&run.scratch.path)?;
        let records = usize::try_from(run.records).unwrap_or(usize::MAX);
        let buffer_records = buffer_records.min(records);
        Ok(Self { run, file, loaded_records: 0, buffer: Vec::new(), buffer_records, next: 0 })
    }

    /// The next record, `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<[u8; N]>, DiskError> {
        if self.next == self.buffer.len() {
            self.load()?;
        }
        let record = self.buffer.get(self.next).copied();
        self.next += 1;
        Ok(record)
    }

    /// Removes the file, with whatever was not read.
    pub(super) fn remove(self) -> Result<(), DiskError> {
        drop(self.file);
        self.run.scratch.remove()
    }

    fn load(&mut self) -> Result<(), DiskError> {
        let records_left = usize::try_from(self.run.records - self.loaded_records).unwrap_or(usize::MAX);
        self.buffer.resize(self.buffer_records.min(records_left), [0; N]);
        self.next = 0;
        if !self.buffer.is_empty() {
            self.file.read_exact_at(self.loaded_records * N as u64, self.buffer.as_flattened_mut())?;
            self.loaded_records += self.buffer.len() as u64;
        }
        Ok(())
    }
}
