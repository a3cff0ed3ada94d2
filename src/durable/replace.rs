//! Operations on one file, built from the single effects of a [`Disk`]: atomic replacement, copies, and reading it
//! whole.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::TooLong;
use super::{
    AttributesNotKept, Disk, DiskError, DiskFile, EntryKind, StopCheck, for_each_chunk, parent_of,
    temporary_name_under_lock, unique_temporary_name,
};

/// What a new file is besides its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attributes<'a> {
    /// The attributes of the file that it replaces; without one, those that the system gives to a new file.
    OfReplaced,
    /// The attributes of this file: owner, group, permission bits, access control list, extended attributes.
    Of(&'a Path),
    /// These permission bits (`0o7777`).
    Mode(u32),
}

/// Replaces the file at `path` by `bytes` in one step that is durable on return: a crash leaves the complete old file
/// or the complete new one. The new file has the owner, the permissions and the other attributes of the old one.
///
/// For files that only the holder of a lock writes: the bytes are first written to the [`temporary_name`] in the same
/// directory. A file there was left by a crash, and is removed.
pub fn replace_file(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    replace_file_with(disk, path, Attributes::OfReplaced, |file| file.write_all_at(0, bytes)).map(|_| ())
}

/// Replaces a file like [`replace_file`], with bytes that `write` streams. Returns which attributes could not be kept.
///
/// The attributes are set before the first byte. Only those of a file that stays empty may be lost with the power.
pub fn replace_file_with<E: From<DiskError>>(
    disk: &dyn Disk,
    path: &Path,
    attributes: Attributes<'_>,
    write: impl FnOnce(&dyn DiskFile) -> Result<(), E>,
) -> Result<AttributesNotKept, E> {
    let temporary = temporary_name(path);
    let not_kept = write_synced_file(disk, &temporary, attributes.for_replacing(disk, path)?, write)?;
    give_name(disk, &temporary, path)?;
    Ok(not_kept)
}

/// Replaces a file like [`replace_file_with`], but at a path that others may write at the same time: the temporary file
/// has a [`unique_temporary_name`]. It is removed after a failure. After a crash it stays: nobody can know whose it is.
pub fn replace_shared_file<E: From<DiskError>>(
    disk: &dyn Disk,
    path: &Path,
    attributes: Attributes<'_>,
    write: impl FnOnce(&dyn DiskFile) -> Result<(), E>,
) -> Result<AttributesNotKept, E> {
    replace_by(disk, &unique_temporary_name(path), path, attributes, write)
}

/// Replaces a file like [`replace_shared_file`], for the holder of the lock of its directory. The lock may not reach
/// every host. What a crash leaves is known by its [`temporary_name_under_lock`].
pub fn replace_file_under_lock<E: From<DiskError>>(
    disk: &dyn Disk,
    path: &Path,
    attributes: Attributes<'_>,
    write: impl FnOnce(&dyn DiskFile) -> Result<(), E>,
) -> Result<AttributesNotKept, E> {
    replace_by(disk, &temporary_name_under_lock(path), path, attributes, write)
}

fn replace_by<E: From<DiskError>>(
    disk: &dyn Disk,
    temporary: &Path,
    path: &Path,
    attributes: Attributes<'_>,
    write: impl FnOnce(&dyn DiskFile) -> Result<(), E>,
) -> Result<AttributesNotKept, E> {
    let not_kept = write_new_synced_file(disk, temporary, attributes.for_replacing(disk, path)?, write)?;
    if let Err(error) = disk.rename(temporary, path) {
        // The first error is the one to report.
        let _ = disk.remove_file(temporary);
        return Err(error.into());
    }
    disk.sync_directory(parent_of(path))?;
    Ok(not_kept)
}

impl<'a> Attributes<'a> {
    /// Names the file whose attributes a new file at `path` gets, if it is the one that is there.
    fn for_replacing(self, disk: &dyn Disk, path: &'a Path) -> Result<Self, DiskError> {
        if path.file_name().is_none() {
            return Err(DiskError::new("replace", path, io::ErrorKind::InvalidInput.into()));
        }
        match self {
            Self::OfReplaced if disk.kind(path)? == Some(EntryKind::File) => Ok(Self::Of(path)),
            given => Ok(given),
        }
    }
}

/// The bytes are durable by now: a rename before their sync could leave the name of an empty file after a crash.
fn give_name(disk: &dyn Disk, temporary: &Path, path: &Path) -> Result<(), DiskError> {
    disk.rename(temporary, path)?;
    disk.sync_directory(parent_of(path))
}

