//! The log files of a space, opened for reading only.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::range_sums::RangeSums;
use super::wal::is_wal_name;
use crate::durable::{
    ReaderKind, SourceEntry, SourceEntryKind, SourceFile, WindowError, for_each_chunk, read_again_if, source_entries,
};
use crate::migration::Error;
use crate::pipeline::StopToken;

/// Log files that are held open. A process may usually have 1,024 files open, and a log may have more.
const HELD_FILES_MAX: usize = 256;

/// An entry of `wal/` that is not part of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherEntry {
    /// Its name.
    pub name: OsString,
    /// Its size.
    pub len_bytes: u64,
}

/// The selected files of `wal/`, in byte order of their names, and what was left aside.
pub struct WalSource {
    directory: PathBuf,
    files: Vec<Arc<SourceFile>>,
    sums: Vec<RangeSums>,
    names: Vec<String>,
    others: Vec<OtherEntry>,
    linked: Vec<String>,
}

impl WalSource {
    /// Opens every file that Engram would read (docs/source-engram.md, "Directory and file names"). A selected name
    /// that is not a regular file is an error, as is a missing directory.
    pub fn open(wal_directory: &Path, reader: ReaderKind) -> Result<Self, Error> {
        let mut source = Self {
            directory: wal_directory.to_path_buf(),
            files: Vec::new(),
            sums: Vec::new(),
            names: Vec::new(),
            others: Vec::new(),
            linked: Vec::new(),
        };
        for entry in source_entries(wal_directory)? {
            source.add(entry, reader)?;
        }
        Ok(source)
    }

    fn add(&mut self, entry: SourceEntry, reader: ReaderKind) -> Result<(), Error> {
        if !is_wal_name(&entry.name) {
            self.others.push(OtherEntry { name: entry.name, len_bytes: entry.len_bytes });
            return Ok(());
        }
        let path = self.directory.join(&entry.name);
        if entry.kind != SourceEntryKind::File {
            return Err(Error::Corrupt {
                path,
                offset: 0,
                what: "has the name of a log file but is not a regular file; Engram cannot open such a space either,"
                    .into(),
                next: "move it out of the wal directory".into(),
                source: None,
            });
        }
        let name = entry.name.into_string().expect("selected names are UTF-8");
        if entry.is_link {
            self.linked.push(name.clone());
        }
        let file = match self.files.len() {
            ..HELD_FILES_MAX => SourceFile::open(&path, reader)?,
            _ => SourceFile::open_unheld(&path, reader)?,
        };
        self.files.push(Arc::new(file));
        self.sums.push(RangeSums::default());
        self.names.push(name);
        Ok(())
    }

    /// Returns the directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the log files.
    pub fn files(&self) -> &[Arc<SourceFile>] {
        &self.files
    }

    /// Returns the checksums of the log file of this number.
    pub(super) fn sums(&self, file: u32) -> &RangeSums {
        &self.sums[file as usize]
    }

    /// Their names, in the same order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Entries that are not read.
    pub fn others(&self) -> &[OtherEntry] {
        &self.others
    }

    /// Returns the names of log files that are symbolic links.
    pub fn linked(&self) -> &[String] {
        &self.linked
    }

    /// Returns the bytes of all log files.
    pub fn total_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.identity().len_bytes).sum()
    }

    /// Checks that no log file changed, appeared or disappeared since this was opened (docs/source-engram.md, "A log
    /// that changes").
    pub fn check_unchanged(&self) -> Result<(), Error> {
        for file in &self.files {
            file.check_unchanged()?;
        }
        let now: Vec<_> = source_entries(&self.directory)?
            .into_iter()
            .filter(|entry| is_wal_name(&entry.name))
            .filter_map(|entry| entry.name.into_string().ok())
            .collect();
        if now == self.names {
            return Ok(());
        }
        let appeared = now.iter().find(|name| !self.names.contains(name));
        let gone = self.names.iter().find(|name| !now.contains(name));
        let what = match (appeared, gone) {
            (Some(name), _) => format!("{name} appeared"),
            (_, Some(name)) => format!("{name} disappeared"),
            _ => "its names changed".into(),
        };
        Err(Error::SourceChanged { path: self.directory.clone(), what })
    }
}

/// Returns the BLAKE3 digest of a range of a source file, read in chunks.
pub fn hash_range(file: &SourceFile, start: u64, len_bytes: u64, stop: &StopToken) -> Result<[u8; 32], Error> {
    let mut hasher = blake3::Hasher::new();
    for_each_chunk(
        start..start + len_bytes,
        &stop.check(),
        |offset, chunk| read_again_if(|| file.read_exact_at(offset, chunk), WindowError::of_disk),
        |_, chunk| {
            hasher.update(chunk);
            Ok(())
        },
    )?;
    Ok(*hasher.finalize().as_bytes())
}
