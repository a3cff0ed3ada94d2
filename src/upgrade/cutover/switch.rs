//! The replacement of several files, all or none: an intent that is durable before the first rename, renames, and an
//! end that any later attempt can bring about.
//!
//! The old file keeps a second name until the end, so that a rename that fails half way can be undone. Nothing here
//! knows SQLite: the caller has emptied the write-ahead logs, and keeps writers out.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bincode::{Decode, Encode};

use super::side_files;
use crate::durable::{Attributes, Disk, DiskError, EntryKind, NEVER, copy_file, create_directory_durable, parent_of};
use crate::migration::Error;

/// Which files a switch makes live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Direction {
    /// The new ones.
    Forward,
    /// The old ones again, because a rename has failed half way.
    Back,
}

/// The replacement of one file.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Replacement {
    /// The file that is replaced.
    pub live: PathBuf,
    /// The file that takes its name, on the same file system. It is gone when that has happened.
    pub new: PathBuf,
    /// The second name of the old file until the switch has ended.
    pub kept: PathBuf,
    /// A copy of the old file, for file systems without second names.
    pub copy: Option<PathBuf>,
}

/// The intent to replace several files.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Switch {
    /// Which files become live.
    pub direction: Direction,
    /// The files that are still concerned.
    pub files: Vec<Replacement>,
}

/// How a switch has ended.
#[derive(Debug)]
pub enum Switched {
    /// All files are the new ones.
    New,
    /// All files are the old ones: because of this error or, without one, because an earlier attempt had one.
    Old(Option<DiskError>),
}

impl Switch {
    /// Gives each old file its second name, durably. Nothing is switched yet, and whatever fails changes nothing.
    pub fn prepare(disk: &dyn Disk, files: Vec<Replacement>) -> Result<Self, DiskError> {
        for file in &files {
            // A new file that is absent would count as switched.
            check_is_file(disk, &file.new)?;
            create_directory_durable(disk, parent_of(&file.kept))?;
            if disk.kind(&file.kept)?.is_some() {
                disk.remove_file(&file.kept)?;
            }
            // An old file that is gone can be replaced all the same.
            if disk.kind(&file.live)?.is_none() {
                continue;
            }
            check_is_file(disk, &file.live)?;
            match (disk.hard_link(&file.live, &file.kept), &file.copy) {
                (Ok(()), _) | (Err(_), None) => {}
                (Err(_), Some(copy)) => _ = copy_file(disk, copy, &file.kept, Attributes::Of(copy), NEVER)?,
            }
        }
        sync_all(disk, files.iter().map(|file| parent_of(&file.kept)))?;
        Ok(Self { direction: Direction::Forward, files })
    }

    /// Brings the switch to its end. `store` makes the intent durable; it is called before the first rename and when the
    /// direction changes. On return all files are old or all are new, and the caller takes the intent back.
    ///
    /// # Errors
    /// If the files are a mixture: the intent stays, and a later call continues.
    pub fn carry_out(
        mut self,
        disk: &dyn Disk,
        store: &mut dyn FnMut(&Self) -> Result<(), Error>,
    ) -> Result<Switched, Error> {
        store(&self)?;
        let failed = match self.direction {
            Direction::Forward => match self.forward(disk) {
                Ok(()) => return Ok(Switched::New),
                Err(error) => error,
            },
            Direction::Back => {
                self.back(disk)?;
                return Ok(Switched::Old(None));
            }
        };
        self.direction = Direction::Back;
        let mut switched = Vec::new();
        for file in self.files {
            if disk.kind(&file.new)?.is_none() {
                // Without the old file there is only the way forward: the intent stays as it is.
                if disk.kind(&file.kept)?.is_none() {
                    return Err(failed.into());
                }
                switched.push(file);
            }
        }
        self.files = switched;
        store(&self)?;
        self.back(disk)?;
        Ok(Switched::Old(Some(failed)))
    }

    /// Gives each new file its name.
    fn forward(&self, disk: &dyn Disk) -> Result<(), DiskError> {
        let mut pending = Vec::new();
        for file in &self.files {
            // Side files next to a file that is switched already are its own.
            if disk.kind(&file.new)?.is_some() {
                side_files::remove(disk, &file.live)?;
                pending.push(file);
            }
        }
        // A new file that got its name before they are gone for good could meet them after a crash.
        sync_all(disk, pending.iter().map(|file| parent_of(&file.live)))?;
        for file in &pending {
            rename_away(disk, &file.new, &file.live)?;
        }
        self.sync_names(disk)
    }

    /// Gives each old file its name again; the new ones get back the names that they had.
    fn back(&self, disk: &dyn Disk) -> Result<(), DiskError> {
        for file in &self.files {
            if disk.kind(&file.kept)?.is_none() {
                continue;
            }
            if disk.kind(&file.new)?.is_none() && disk.hard_link(&file.live, &file.new).is_ok() {
                disk.sync_directory(parent_of(&file.new))?;
            }
            if side_files::remove(disk, &file.live)? {
                disk.sync_directory(parent_of(&file.live))?;
            }
            rename_away(disk, &file.kept, &file.live)?;
        }
        self.sync_names(disk)
    }

