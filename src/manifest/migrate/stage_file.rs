//! One file on its way: read, transformed, its new bytes and its backup on the disk under names of their own. Nothing is
//! replaced yet.

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use super::backup::{NoBackup, Original, has_own_backup, make_backup, write_temporary};
use super::evaluate::{MANIFEST_BYTES_MAX, Tally, changed_refusal, concerns_one_file, disk_refusal, judge};
use crate::durable::{DiskError, DiskRoot, FileState, Ownership, RootDirectory};
use crate::manifest::document::error_codes::Code;
use crate::manifest::tree::file_names;
use crate::manifest::tree::scan::{Entry, Found};
use crate::manifest::{Migrated, Mode, Refusal, Transformer, Version};
use crate::migration::Error;
use crate::pipeline::Converter;

/// A file whose replacement waits for its name.
#[derive(Debug)]
pub struct Prepared {
    /// The file, relative to the root.
    pub file: PathBuf,
    /// What it was when it was read.
    pub state: FileState,
    /// Version before.
    pub from: Version,
    /// Version after.
    pub to: Version,
    /// SHA-256 of the bytes before.
    pub before: [u8; 32],
    /// SHA-256 of the bytes after.
    pub after: [u8; 32],
    /// Length after.
    pub len_bytes: u64,
    /// Name of the backup.
    pub backup: OsString,
}

/// A batch of files, prepared.
#[derive(Debug, Default)]
pub struct PreparedBatch {
    /// Files to be replaced, in the order of the walk.
    pub files: Vec<Prepared>,
    /// Outcomes of all others.
    pub tally: Tally,
    /// Everything in the batch.
    pub records: u64,
    /// The last place of it.
    pub place: Vec<u8>,
}

/// What was done to the one file that the operator named.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct NamedFile {
    /// Version before, if it was migrated.
    pub from: Option<String>,
    /// The steps.
    pub applied: Vec<String>,
    /// Its backup, relative to the root.
    pub backup: Option<PathBuf>,
}

/// Prepares files on the disk.
pub struct Preparer {
    /// The tree.
    pub root: Arc<dyn DiskRoot>,
    /// What turns documents.
    pub transformer: Transformer,
    /// How backups are named.
    pub mode: Mode,
    /// Take files that have more than one name.
    pub break_links: bool,
    /// Make each file durable by itself.
    pub synced: bool,
    /// Filled where the operator named the file.
    pub named: Option<Arc<Mutex<NamedFile>>>,
}

/// Why a file is not prepared.
enum Stop {
    /// It stays as it is.
    Refused(Refusal),
    /// The run cannot go on.
    Failed(DiskError),
}

impl From<DiskError> for Stop {
    fn from(error: DiskError) -> Self {
        if concerns_one_file(&error) { Self::Refused(disk_refusal(&error)) } else { Self::Failed(error) }
    }
}

impl Converter for Preparer {
    type Batch = Vec<Entry>;
    type Output = PreparedBatch;
    type Scratch = Vec<u8>;
    type Error = Error;

    fn convert(&self, scratch: &mut Vec<u8>, entries: Vec<Entry>) -> Result<PreparedBatch, Error> {
        let place = entries.last().map_or(Vec::new(), |entry| entry.place().to_vec());
        let mut batch = PreparedBatch { records: entries.len() as u64, place, ..PreparedBatch::default() };
        for entry in entries {
            match entry.found {
                Found::PassedOver(reason) => batch.tally.counts.add_passed_over(reason),
                Found::Unreadable(error) => batch.tally.refuse(&entry.path, &disk_refusal(&error)),
                Found::Manifest | Found::Leftover => match self.prepare(&entry.path, scratch, &mut batch.tally) {
                    Ok(prepared) => batch.files.extend(prepared),
                    Err(Stop::Refused(refusal)) => batch.tally.refuse(&entry.path, &refusal),
                    Err(Stop::Failed(error)) => return Err(error.into()),
                },
            }
        }
        Ok(batch)
    }
}

impl Preparer {
    fn prepare(&self, file: &Path, bytes: &mut Vec<u8>, tally: &mut Tally) -> Result<Option<Prepared>, Stop> {
        let name = file.file_name().unwrap_or_default();
        let directory = self.root.open_directory(file.parent().unwrap_or(Path::new("")))?;
        let state = directory.read_file(name, MANIFEST_BYTES_MAX, bytes)?;
        tally.source_bytes += bytes.len() as u64;
        let verdict = judge(self.root.as_ref(), &self.transformer, file, bytes, &state);
        let Some(migrated) = tally.settle(file, verdict) else { return Ok(None) };
        let digest = Sha256::digest(&bytes[..]).into();
        let original = Original { name, bytes, state: &state, version: migrated.from, digest };
        let backup = self.put_beside(&*directory, &original, &migrated)?;
        if let Some(named) = &self.named {
            *named.lock() = NamedFile {
                from: Some(migrated.from.to_string()),
                applied: migrated.applied.to_vec(),
                backup: Some(file.with_file_name(&backup)),
            };
        }
        Ok(Some(Prepared {
            file: file.to_path_buf(),
            state,
            from: migrated.from,
            to: migrated.to,
            before: digest,
            after: Sha256::digest(&migrated.bytes).into(),
            len_bytes: migrated.bytes.len() as u64,
            backup,
        }))
    }

    /// Puts the new bytes and the backup beside the file.
    fn put_beside(
        &self,
        directory: &dyn RootDirectory,
        original: &Original<'_>,
        migrated: &Migrated,
    ) -> Result<OsString, Stop> {
        let links = other_links(original, |name| directory.file_state(name))?;
        if links > 1 && !self.break_links {
            return Err(Stop::Refused(hardlink_refusal(links)));
        }
        let temporary = file_names::temporary(original.name);
        let ownership = Ownership::from(original.state);
        write_temporary(directory, &temporary, &migrated.bytes, &ownership, self.synced)?;
        let state = FileState { links, ..*original.state };
        let made = make_backup(directory, &Original { state: &state, ..*original }, self.mode);
        if made.is_err() {
            let _ = directory.remove_file(&temporary);
        }
        let backup = made.map_err(|error| no_backup(error, original.name))?;
        if self.synced {
            directory.sync()?;
        }
        Ok(backup)
    }
}

/// How many names a file has, apart from a backup that a dead run gave it.
pub fn other_links(
    original: &Original<'_>,
    look_up: impl Fn(&OsStr) -> Result<Option<FileState>, DiskError>,
) -> Result<u64, DiskError> {
    match original.state.links {
        2 if has_own_backup(original, look_up)? => Ok(1),
        links => Ok(links),
    }
}

/// A refusal of a file that has several names.
pub fn hardlink_refusal(links: u64) -> Refusal {
    let text = format!("the file has {links} names, and the others would keep the old content (--break-links)");
    Refusal { code: Code::Hardlink, text, at: None, from: None }
}

fn no_backup(error: NoBackup, name: &OsStr) -> Stop {
    match error {
        // What was read a moment ago is gone.
        NoBackup::Disk(error) if error.kind() == ErrorKind::NotFound => {
            Stop::Refused(changed_refusal(&format!("{} is gone", name.display())))
        }
        NoBackup::Disk(error) => error.into(),
        NoBackup::Taken(backup) => {
            let text = format!("the name of its backup, {}, stands for something else", backup.display());
            Stop::Refused(Refusal { code: Code::Io, text, at: None, from: None })
        }
    }
}
