//! Stages one file: reads it, transforms it, and writes its new bytes and its backup next to it. Nothing is replaced
//! yet.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use super::backup::{Backup, BackupError, Original, has_own_backup, make_backup, write_temporary};
use super::document_reader::DocumentReader;
use super::evaluate::{NotReplaced, Tally, changed_refusal, evaluate, not_kept_notice};
use crate::durable::{AttributesNotKept, DiskError, FileState, Model};
use crate::manifest::document::error_codes::ErrorCode;
use crate::manifest::document::options::Mode;
use crate::manifest::document::verdict::{Migrated, Refusal};
use crate::manifest::document::version::Version;
use crate::manifest::transform::Transformer;
use crate::manifest::tree::file_names;
use crate::manifest::tree::scan::{Found, ScanEntry};
use crate::manifest::tree::writable::{WritableDirectory, WritableTree};
use crate::migration::Error;
use crate::pipeline::Converter;

/// A file whose replacement is complete on disk under its temporary name.
#[derive(Debug)]
pub struct StagedFile {
    /// The file, relative to the root.
    pub file: PathBuf,
    /// Its state when it was read.
    pub state: FileState,
    /// Version before.
    pub from: Version,
    /// Version after.
    pub to: Version,
    /// SHA-256 of the bytes before.
    pub before: [u8; 32],
    /// SHA-256 of the bytes after.
    pub after: [u8; 32],
    /// Length of the bytes after.
    pub len_bytes: u64,
    /// Its backup.
    pub backup: Backup,
}

/// A batch of staged files.
#[derive(Debug, Default)]
pub struct StagedBatch {
    /// The files to be replaced, in the order of the scan.
    pub files: Vec<StagedFile>,
    /// The outcomes of all other files.
    pub tally: Tally,
    /// Number of entries in the batch.
    pub records: u64,
    /// The place of the last entry.
    pub place: Vec<u8>,
}

/// The migration of the one file that the operator named.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct NamedFile {
    /// The version before, if the file was migrated.
    pub from: Option<String>,
    /// The steps that were applied.
    pub applied: Vec<String>,
    /// Its backup, relative to the root.
    pub backup: Option<PathBuf>,
}

/// Stages files on the disk.
pub struct FileStager {
    /// The tree.
    pub tree: Arc<WritableTree>,
    /// Migrates documents.
    pub transformer: Transformer,
    /// Decides how backups are named.
    pub mode: Mode,
    /// Whether files with several names are accepted.
    pub break_links: bool,
    /// The migration of the file that the operator named, if any.
    pub named: Option<Arc<Mutex<NamedFile>>>,
    /// Reads the files.
    pub documents: Arc<DocumentReader>,
}

impl Converter for FileStager {
    type Batch = Vec<ScanEntry>;
    type Output = StagedBatch;
    type Scratch = Vec<u8>;
    type Error = Error;

    fn convert(&self, scratch: &mut Vec<u8>, entries: Vec<ScanEntry>) -> Result<StagedBatch, Error> {
        let place = entries.last().map_or(Vec::new(), |entry| entry.place().to_vec());
        let mut batch = StagedBatch { records: entries.len() as u64, place, ..StagedBatch::default() };
        for entry in entries {
            match entry.found {
                Found::Skipped(reason) => batch.tally.skip(&entry.path, reason),
                Found::Unreadable(error) => batch.tally.refuse_unread(&entry.path, error)?,
                // The reader does not pass on leftovers.
                Found::Manifest | Found::Leftover => match self.stage_file(&entry.path, scratch, &mut batch.tally) {
                    Ok(staged) => batch.files.extend(staged),
                    Err(NotReplaced::Refused(refusal)) => batch.tally.refuse(&entry.path, &refusal),
                    Err(NotReplaced::Failed(error)) => return Err(error.into()),
                },
            }
        }
        Ok(batch)
    }
}

