//! Reads a directory of migration files. [`create`](crate::db::create) adds files to it.

use std::io::Read;
use std::path::Path;

use super::error::{ScriptError, ScriptFault};
use super::file_name::file_name;
use super::migrations::{Examined, MigrationCollector, Migrations, whole_file};
use crate::db::dialect::Dialect;
use crate::durable::{DiskError, open_named_file, source_names};
use crate::migration::Error;

/// The maximum length of a file. Scripts are written by hand; larger files contain data.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// The maximum number of files.
const FILES_MAX: usize = 100_000;

/// Reads the migrations in a directory. Ignores hidden files, directories, and files whose names do not end in `.sql`;
/// follows links. A file that is not a valid migration is an error.
pub fn read_directory(dialect: Dialect, directory: &Path) -> Result<Migrations, Error> {
    Ok(examine_directory(dialect, directory)?.into_migrations()?)
}

/// Reads the migrations like [`read_directory`], but returns faults in addition to the valid migrations.
pub fn examine_directory(dialect: Dialect, directory: &Path) -> Result<Examined, Error> {
    let mut collector = MigrationCollector::new(dialect);
    let mut names = names(directory, |fault| {
        collector.fault(fault);
        Ok(())
    })?;
    names.sort();
    for name in names {
        let path = directory.join(&name);
        match read_file(&path)? {
            Some(bytes) => collector.add(&path, &name, &bytes),
            None => collector.fault(whole_file(path, ScriptFault::TooLong(FILE_BYTES_MAX))),
        }
    }
    Ok(collector.finish())
}

/// Returns the names in a directory that are names of migrations.
pub(in crate::db) fn migration_names(directory: &Path) -> Result<Vec<String>, Error> {
    names(directory, |fault| Err(fault.into()))
}

/// Returns these names, and passes the faults of other names to `on_fault`.
fn names(directory: &Path, mut on_fault: impl FnMut(ScriptError) -> Result<(), Error>) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    for name in source_names(directory).map_err(|error| no_directory(directory, error))? {
        // A lossy name is good enough: one that is not UTF-8 keeps its ending, and its version if it has one.
        let name = name?.name().to_string_lossy().into_owned();
        let path = directory.join(&name);
        match file_name(&name) {
            Err(fault) => on_fault(whole_file(path, fault))?,
            Ok(Some(_)) if !path.is_dir() => {
                if found.len() == FILES_MAX {
                    return Err(whole_file(path, ScriptFault::TooMany(FILES_MAX)).into());
                }
                found.push(name);
            }
            Ok(_) => {}
        }
    }
    Ok(found)
}

fn no_directory(directory: &Path, error: DiskError) -> Error {
    match error.kind() {
        std::io::ErrorKind::NotFound => Error::Usage {
            what: format!("no directory of migrations at {}", directory.display()),
            next: "name it with --dir, or write the first migration with `haul db create --name NAME`".into(),
        },
        _ => error.into(),
    }
}

/// Reads a file. Returns `None` if it is too long.
fn read_file(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let wrap = |error| DiskError::new("read migration", path, error);
    let mut bytes = Vec::new();
    open_named_file(path).map_err(wrap)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(wrap)?;
    Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= FILE_BYTES_MAX))
}