/// Creates a file, in place of one that a crash left there, and syncs its bytes, but not its name: for a name that no
/// reader looks for, and that only the holder of a lock writes.
pub fn write_synced_file<E: From<DiskError>>(
    disk: &dyn Disk,
    path: &Path,
    attributes: Attributes<'_>,
    write: impl FnOnce(&dyn DiskFile) -> Result<(), E>,
) -> Result<AttributesNotKept, E> {
    remove_file_if_present(disk, path)?;
    let new = create(disk, path, attributes)?;
    write(&*new.file)?;
    new.file.sync()?;
    Ok(new.not_kept)
}

/// Creates a file that must not exist, and syncs its bytes, but not its name. After a failure it does not exist.
pub fn write_new_synced_file<E: From<DiskError>>(
    disk: &dyn Disk,
    path: &Path,
    attributes: Attributes<'_>,
    write: impl FnOnce(&dyn DiskFile) -> Result<(), E>,
) -> Result<AttributesNotKept, E> {
    let new = create(disk, path, attributes)?;
    let written = write(&*new.file).and_then(|()| Ok(new.file.sync()?));
    if written.is_err() {
        // It was created here. The first error is the one to report.
        let _ = disk.remove_file(path);
    }
    written.map(|()| new.not_kept)
}

struct New {
    file: Arc<dyn DiskFile>,
    not_kept: AttributesNotKept,
}

fn create(disk: &dyn Disk, path: &Path, attributes: Attributes<'_>) -> Result<New, DiskError> {
    let (file, not_kept) = match attributes {
        Attributes::Of(like) => disk.create_file_like(path, like)?,
        Attributes::OfReplaced | Attributes::Mode(_) => (disk.create_file(path)?, AttributesNotKept::default()),
    };
    // The bits come before the bytes: a sync of the file covers only bits that are older than its length.
    if let Attributes::Mode(mode) = attributes
        && let Err(error) = disk.set_mode(path, mode)
    {
        // It was created here. The first error is the one to report.
        let _ = disk.remove_file(path);
        return Err(error);
    }
    Ok(New { file, not_kept })
}

/// Returns `.NAME.tmp` in the directory of `path`, the name of a replacement in progress. Only for files that a lock
/// protects: others need a [`unique_temporary_name`].
pub fn temporary_name(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".tmp");
    path.with_file_name(name)
}

/// Replaces `to` by a copy of `from` in one durable step, as [`replace_file_with`] does.
pub fn copy_file(
    disk: &dyn Disk,
    from: &Path,
    to: &Path,
    attributes: Attributes<'_>,
    stop: StopCheck<'_>,
) -> Result<AttributesNotKept, DiskError> {
    let source = disk.open_for_read(from)?;
    let len_bytes = source.len()?;
    replace_file_with(disk, to, attributes, |file| {
        for_each_chunk(
            0..len_bytes,
            stop,
            |offset, chunk| source.read_exact_at(offset, chunk),
            |offset, chunk| file.write_all_at(offset, chunk),
        )
    })
}

