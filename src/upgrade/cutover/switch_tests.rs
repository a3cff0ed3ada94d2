//! Switches that end in the middle, at each operation and with each kind of crash.

use std::path::{Path, PathBuf};

use super::side_files;
use super::switch::{Direction, Replacement, Switch, Switched};
use crate::durable::{CrashFault, Disk, InjectedFault, SimulatedDisk};
use crate::migration::checkpoint::Kind;
use crate::migration::test_disk::{crash_faults, put};
use crate::migration::{CheckpointFile, Error};

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

/// Does the whole: prepares unless an intent is there, and removes the intent.
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
    // After the intent is removed there is nothing to do.
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

/// While all of it is undone, too, a crash leaves a state that the next attempt brings to an end.
#[test]
fn a_crash_while_it_is_undone_ends_with_all_old() {
    let reference = scene();
    attempt(&reference).unwrap();
    let renames: Vec<usize> = (0..reference.operations())
        .filter(|&n| reference.operation_label(n).contains("rename") && reference.operation_label(n).contains("two.db"))
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
