//! Keeps the log of a space apart from what haul writes and removes, through whatever links and mounts: a directory and a
//! file are known by device and inode, not by their path.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::data_directory::holds_space;
use super::log::wal::is_wal_name;
use super::paths::{SpacePaths, is_absence, is_directory};
use super::store::names::{MANIFEST, POINTER, generation};
use crate::durable::{DiskError, mount_of, temporary_name};
use crate::migration::Error;

/// Device and inode.
type Identity = (u64, u64);

/// Files by which the state of a run is known.
const STATE_FILES: [&str; 2] = ["checkpoint.bin", "journal.jsonl"];

/// Fails if the log, or one of its files, is in what runs and clean-ups write to and remove.
pub(super) fn check_log_apart(paths: &SpacePaths) -> Result<(), Error> {
    let (log, state) = (paths.log(), paths.run_directory().path().to_path_buf());
    let mut removed = HashSet::new();
    removed.extend(identity_of(&state)?);
    for directory in [paths.staging(), paths.scratch(), paths.verification(), paths.run_directory().retired_path()] {
        collect(&directory, &mut |metadata| _ = removed.insert(identity(metadata)))?;
    }
    let Some(within) = found(&log, log.canonicalize())? else { return Ok(()) };
    let refused = |path: &Path| Error::Usage {
        what: format!("{} is in {}, where runs and clean-ups remove what they find", path.display(), state.display()),
        next: "move the log out of it, so that wal/ is a directory of its own".into(),
    };
    if reaches(&within, &removed)? {
        return Err(refused(&log));
    }
    for name in names(&log)?.into_iter().filter(|name| is_wal_name(name)) {
        let file = log.join(name);
        let Some(leads_to) = found(&file, file.canonicalize())? else { continue };
        if reaches(&leads_to, &removed)? {
            return Err(refused(&file));
        }
    }
    Ok(())
}

/// Fails if something is in the place of what a run makes that it can neither remove nor replace: a directory where it
/// writes a file, or a mount where it makes a directory.
pub(super) fn check_places_free(paths: &SpacePaths) -> Result<(), Error> {
    let run = paths.run_directory();
    let refused = |path: &Path, what: &str, next: &str| Error::Usage {
        what: format!("{} is {what}", path.display()),
        next: format!("{next}, then run the same command again"),
    };
    let files = [run.checkpoint_path(), run.plan_path(), run.report_path(), paths.root().join(POINTER)];
    for file in files.iter().map(|file| temporary_name(file)) {
        if found(&file, file.symlink_metadata())?.is_some_and(|metadata| metadata.is_dir()) {
            return Err(refused(&file, "a directory, and haul makes a file there", "move it away"));
        }
    }
    for directory in [paths.staging(), paths.scratch(), paths.verification(), run.retired_path()] {
        let is_there = found(&directory, directory.symlink_metadata())?.is_some();
        if is_there && mount_of(&directory)? != mount_of(run.path())? {
            let what = "on another file system or mount, and haul makes and removes a directory there";
            return Err(refused(&directory, what, "unmount it"));
        }
    }
    Ok(())
}

/// Fails if `to`, which need not exist, is in a log, in a store or in the state of runs, of this space or of another.
pub(super) fn check_export_apart(paths: &SpacePaths, to: &Path) -> Result<(), Error> {
    let absolute = std::path::absolute(to).unwrap_or_else(|_| to.to_path_buf());
    let places = own_places(paths)?;
    for part in [absolute.join("wal"), absolute] {
        let existing = nearest_existing(&part)?;
        for above in existing.ancestors() {
            let own = identity_of(above)?.and_then(|found| places.iter().find(|(_, own)| own.contains(&found)));
            let what = match own {
                Some((what, _)) => Some(format!("{what} of the space")),
                None => place_of_others(above)?.map(|what| format!("{}, {what}", above.display())),
            };
            if let Some(what) = what {
                return Err(Error::Usage {
                    what: format!("{} lies within {what}", to.display()),
                    next: "export to another directory".into(),
                });
            }
        }
    }
    Ok(())
}

