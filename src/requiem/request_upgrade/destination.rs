//! Where upgraded requests go: nowhere, over the old ones, or into a directory of their own.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::upgrade::Upgrade;
use crate::durable::{
    Disk, DiskError, EntryKind, create_directory_durable, parent_of, read_file, replace_file_with, temporary_name,
    write_synced_file,
};
use crate::migration::Error;
use crate::requiem::small_file::{INPUT_BYTES_MAX, Input, reason};

/// What stands behind the name of a file that holds what a request was.
const BACKUP_SUFFIX: &str = ".haul-backup";

/// What was done with an upgraded request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// Nothing.
    Nothing,
    /// It was written.
    Written {
        /// Where it is now.
        file: PathBuf,
        /// Where what it was is now.
        backup: Option<PathBuf>,
    },
    /// It was not, because of what is there.
    Refused(String),
}

/// Takes upgraded requests.
pub trait Destination {
    /// Takes the upgrade of `source`, which was read as `input`.
    fn put(&self, source: &Path, input: &Input, upgrade: &Upgrade) -> Result<Put, Error>;
}

/// Writes nothing: it has no disk.
pub struct DryRun;

impl Destination for DryRun {
    fn put(&self, _source: &Path, _input: &Input, _upgrade: &Upgrade) -> Result<Put, Error> {
        Ok(Put::Nothing)
    }
}

/// Replaces the files that change, after their old bytes are kept beside them. Permission bits stay; owner and links do
/// not.
pub struct InPlace<'a>(pub &'a dyn Disk);

impl Destination for InPlace<'_> {
    fn put(&self, source: &Path, input: &Input, upgrade: &Upgrade) -> Result<Put, Error> {
        if upgrade.changes.is_empty() {
            return Ok(Put::Nothing);
        }
        if self.0.kind(source)? != Some(EntryKind::File) {
            return Ok(Put::Refused("it is a link; name the file itself".into()));
        }
        if let Err(changed) = input.check_unchanged() {
            return Ok(Put::Refused(reason(&changed)));
        }
        replace_with_backup(self.0, source, &input.bytes, &upgrade.text)
    }
}

/// The file that keeps what `path` held.
pub fn backup_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(BACKUP_SUFFIX);
    name.into()
}

/// Puts `new` in place of `old`, which is durable under the name of the backup before. Done again after a crash, it ends
/// the same.
fn replace_with_backup(disk: &dyn Disk, path: &Path, old: &[u8], new: &[u8]) -> Result<Put, Error> {
    let backup = backup_path(path);
    let mode = Some(disk.mode(path)?);
    if disk.kind(&backup)?.is_none() {
        let temporary = temporary_name(&backup);
        write_synced_file(disk, &temporary, mode, |file| file.write_all_at(0, old))?;
        match disk.rename_exclusive(&temporary, &backup) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            result => result?,
        }
    }
    if !holds(disk, &backup, old)? {
        return Ok(Put::Refused(format!("{} is there and holds something else; move it away", backup.display())));
    }
    // A run that died may have made the name and not come to its sync.
    disk.sync_directory(parent_of(path))?;
    replace_file_with::<DiskError>(disk, path, mode, |file| file.write_all_at(0, new))?;
    Ok(Put::Written { file: path.to_path_buf(), backup: Some(backup) })
}

/// Writes every request that can be upgraded into one directory, under its own name. Nothing in there is replaced.
pub struct OutDir<'a> {
    disk: &'a dyn Disk,
    directory: PathBuf,
}

impl<'a> OutDir<'a> {
    /// Makes the directory if it is not there.
    pub fn new(disk: &'a dyn Disk, directory: &Path) -> Result<Self, Error> {
        create_directory_durable(disk, directory)?;
        Ok(Self { disk, directory: directory.to_path_buf() })
    }

    /// Fails if two sources have one name: they would become one file.
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
    fn put(&self, source: &Path, input: &Input, upgrade: &Upgrade) -> Result<Put, Error> {
        let file = target(&self.directory, source);
        if let Err(changed) = input.check_unchanged() {
            return Ok(Put::Refused(reason(&changed)));
        }
        match self.disk.kind(&file)? {
            None => {
                let original = fs::canonicalize(source).map_err(|error| DiskError::new("locate", source, error))?;
                let mode = Some(self.disk.mode(&original)?);
                replace_file_with::<DiskError>(self.disk, &file, mode, |file| file.write_all_at(0, &upgrade.text))?;
            }
            Some(_) if holds(self.disk, &file, &upgrade.text)? => {}
            Some(_) => return Ok(Put::Refused(format!("{} is there and holds something else", file.display()))),
        }
        Ok(Put::Written { file, backup: None })
    }
}

fn target(directory: &Path, source: &Path) -> PathBuf {
    directory.join(source.file_name().unwrap_or_default())
}

fn holds(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<bool, Error> {
    match disk.kind(path)? {
        Some(EntryKind::File) => match read_file(disk, path, INPUT_BYTES_MAX * 2) {
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
    fn after_any_crash_the_old_request_is_there_and_the_upgrade_can_be_done_again() {
        let whole = disk();
        let put = replace_with_backup(&whole, path(), OLD, NEW).unwrap();
        assert_eq!(put, Put::Written { file: path().into(), backup: Some(backup_path(path())) });
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
                assert_eq!(read(&left, path()).as_deref(), Some(NEW));
                assert_eq!(read(&left, &backup_path(path())).as_deref(), Some(OLD));
            }
        }
    }

    #[test]
    fn a_failed_replacement_leaves_the_request_and_can_be_done_again() {
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
    fn a_backup_of_something_else_is_kept() {
        let disk = disk();
        disk.install_file(&backup_path(path()), b"older");
        assert!(matches!(replace_with_backup(&disk, path(), OLD, NEW).unwrap(), Put::Refused(_)));
        assert_eq!(read(&disk, path()).as_deref(), Some(OLD));
        assert_eq!(read(&disk, &backup_path(path())).as_deref(), Some(&b"older"[..]));
    }
}