fn remove_file_if_present(disk: &dyn Disk, path: &Path) -> Result<(), DiskError> {
    match disk.remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Reads a whole file. A file longer than `limit_bytes` is an `InvalidData` error and is not read.
pub fn read_file(disk: &dyn Disk, path: &Path, limit_bytes: u64) -> Result<Vec<u8>, DiskError> {
    let file = disk.open_for_read(path)?;
    let len = file.len()?;
    TooLong::check(len, limit_bytes.min(isize::MAX as u64)).map_err(|error| DiskError::new("read", path, error))?;
    let mut bytes = vec![0; len as usize];
    file.read_exact_at(0, &mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::{CrashFault, InjectedFault, NEVER, RealDisk, SimulatedDisk};

    type Replace = fn(&dyn Disk, &Path, &[u8]) -> Result<(), DiskError>;

    const OLD: [u8; 1300] = [b'o'; 1300];
    const NEW: [u8; 3000] = [b'n'; 3000];

    fn file() -> &'static Path {
        Path::new("/store/CURRENT")
    }

    fn all_faults() -> impl Iterator<Item = CrashFault> {
        CrashFault::ALL.into_iter().chain((0..50).map(CrashFault::ScatteredWrites))
    }

    fn disk_with_old() -> SimulatedDisk {
        let disk = SimulatedDisk::new();
        disk.install_file(file(), &OLD);
        disk
    }

    /// Returns the first crash after which the file is neither old nor new, or not new although the replacement had
    /// returned.
    fn first_damage(replace: Replace) -> Option<String> {
        let disk = disk_with_old();
        replace(&disk, file(), &NEW).unwrap();
        for fault in all_faults() {
            for operations in 0..=disk.operations() {
                let found = read_file(&disk.crash_image(operations, fault), file(), 1 << 20).ok();
                let is_new = found.as_deref() == Some(&NEW[..]);
                let may_be_old = operations < disk.operations();
                if !(is_new || may_be_old && found.as_deref() == Some(&OLD[..])) {
                    let before = operations.checked_sub(1).map_or("nothing".into(), |i| disk.operation_label(i));
                    return Some(format!("{fault:?} after {before}"));
                }
            }
        }
        None
    }

    #[test]
    fn a_crash_leaves_the_old_file_or_the_new_one() {
        assert_eq!(first_damage(replace_file), None);
    }

    /// Replaces in pieces, with permission bits.
    fn stream(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
        replace_file_with(disk, path, Attributes::Mode(0o640), |file| {
            bytes.chunks(700).zip(0..).try_for_each(|(piece, index)| file.write_all_at(700 * index, piece))
        })
        .map(|_| ())
    }

    #[test]
    fn a_crash_leaves_the_old_file_or_the_streamed_one() {
        assert_eq!(first_damage(stream), None);
    }

    /// Returns the first crash that leaves the old bytes with the new permission bits, or the new bytes without them.
    fn first_wrong_mode(replace: Replace) -> Option<String> {
        let disk = disk_with_old();
        replace(&disk, file(), &NEW).unwrap();
        for fault in all_faults() {
            for (operations, image) in disk.crash_images(fault).enumerate() {
                let is_new = read_file(&image, file(), 1 << 20).unwrap() == NEW;
                if (image.mode(file()).unwrap() == 0o640) != is_new {
                    return Some(format!("{fault:?} after {operations}"));
                }
            }
        }
        None
    }

    #[test]
    fn permission_bits_come_with_the_bytes() {
        assert_eq!(first_wrong_mode(stream), None);
        let after_the_bytes: Replace = |disk, path, bytes| {
            let temporary = temporary_name(path);
            let file = disk.create_file(&temporary)?;
            file.write_all_at(0, bytes)?;
            disk.set_mode(&temporary, 0o640)?;
            file.sync()?;
            disk.rename(&temporary, path)?;
            disk.sync_directory(parent_of(path))
        };
        assert!(first_wrong_mode(after_the_bytes).unwrap().starts_with("UnsyncedDropped after 6"));
    }

    #[test]
    fn a_crash_leaves_the_old_file_or_the_whole_copy() {
        let copy: Replace = |disk, path, bytes| {
            let source = Path::new("/store/source");
            disk.create_file(source)?.write_all_at(0, bytes)?;
            copy_file(disk, source, path, Attributes::OfReplaced, NEVER).map(|_| ())
        };
        assert_eq!(first_damage(copy), None);
    }

    #[test]
    fn a_replaced_file_has_the_mode_that_is_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        RealDisk.write_new_file(&path, b"old").unwrap();
        RealDisk.write_new_file(&temporary_name(&path), b"left by a crash").unwrap();
        for mode in [0o400, 0o755] {
            replace_file_with(&RealDisk, &path, Attributes::Mode(mode), |file| file.write_all_at(0, b"new")).unwrap();
            assert_eq!(RealDisk.mode(&path).unwrap(), mode);
            assert_eq!(read_file(&RealDisk, &path, 9).unwrap(), b"new");
        }
        assert_eq!(RealDisk.list(directory.path()).unwrap().len(), 1);
    }

    #[test]
    fn a_replaced_file_keeps_its_mode_unless_another_is_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("file"), directory.path().join("other"));
        for (path, mode) in [(&path, 0o600), (&other, 0o640)] {
            RealDisk.write_new_file(path, b"old").unwrap();
            RealDisk.set_mode(path, mode).unwrap();
        }
        replace_file(&RealDisk, &path, b"new").unwrap();
        assert_eq!(RealDisk.mode(&path).unwrap(), 0o600);
        let not_kept = copy_file(&RealDisk, &other, &path, Attributes::Of(&other), NEVER).unwrap();
        assert!(not_kept.is_empty(), "{not_kept}");
        assert_eq!(RealDisk.mode(&path).unwrap(), 0o640);
    }

    #[test]
    fn writers_of_one_path_never_touch_the_files_of_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::thread::scope(|scope| {
            for number in 0..4_u8 {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..50 {
                        let write = |file: &dyn DiskFile| file.write_all_at(0, &[number; 5000]);
                        replace_shared_file::<DiskError>(&RealDisk, path, Attributes::OfReplaced, write).unwrap();
                        let found = read_file(&RealDisk, path, 1 << 20).unwrap();
                        assert!(found.len() == 5000 && found.iter().all(|byte| *byte == found[0]));
                    }
                });
            }
        });
        assert_eq!(RealDisk.list(directory.path()).unwrap().len(), 1);
    }

    #[test]
    fn a_failed_writer_leaves_no_file_of_its_own() {
        let whole = disk_with_old();
        let replace = |disk: &SimulatedDisk| {
            replace_shared_file::<DiskError>(disk, file(), Attributes::OfReplaced, |new| new.write_all_at(0, &NEW))
        };
        replace(&whole).unwrap();
        for n in 0..whole.operations() {
            let disk = disk_with_old();
            disk.fail_operation(n, InjectedFault::Eio);
            replace(&disk).unwrap_err();
            assert_eq!(disk.list(Path::new("/store")).unwrap().len(), 1, "{n}");
        }
    }

    #[test]
    fn errors_of_the_writer_are_given_back_and_leave_the_old_file() {
        #[derive(Debug)]
        enum Failure {
            OfTheDisk,
            OfTheWriter,
        }
        impl From<DiskError> for Failure {
            fn from(_: DiskError) -> Self {
                Self::OfTheDisk
            }
        }
        let disk = disk_with_old();
        let error =
            replace_file_with(&disk, file(), Attributes::OfReplaced, |_| Err(Failure::OfTheWriter)).unwrap_err();
        assert!(matches!(error, Failure::OfTheWriter));
        let error = replace_file_with::<Failure>(&disk, Path::new("/"), Attributes::OfReplaced, |_| Ok(()));
        let error = error.unwrap_err();
        assert!(matches!(error, Failure::OfTheDisk));
        assert_eq!(read_file(&disk, file(), 1 << 20).unwrap(), OLD);
    }

    #[test]
    fn the_simulated_disk_sees_every_step_that_is_left_out() {
        let in_place: Replace = |disk, path, bytes| {
            let file = disk.open_file(path)?;
            file.write_all_at(0, bytes)?;
            file.sync()
        };
        assert!(first_damage(in_place).unwrap().contains("LastWriteTorn after write"));

        let without_sync: Replace = |disk, path, bytes| {
            let temporary = temporary_name(path);
            disk.create_file(&temporary)?.write_all_at(0, bytes)?;
            disk.rename(&temporary, path)?;
            disk.sync_directory(parent_of(path))
        };
        assert!(first_damage(without_sync).unwrap().contains("after sync directory"));

        let without_directory_sync: Replace = |disk, path, bytes| {
            let temporary = temporary_name(path);
            let file = disk.create_file(&temporary)?;
            file.write_all_at(0, bytes)?;
            file.sync()?;
            disk.rename(&temporary, path)
        };
        assert!(first_damage(without_directory_sync).unwrap().contains("after rename"));

        let remove_first: Replace = |disk, path, bytes| {
            disk.remove_file(path)?;
            replace_file(disk, path, bytes)
        };
        assert!(first_damage(remove_first).unwrap().contains("AllKept after remove file"));
    }

    #[test]
    fn a_failed_replacement_can_be_tried_again() {
        for replace in [replace_file as Replace, stream] {
            let whole = disk_with_old();
            replace(&whole, file(), &NEW).unwrap();
            for (kind, n) in
                InjectedFault::ALL.into_iter().flat_map(|kind| (0..whole.operations()).map(move |n| (kind, n)))
            {
                let disk = disk_with_old();
                disk.fail_operation(n, kind);
                replace(&disk, file(), &NEW).unwrap_err();
                let left = read_file(&disk, file(), 1 << 20).unwrap();
                assert!(left == OLD || left == NEW, "{kind:?} at {n}");
                replace(&disk, file(), &NEW).unwrap();
                let image = disk.crash_image(disk.operations(), CrashFault::UnsyncedDropped);
                assert_eq!(image.snapshot(), whole.snapshot(), "{kind:?} at {n}");
                assert_eq!(image.mode(file()).unwrap(), whole.mode(file()).unwrap(), "{kind:?} at {n}");
            }
        }
    }

    #[test]
    fn a_name_is_needed_to_replace() {
        assert_eq!(replace_file(&RealDisk, Path::new("/"), b"").unwrap_err().kind(), io::ErrorKind::InvalidInput);
        let bare = Path::new("bare");
        assert_eq!((parent_of(bare), temporary_name(bare)), (Path::new("."), PathBuf::from(".bare.tmp")));
    }

    #[test]
    fn files_longer_than_the_limit_are_not_read() {
        let disk = disk_with_old();
        assert_eq!(read_file(&disk, file(), 1300).unwrap(), OLD);
        assert_eq!(read_file(&disk, file(), 1299).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(read_file(&disk, Path::new("/absent"), 9).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