/// Returns the directories of the log, of the state and of the stores of a space.
fn own_places(paths: &SpacePaths) -> Result<Vec<(String, HashSet<Identity>)>, Error> {
    let mut parts = vec![("the log".to_owned(), paths.log())];
    parts.push(("the state of the runs".to_owned(), paths.run_directory().path().to_path_buf()));
    let stores = names(paths.root())?.into_iter().filter_map(|name| name.into_string().ok());
    let stores = stores.filter(|name| generation(name).is_some());
    parts.extend(stores.map(|name| (format!("the store {name}"), paths.store(&name))));
    let mut places = Vec::new();
    for (what, part) in parts {
        let mut directories = HashSet::new();
        let Some(resolved) = found(&part, part.canonicalize())? else { continue };
        collect(&resolved, &mut |metadata| {
            if metadata.is_dir() {
                directories.insert(identity(metadata));
            }
        })?;
        places.push((what, directories));
    }
    Ok(places)
}

/// Says what a directory is that holds a log, a store or the state of runs; `None` for any other.
fn place_of_others(directory: &Path) -> Result<Option<&'static str>, Error> {
    // What this user may not list cannot be looked into.
    let Ok(mut entries) = fs::read_dir(directory) else { return Ok(None) };
    let is_file = |name: &str| directory.join(name).is_file();
    let has_name = |test: fn(&OsStr) -> bool| directory.file_name().is_some_and(test);
    if has_name(|name| name == "wal") && directory.parent().is_some_and(has_trace) {
        return Ok(Some("the log of a space"));
    }
    if STATE_FILES.iter().any(|name| is_file(name)) {
        return Ok(Some("the state of runs"));
    }
    if is_file(MANIFEST) && is_file("segment-000000.dual") {
        return Ok(Some("a store"));
    }
    let has_log = entries.any(|entry| entry.is_ok_and(|entry| is_wal_name(&entry.file_name())));
    Ok(has_log.then_some("which holds log files"))
}

/// Returns true if there is more of a space in `root` than a directory of this name.
fn has_trace(root: &Path) -> bool {
    let paths = SpacePaths::new(root);
    holds_space(&paths) && (paths.run_directory().path().exists() || root.join(POINTER).exists())
}

/// Returns the path without links if it exists, else that of the nearest directory above that does.
fn nearest_existing(path: &Path) -> Result<PathBuf, Error> {
    for above in path.ancestors() {
        if let Some(resolved) = found(above, above.canonicalize())? {
            return Ok(resolved);
        }
    }
    Ok(path.to_path_buf())
}

