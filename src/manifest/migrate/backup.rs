//! The backup of a file: the bytes that were parsed, under a name that did not exist before (docs/source-sigilzero.md,
//! "Backups").

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;

use crate::durable::{AttributesNotKept, DiskError, FileState, Model, RootDirectory};
use crate::manifest::document::options::Mode;
use crate::manifest::document::version::Version;
use crate::manifest::tree::file_names;

/// The file that is backed up.
pub struct Original<'a> {
    pub name: &'a OsStr,
    pub bytes: &'a [u8],
    /// Its state when it was read.
    pub state: &'a FileState,
    pub version: Version,
    pub digest: [u8; 32],
}

/// A backup.
#[derive(Debug)]
pub struct Backup {
    /// Its name in the directory of the file.
    pub name: OsString,
    /// True if it was made just now, false if it was there already.
    pub is_new: bool,
}

/// The reason why a backup could not be made.
#[derive(Debug)]
pub enum BackupError {
    /// Each name that the backup may have belongs to another file.
    NameTaken(OsString),
    /// An operation on the disk failed.
    Disk(DiskError),
}

impl From<DiskError> for BackupError {
    fn from(error: DiskError) -> Self {
        Self::Disk(error)
    }
}

/// Makes the backup, unless one with the same content exists.
///
/// The backup is a hard link: a second name of the original, and its only one once the new file has taken the first.
/// This costs neither time nor space. The bytes are copied if the file has other names, through which they might
/// change, or if it cannot get a second name: the file system has none, or the file is immutable or mounted.
pub fn make_backup(directory: &dyn RootDirectory, original: &Original<'_>, mode: Mode) -> Result<Backup, BackupError> {
    let by_content = file_names::backup_name(original.name, original.version, &original.digest);
    let candidates = match mode {
        Mode::Compat => vec![file_names::compat_backup_name(original.name), by_content],
        Mode::Strict => vec![by_content],
    };
    for name in &candidates {
        match make_backup_named(directory, original, name)? {
            Made::New => return Ok(Backup { name: name.clone(), is_new: true }),
            Made::Before => return Ok(Backup { name: name.clone(), is_new: false }),
            Made::NameTaken => {}
        }
    }
    Err(BackupError::NameTaken(candidates.into_iter().next_back().unwrap_or_default()))
}

/// The result for one name of a backup.
enum Made {
    New,
    /// The backup was there.
    Before,
    /// The name belongs to another file.
    NameTaken,
}

/// Makes the backup under `name`.
fn make_backup_named(directory: &dyn RootDirectory, original: &Original<'_>, name: &OsStr) -> Result<Made, DiskError> {
    let made = match original.state.links {
        1 => match directory.hard_link(original.name, name) {
            Err(error) if cannot_link(&error) => copy(directory, original, name),
            linked => linked,
        },
        _ => copy(directory, original, name),
    };
    match made {
        Ok(()) => Ok(Made::New),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let is_backup = has_bytes(directory, name, original.bytes)?;
            Ok(if is_backup { Made::Before } else { Made::NameTaken })
        }
        Err(error) => Err(error),
    }
}

/// Copies the original. The copy gets its name after its bytes are durable: a torn copy under the final name would
/// block every later run.
fn copy(directory: &dyn RootDirectory, original: &Original<'_>, name: &OsStr) -> Result<(), DiskError> {
    let temporary = file_names::temporary_name(name);
    write_temporary(
        directory,
        &temporary,
        original.bytes,
        Model { keeps_time: true, ..Model::of(original.name) },
        true,
    )?;
    let named = directory.rename_exclusive(&temporary, name);
    if named.is_err() {
        let _ = directory.remove_file(&temporary);
    }
    named
}

/// Writes a temporary file, and replaces one that a crash left there. After a failure it is removed. Returns what it does
/// not have of the model.
pub fn write_temporary(
    directory: &dyn RootDirectory,
    temporary: &OsStr,
    bytes: &[u8],
    model: Model<'_>,
    synced: bool,
) -> Result<AttributesNotKept, DiskError> {
    let write = || directory.write_new_file(temporary, bytes, model, synced);
    let written = match write() {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            directory.remove_file(temporary)?;
            write()
        }
        written => written,
    };
    if written.is_err() {
        let _ = directory.remove_file(temporary);
    }
    written
}

fn cannot_link(error: &DiskError) -> bool {
    use ErrorKind::{CrossesDevices, PermissionDenied, TooManyLinks, Unsupported};
    matches!(error.kind(), CrossesDevices | PermissionDenied | TooManyLinks | Unsupported)
}

/// Returns true if the name belongs to a regular file with these bytes.
fn has_bytes(directory: &dyn RootDirectory, name: &OsStr, bytes: &[u8]) -> Result<bool, DiskError> {
    let mut found = Vec::new();
    match directory.read_file(name, bytes.len() as u64, &mut found) {
        Ok(_) => Ok(found == bytes),
        Err(error) if matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns true if the file already has a backup that is a hard link to it. A run that crashes between the backup and
/// the replacement leaves this behind.
pub fn has_own_backup(
    original: &Original<'_>,
    look_up: impl Fn(&OsStr) -> Result<Option<FileState>, DiskError>,
) -> Result<bool, DiskError> {
    let by_content = file_names::backup_name(original.name, original.version, &original.digest);
    for name in [by_content, file_names::compat_backup_name(original.name)] {
        if look_up(&name)?.is_some_and(|state| state.inode == original.state.inode) {
            return Ok(true);
        }
    }
    Ok(false)
}
