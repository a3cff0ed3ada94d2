//! The destinations of upgraded requests: none, the original files, or another directory.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::upgrade::Upgrade;
use crate::durable::{
    Attributes, AttributesNotKept, Disk, DiskError, DiskFile, EntryKind, create_directory_durable, parent_of,
    read_file, replace_file_under_lock, temporary_name_under_lock, write_new_synced_file,
};
use crate::migration::{DirectoryLocks, Error, remove_leftovers};
use crate::requiem::small_file::{SMALL_FILE_BYTES_MAX, SmallFile, error_chain};

/// Suffix of the file that keeps the original request.
const BACKUP_SUFFIX: &str = ".haul-backup";

/// What was done with an upgraded request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutResult {
    /// Nothing was written.
    Nothing,
    /// The request was written.
    Written {
        /// The file with the upgraded request.
        file: PathBuf,
        /// The file with the original request.
        backup: Option<PathBuf>,
        /// The attributes of the original that the new file does not have.
        not_kept: AttributesNotKept,
    },
    /// The request was not written, because of what is there.
    Refused(String),
}

/// Stores upgraded requests.
pub trait Destination {
    /// Stores the upgrade of `source`, which was read as `input`.
    fn put(&self, source: &Path, input: &SmallFile, upgrade: &Upgrade) -> Result<PutResult, Error>;
}

/// Writes nothing, and has no disk that it could write to.
pub struct DryRun;

impl Destination for DryRun {
    fn put(&self, _source: &Path, _input: &SmallFile, _upgrade: &Upgrade) -> Result<PutResult, Error> {
        Ok(PutResult::Nothing)
    }
}

/// Replaces the files that change, after their original bytes are durable next to them. Owner, permissions and other
/// attributes are kept where this process may set them. A file with several names is refused.
pub struct InPlace<'a> {
    disk: &'a dyn Disk,
    _locks: DirectoryLocks<'a>,
}

impl<'a> InPlace<'a> {
    /// Locks the directories of the files, which must exist.
    ///
    /// # Errors
    /// [`Error::Locked`] while another process replaces files there.
    pub fn new(disk: &'a dyn Disk, files: &[PathBuf]) -> Result<Self, Error> {
        // A file whose directory does not exist is refused when it is read.
        let is_reachable =
            |file: &&PathBuf| matches!(disk.kind(parent_of(file)), Ok(Some(EntryKind::Directory | EntryKind::Other)));
        let files: Vec<_> = files.iter().filter(is_reachable).cloned().collect();
        let locks = DirectoryLocks::of_files(disk, &files)?;
        let directories: BTreeSet<_> = files.iter().map(|file| parent_of(file).to_path_buf()).collect();
        remove_leftovers(disk, &directories.into_iter().collect::<Vec<_>>())?;
        Ok(Self { disk, _locks: locks })
    }
}

impl Destination for InPlace<'_> {
    fn put(&self, source: &Path, input: &SmallFile, upgrade: &Upgrade) -> Result<PutResult, Error> {
        if upgrade.changes.is_empty() {
            return Ok(PutResult::Nothing);
        }
        if self.disk.kind(source)? != Some(EntryKind::File) {
            return Ok(PutResult::Refused("it is a link; name the file itself".into()));
        }
        if let Err(changed) = input.check_unchanged() {
            return Ok(PutResult::Refused(error_chain(&changed)));
        }
        if input.names() > 1 {
            let what = format!("it has {} names, and the others would keep the old content", input.names());
            return Ok(PutResult::Refused(what));
        }
        replace_with_backup(self.disk, source, &input.bytes, &upgrade.text)
    }
}

/// Returns the path of the file that keeps the original of `path`.
pub fn backup_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(BACKUP_SUFFIX);
    name.into()
}

/// Replaces `old` by `new` once the backup of `old` is durable. It can be repeated after a crash at any point.
fn replace_with_backup(disk: &dyn Disk, path: &Path, old: &[u8], new: &[u8]) -> Result<PutResult, Error> {
    let backup = backup_path(path);
    if disk.kind(&backup)?.is_none() {
        let temporary = temporary_name_under_lock(&backup);
        write_new_synced_file::<DiskError>(disk, &temporary, Attributes::Of(path), |file| file.write_all_at(0, old))?;
        let named = disk.rename_exclusive(&temporary, &backup);
        if named.is_err() {
            // It was created here. The first error is the one to report.
            let _ = disk.remove_file(&temporary);
        }
        match named {
            // A program without this lock may have created it in between. Its content is compared below.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            named => named?,
        }
    }
    if !has_content(disk, &backup, old)? {
        return Ok(PutResult::Refused(format!("{} exists and has other content; move it away", backup.display())));
    }
    // A run that crashed may have created the name and not synced it.
    disk.sync_directory(parent_of(path))?;
    let not_kept =
        replace_file_under_lock::<DiskError>(disk, path, Attributes::OfReplaced, |file| file.write_all_at(0, new))?;
    Ok(PutResult::Written { file: path.to_path_buf(), backup: Some(backup), not_kept })
}

/// Writes every request that can be upgraded into one directory, under its own name. Nothing in that directory is
/// replaced.
pub struct OutDir<'a> {
    disk: &'a dyn Disk,
    directory: PathBuf,
    _locks: DirectoryLocks<'a>,
}