/// Returns true if this path, or a directory above it, is one of these.
fn reaches(resolved: &Path, places: &HashSet<Identity>) -> Result<bool, Error> {
    for above in resolved.ancestors() {
        if identity_of(above)?.is_some_and(|found| places.contains(&found)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Shows `take` a directory and everything below it that is on the same mount. Links are not followed.
fn collect(directory: &Path, take: &mut impl FnMut(&Metadata)) -> Result<(), Error> {
    let Some(metadata) = found(directory, directory.symlink_metadata())? else { return Ok(()) };
    take(&metadata);
    if !metadata.is_dir() {
        return Ok(());
    }
    let mount = mount_of(directory)?;
    for name in names(directory)? {
        let path = directory.join(name);
        let Some(metadata) = found(&path, path.symlink_metadata())? else { continue };
        if metadata.is_dir() && mount_of(&path)? == mount {
            collect(&path, take)?;
        } else {
            take(&metadata);
        }
    }
    Ok(())
}

/// Returns the names in a directory; none in what is no directory.
fn names(directory: &Path) -> Result<Vec<std::ffi::OsString>, Error> {
    if !is_directory(directory)? {
        return Ok(Vec::new());
    }
    let wrap = |error| DiskError::new("list", directory, error);
    let entries = fs::read_dir(directory).map_err(wrap)?;
    Ok(entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>().map_err(wrap)?)
}

fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

/// Returns the identity of a path, links followed.
fn identity_of(path: &Path) -> Result<Option<Identity>, Error> {
    Ok(found(path, path.metadata())?.as_ref().map(identity))
}

/// Returns what was looked up; `None` if nothing is there.
fn found<T>(path: &Path, looked_up: io::Result<T>) -> Result<Option<T>, Error> {
    match looked_up {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) => Err(DiskError::new("look up", path, error).into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests lay out spaces")]

    use std::os::unix::fs::symlink;

    use super::*;

    const LOG: &str = "wal-0000000000000001.log";

    fn at(place: &Path, path: &str) -> PathBuf {
        place.join(path)
    }

    fn file(place: &Path, path: &str) {
        let path = at(place, path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"x").unwrap();
    }

    fn refused(space: &Path) -> bool {
        check_log_apart(&SpacePaths::new(space)).is_err()
    }

    #[test]
    fn a_log_that_leads_into_what_is_removed_is_refused() {
        for part in ["staging", "scratch", "retired", "verify", "staging/wal", ""] {
            let space = tempfile::tempdir().unwrap();
            file(space.path(), &format!("migration/{part}/{LOG}"));
            symlink(at(space.path(), "migration").join(part), at(space.path(), "wal")).unwrap();
            assert!(refused(space.path()), "wal leads to migration/{part}");
            fs::remove_file(at(space.path(), "wal")).unwrap();
            fs::create_dir(at(space.path(), "wal")).unwrap();
            assert!(!refused(space.path()));
            let target = at(space.path(), "migration").join(part).join(LOG);
            symlink(&target, at(space.path(), "wal").join(LOG)).unwrap();
            assert!(refused(space.path()), "a log file leads into migration/{part}");
            fs::remove_file(at(space.path(), "wal").join(LOG)).unwrap();
            if !part.is_empty() {
                fs::hard_link(&target, at(space.path(), "wal").join(LOG)).unwrap();
                assert!(refused(space.path()), "a log file is also named in migration/{part}");
            }
        }
    }

    #[test]
    fn a_log_of_its_own_is_fine_wherever_it_is() {
        let place = tempfile::tempdir().unwrap();
        file(place.path(), &format!("elsewhere/{LOG}"));
        file(place.path(), "space/migration/staging/segment-000000.dual");
        symlink("../elsewhere", at(place.path(), "space/wal")).unwrap();
        assert!(!refused(&at(place.path(), "space")));
        assert!(!refused(&at(place.path(), "absent")));
    }

    #[test]
    fn a_directory_in_the_place_of_a_temporary_file_is_refused() {
        for name in
            ["migration/.checkpoint.bin.tmp", "migration/.plan.json.tmp", "migration/.report.json.tmp", ".CURRENT.tmp"]
        {
            let space = tempfile::tempdir().unwrap();
            file(space.path(), name);
            fs::create_dir_all(at(space.path(), "migration/staging")).unwrap();
            let paths = SpacePaths::new(space.path());
            check_places_free(&paths).unwrap();
            fs::remove_file(at(space.path(), name)).unwrap();
            fs::create_dir(at(space.path(), name)).unwrap();
            let error = check_places_free(&paths).unwrap_err();
            assert!(error.to_string().contains(name) && error.next_step().is_some(), "{error}");
        }
    }

    #[test]
    fn an_export_goes_into_no_space() {
        let place = tempfile::tempdir().unwrap();
        for space in ["own", "other"] {
            for name in ["wal/wal-0000000000000001.log", "dual-000001/MANIFEST", "migration/journal.jsonl"] {
                file(place.path(), &format!("{space}/{name}"));
            }
            file(place.path(), &format!("{space}/dual-000001/segment-000000.dual"));
            fs::create_dir_all(at(place.path(), space).join("migration/staging")).unwrap();
        }
        fs::create_dir_all(at(place.path(), "fresh/wal")).unwrap();
        symlink("../own/wal", at(place.path(), "fresh/link")).unwrap();
        symlink("own/wal", at(place.path(), "log")).unwrap();
        let own = SpacePaths::new(at(place.path(), "own"));
        let check = |to: &str| check_export_apart(&own, &at(place.path(), to));
        for space in ["own", "other"] {
            for part in ["wal", "wal/new", "dual-000001/new", "migration/new", "migration/staging/a/b"] {
                let to = format!("{space}/{part}");
                assert!(check(&to).unwrap_err().to_string().contains("lies within"), "{to}");
            }
            check(&format!("{space}/export")).unwrap();
        }
        assert!(check("log/new").is_err() && check("fresh/link/new").is_err());
        for to in ["new", "a/b/c", "fresh/new", "fresh"] {
            check(to).unwrap();
        }
    }
}