impl FileStager {
    fn stage_file(
        &self,
        file: &Path,
        buffer: &mut Vec<u8>,
        tally: &mut Tally,
    ) -> Result<Option<StagedFile>, NotReplaced> {
        let name = file.file_name().unwrap_or_default();
        let directory = self.tree.directory_of(file)?;
        let read = |max_bytes, buffer: &mut Vec<u8>| directory.read_file(name, max_bytes, buffer);
        self.documents.read(buffer, read, |bytes, state| self.stage_bytes(file, &directory, (bytes, state), tally))?
    }

    fn stage_bytes(
        &self,
        file: &Path,
        directory: &WritableDirectory,
        (bytes, state): (&[u8], &FileState),
        tally: &mut Tally,
    ) -> Result<Option<StagedFile>, NotReplaced> {
        let name = file.file_name().unwrap_or_default();
        tally.source_bytes += bytes.len() as u64;
        let verdict = evaluate(&*self.tree.root, &self.transformer, file, bytes, state);
        let Some(migrated) = tally.record(file, verdict) else { return Ok(None) };
        let digest = Sha256::digest(bytes).into();
        let original = Original { name, bytes, state, version: migrated.from, digest };
        let (backup, not_kept) = self.stage(directory, &original, &migrated)?;
        tally.notice(file, not_kept_notice(&not_kept).as_slice());
        if let Some(named) = &self.named {
            *named.lock() = NamedFile {
                from: Some(migrated.from.to_string()),
                applied: migrated.applied.to_vec(),
                backup: Some(file.with_file_name(&backup.name)),
            };
        }
        Ok(Some(StagedFile {
            file: file.to_path_buf(),
            state: *state,
            from: migrated.from,
            to: migrated.to,
            before: digest,
            after: Sha256::digest(&migrated.bytes).into(),
            len_bytes: migrated.bytes.len() as u64,
            backup,
        }))
    }

    /// Writes the new bytes and the backup next to the file.
    fn stage(
        &self,
        directory: &WritableDirectory,
        original: &Original<'_>,
        migrated: &Migrated,
    ) -> Result<(Backup, AttributesNotKept), NotReplaced> {
        let links = other_links(original, |name| directory.file_state(name))?;
        if links > 1 && !self.break_links {
            return Err(NotReplaced::Refused(hardlink_refusal(links)));
        }
        // The new bytes come first: if there is no space for them, no backup is left behind.
        let temporary = file_names::temporary_name(original.name);
        let model = Model::of(original.name);
        let syncs_each = directory.syncs_each;
        let not_kept = write_temporary(&**directory, &temporary, &migrated.bytes, model, syncs_each)?;
        let state = FileState { links, ..*original.state };
        let made = make_backup(&**directory, &Original { state: &state, ..*original }, self.mode);
        if made.is_err() {
            let _ = directory.remove_file(&temporary);
        }
        let backup = made.map_err(|error| no_backup(error, original.name))?;
        // A failed sync may have lost the bytes of other files too.
        directory.sync_names().map_err(NotReplaced::Failed)?;
        Ok((backup, not_kept))
    }
}

/// Returns the number of names of a file. A backup that a crashed run made of it does not count.
pub fn other_links(
    original: &Original<'_>,
    look_up: impl Fn(&OsStr) -> Result<Option<FileState>, DiskError>,
) -> Result<u64, DiskError> {
    match original.state.links {
        2 if has_own_backup(original, look_up)? => Ok(1),
        links => Ok(links),
    }
}

/// Returns the refusal of a file with several names.
pub fn hardlink_refusal(links: u64) -> Refusal {
    let text =
        format!("the file has {links} names, and the others would keep the old content; --break-links accepts it");
    Refusal { code: ErrorCode::Hardlink, text, at: None, from: None }
}

fn no_backup(error: BackupError, name: &OsStr) -> NotReplaced {
    match error {
        // The file was removed after it was read.
        BackupError::Disk(error) if error.kind() == ErrorKind::NotFound => {
            NotReplaced::Refused(changed_refusal(&format!("{} is gone", name.display())))
        }
        BackupError::Disk(error) => error.into(),
        BackupError::NameTaken(backup) => {
            let text = format!("the name of its backup, {}, belongs to another file", backup.display());
            NotReplaced::Refused(Refusal { code: ErrorCode::Io, text, at: None, from: None })
        }
    }
}