    fn sync_names(&self, disk: &dyn Disk) -> Result<(), DiskError> {
        sync_all(
            disk,
            self.files.iter().flat_map(|file| [&file.live, &file.new, &file.kept]).map(|path| parent_of(path)),
        )
    }
}

fn check_is_file(disk: &dyn Disk, path: &Path) -> Result<(), DiskError> {
    let kind = match disk.kind(path)? {
        Some(EntryKind::File) => return Ok(()),
        Some(_) => ErrorKind::InvalidInput,
        None => ErrorKind::NotFound,
    };
    Err(DiskError::new("switch", path, kind.into()))
}

fn sync_all<'a>(disk: &dyn Disk, directories: impl Iterator<Item = &'a Path>) -> Result<(), DiskError> {
    directories.collect::<BTreeSet<_>>().into_iter().try_for_each(|directory| disk.sync_directory(directory))
}

/// Renames, also where both are names of one file: there the system does nothing and reports no error.
fn rename_away(disk: &dyn Disk, from: &Path, to: &Path) -> Result<(), DiskError> {
    disk.rename(from, to)?;
    if disk.kind(from)?.is_some() { disk.remove_file(from) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::{CrashFault, InjectedFault, SimulatedDisk};
    use crate::migration::CheckpointFile;
    use crate::migration::checkpoint::Kind;
    use crate::migration::test_disk::{crash_faults, put};

    const KIND: Kind = Kind { tag: *b"probe\0\0\0", restart: "probe again" };
    const KEYS: [&str; 3] = ["one.db", "two.db", "three.db"];
    const OLD_MODE: u32 = 0o640;

    fn at(directory: &str, key: &str) -> PathBuf {
        Path::new(directory).join(key)
    }

    fn files() -> Vec<Replacement> {
        let of_key = |key: &str| Replacement {
            live: at("/set", key),
            new: at("/set/migration/staging", key),
            kept: at("/set/migration/replaced", key),
            copy: None,
        };
        KEYS.map(of_key).to_vec()
    }

    /// A set of old files with side files, and the new ones next to them; all of it durable.
    fn scene() -> SimulatedDisk {
        let disk = SimulatedDisk::with_directories(&[Path::new("/set/migration/staging")]);
        for file in files() {
            put(&disk, &file.live, b"old");
            disk.set_mode(&file.live, OLD_MODE).unwrap();
            disk.create_file_like(&file.new, &file.live).unwrap().0.write_all_at(0, b"new").unwrap();
            side_files::names(&file.live).iter().for_each(|path| put(&disk, path, b"of old"));
        }
        disk.file_system(Path::new("/set")).unwrap().sync().unwrap();
        disk.crash_image(disk.operations(), CrashFault::UnsyncedDropped)
    }

    fn checkpoint() -> CheckpointFile {
        CheckpointFile::new("/set/migration", KIND)
    }

    fn store(disk: &SimulatedDisk) -> impl FnMut(&Switch) -> Result<(), Error> + '_ {
        |switch| checkpoint().store(disk, &Some(switch.clone()))
    }

    /// Does the whole: prepares unless an intent is there, and takes the intent back.
    fn attempt(disk: &SimulatedDisk) -> Result<Switched, Error> {
        let intent = checkpoint().load::<Option<Switch>>(disk)?.flatten();
        let switch = match intent {
            Some(switch) => switch,
            None => Switch::prepare(disk, files())?,
        };
        let switched = switch.carry_out(disk, &mut store(disk))?;
        checkpoint().store(disk, &None::<Switch>)?;
        Ok(switched)
    }

    fn texts(disk: &SimulatedDisk) -> Vec<String> {
        let all = disk.snapshot();
        files().iter().map(|file| String::from_utf8_lossy(&all[&file.live]).into_owned()).collect()
    }

    fn check(disk: &SimulatedDisk, expected: &str, context: &str) {
        assert_eq!(texts(disk), [expected; 3], "{context}");
        for file in files() {
            assert_eq!(disk.mode(&file.live).unwrap(), OLD_MODE, "{context}");
            if expected == "new" {
                let side = side_files::names(&file.live);
                assert!(side.iter().all(|path| disk.kind(path).unwrap().is_none()), "{context}: {side:?}");
            }
        }
    }

    #[test]
    fn all_files_are_new_and_have_no_side_files() {
        let disk = scene();
        assert!(matches!(attempt(&disk).unwrap(), Switched::New));
        check(&disk, "new", "at once");
        assert!(files().iter().all(|file| disk.kind(&file.new).unwrap().is_none()));
        assert_eq!(texts_at(&disk, |file| &file.kept), ["old"; 3], "the old files have second names until the end");
    }

    fn texts_at(disk: &SimulatedDisk, path: impl Fn(&Replacement) -> &PathBuf) -> Vec<String> {
        let all = disk.snapshot();
        files().iter().map(|file| String::from_utf8_lossy(&all[path(file)]).into_owned()).collect()
    }

    fn faults() -> impl Iterator<Item = CrashFault> {
        crash_faults().chain((0..8).map(CrashFault::ScatteredNames))
    }

    /// A crash leaves only old files where no intent is durable, and the next attempt makes all of them new.
    #[test]
    fn a_crash_anywhere_is_completed_by_the_next_attempt() {
        let disk = scene();
        attempt(&disk).unwrap();
        let mut crashes = 0;
        for fault in faults() {
            for (operations, image) in disk.crash_images(fault).enumerate() {
                let context = format!("{fault:?} after {operations}: {}", disk.operation_label(operations));
                if checkpoint().load::<Option<Switch>>(&image).unwrap().flatten().is_none()
                    && image.kind(&files()[0].new).unwrap().is_some()
                {
                    check_old(&image, &context);
                }
                complete(&image, &context);
                crashes += 1;
            }
        }
        assert!(crashes > 500, "{crashes}");
    }

    fn check_old(image: &SimulatedDisk, context: &str) {
        assert_eq!(texts(image), ["old"; 3], "{context}");
    }

    fn complete(image: &SimulatedDisk, context: &str) {
        // After the intent was taken back there is nothing to do.
        if image.kind(&files()[0].new).unwrap().is_some()
            || checkpoint().load::<Option<Switch>>(image).unwrap().flatten().is_some()
        {
            assert!(matches!(attempt(image).unwrap(), Switched::New), "{context}");
        }
        check(image, "new", context);
    }

    /// A crash in the attempt that completes a switch is no other than one in the first attempt.
    #[test]
    fn a_crash_in_the_completion_is_completed_too() {
        let first = scene();
        attempt(&first).unwrap();
        for operations in 0..=first.operations() {
            let image = first.crash_image(operations, CrashFault::UnsyncedDropped);
            complete(&image, "first");
            for fault in [CrashFault::UnsyncedDropped, CrashFault::AllKept, CrashFault::RenamesEarly] {
                for (again, image) in image.crash_images(fault).enumerate() {
                    complete(&image, &format!("{fault:?} after {operations} and {again}"));
                }
            }
        }
    }

    #[test]
    fn a_failure_anywhere_leaves_all_old_or_all_new() {
        let reference = scene();
        attempt(&reference).unwrap();
        let (mut undone, mut made) = (0, 0);
        for n in 0..reference.operations() {
            for kind in [InjectedFault::Eio, InjectedFault::FailedSync, InjectedFault::Missing] {
                let disk = scene();
                disk.fail_operation(n, kind);
                let result = attempt(&disk);
                let context = format!("operation {n}: {}: {result:?}", reference.operation_label(n));
                match &result {
                    Ok(Switched::New) => {
                        check(&disk, "new", &context);
                        made += 1;
                        continue;
                    }
                    Ok(Switched::Old(_)) => {
                        check(&disk, "old", &context);
                        assert_eq!(texts_at(&disk, |file| &file.new), ["new"; 3], "{context}");
                        undone += 1;
                    }
                    // The intent could not be stored: nothing has happened yet, or the next attempt continues.
                    Err(_) => {}
                }
                complete(&disk, &context);
            }
        }
        assert!(undone > 10, "{undone} {made}");
    }

    /// While all files are taken back, too, a crash leaves a state that the next attempt brings to an end.
    #[test]
    fn a_crash_while_it_is_taken_back_ends_with_all_old() {
        let reference = scene();
        attempt(&reference).unwrap();
        let renames: Vec<usize> = (0..reference.operations())
            .filter(|&n| {
                reference.operation_label(n).contains("rename") && reference.operation_label(n).contains("two.db")
            })
            .collect();
        assert!(!renames.is_empty());
        for n in renames {
            let disk = scene();
            disk.fail_operation(n, InjectedFault::Eio);
            assert!(matches!(attempt(&disk).unwrap(), Switched::Old(Some(_))));
            for fault in faults() {
                for (operations, image) in disk.crash_images(fault).enumerate() {
                    let context = format!("{fault:?} after {operations}: {}", disk.operation_label(operations));
                    let intent = checkpoint().load::<Option<Switch>>(&image).unwrap().flatten();
                    let is_back = intent.is_some_and(|switch| switch.direction == Direction::Back);
                    let switched = attempt(&image).unwrap();
                    match switched {
                        Switched::Old(_) => {
                            assert!(is_back, "{context}");
                            check(&image, "old", &context);
                            assert_eq!(texts_at(&image, |file| &file.new), ["new"; 3], "{context}");
                        }
                        Switched::New => check(&image, "new", &context),
                    }
                }
            }
        }
    }

    #[test]
    fn a_new_file_that_is_absent_is_an_error_and_nothing_is_switched() {
        let disk = scene();
        disk.remove_file(&files()[1].new).unwrap();
        let error = attempt(&disk).unwrap_err();
        assert!(error.to_string().contains("/set/migration/staging/two.db"), "{error}");
        assert_eq!(texts(&disk), ["old"; 3]);
    }
}