impl<'a> OutDir<'a> {
    /// Creates the directory if it does not exist, and locks it.
    ///
    /// # Errors
    /// [`Error::Locked`] while another process writes there.
    pub fn new(disk: &'a dyn Disk, directory: &Path) -> Result<Self, Error> {
        create_directory_durable(disk, directory)?;
        let locks = DirectoryLocks::of_files(disk, &[directory.join("any")])?;
        remove_leftovers(disk, &[directory.to_path_buf()])?;
        Ok(Self { disk, directory: directory.to_path_buf(), _locks: locks })
    }

    /// Fails if two sources have the same name, because they would become one file.
    pub fn check_names(directory: &Path, sources: &[PathBuf]) -> Result<(), Error> {
        let mut names = BTreeSet::new();
        let Some(twice) = sources.iter().find(|source| !names.insert(source.file_name())) else { return Ok(()) };
        Err(Error::Usage {
            what: format!("two requests would become {}", target(directory, twice).display()),
            next: "upgrade them in two runs, into two directories".into(),
        })
    }
}

impl Destination for OutDir<'_> {
    fn put(&self, source: &Path, input: &SmallFile, upgrade: &Upgrade) -> Result<PutResult, Error> {
        let file = target(&self.directory, source);
        if let Err(changed) = input.check_unchanged() {
            return Ok(PutResult::Refused(error_chain(&changed)));
        }
        let not_kept = match self.disk.kind(&file)? {
            None => {
                let original = fs::canonicalize(source).map_err(|error| DiskError::new("locate", source, error))?;
                let write = |file: &dyn DiskFile| file.write_all_at(0, &upgrade.text);
                replace_file_under_lock::<DiskError>(self.disk, &file, Attributes::Of(&original), write)?
            }
            Some(_) if has_content(self.disk, &file, &upgrade.text)? => AttributesNotKept::default(),
            Some(_) => return Ok(PutResult::Refused(format!("{} exists and has other content", file.display()))),
        };
        Ok(PutResult::Written { file, backup: None, not_kept })
    }
}

fn target(directory: &Path, source: &Path) -> PathBuf {
    directory.join(source.file_name().unwrap_or_default())
}

fn has_content(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<bool, Error> {
    match disk.kind(path)? {
        Some(EntryKind::File) => match read_file(disk, path, SMALL_FILE_BYTES_MAX * 2) {
            Err(error) if error.kind() == ErrorKind::InvalidData => Ok(false),
            found => Ok(found? == bytes),
        },
        _ => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::{CrashFault, InjectedFault, SimulatedDisk};

    const OLD: &[u8] = &[b'o'; 700];
    const NEW: &[u8] = &[b'n'; 1500];

    fn path() -> &'static Path {
        Path::new("/requests/a.json")
    }

    fn disk() -> SimulatedDisk {
        let disk = SimulatedDisk::new();
        disk.install_file(path(), OLD);
        disk
    }

    fn read(disk: &SimulatedDisk, path: &Path) -> Option<Vec<u8>> {
        read_file(disk, path, 1 << 20).ok()
    }

    fn assert_done(disk: &SimulatedDisk) {
        assert_eq!(read(disk, path()).as_deref(), Some(NEW));
        assert_eq!(read(disk, &backup_path(path())).as_deref(), Some(OLD));
        assert_eq!(disk.list(Path::new("/requests")).unwrap().len(), 2);
    }

    #[test]
    fn after_any_crash_the_old_request_exists_and_the_upgrade_can_be_repeated() {
        let whole = disk();
        let put = replace_with_backup(&whole, path(), OLD, NEW).unwrap();
        let (file, backup) = (path().to_path_buf(), Some(backup_path(path())));
        assert_eq!(put, PutResult::Written { file, backup, not_kept: AttributesNotKept::default() });
        assert_done(&whole);
        for fault in CrashFault::ALL.into_iter().chain((0..30).map(CrashFault::ScatteredWrites)) {
            for operations in 0..=whole.operations() {
                let left = whole.crash_image(operations, fault);
                let found = read(&left, path()).unwrap();
                if found == NEW {
                    assert_eq!(read(&left, &backup_path(path())).as_deref(), Some(OLD), "{fault:?} after {operations}");
                } else {
                    assert_eq!(found, OLD, "{fault:?} after {operations}");
                    replace_with_backup(&left, path(), OLD, NEW).unwrap();
                }
                remove_leftovers(&left, &[parent_of(path()).to_path_buf()]).unwrap();
                assert_done(&left);
            }
        }
    }

    #[test]
    fn a_failed_replacement_leaves_the_request_and_can_be_repeated() {
        for kind in InjectedFault::ALL {
            let mut failures = 0;
            loop {
                let disk = disk();
                disk.fail_operation(failures, kind);
                if replace_with_backup(&disk, path(), OLD, NEW).is_ok() {
                    break;
                }
                failures += 1;
                if read(&disk, path()).as_deref() == Some(OLD) {
                    replace_with_backup(&disk, path(), OLD, NEW).unwrap();
                }
                assert_done(&disk);
            }
            assert!(failures > 5, "{kind:?}");
        }
    }

    #[test]
    fn a_backup_with_other_content_is_kept() {
        let disk = disk();
        disk.install_file(&backup_path(path()), b"older");
        assert!(matches!(replace_with_backup(&disk, path(), OLD, NEW).unwrap(), PutResult::Refused(_)));
        assert_eq!(read(&disk, path()).as_deref(), Some(OLD));
        assert_eq!(read(&disk, &backup_path(path())).as_deref(), Some(&b"older"[..]));
    }
}
