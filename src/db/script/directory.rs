//! A directory of migration files. Read only; files are added by [`create`](crate::db::create).

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::error::ScriptFault;
use super::file_name::file_name;
use super::migrations::{Migrations, Reading, whole_file};
use crate::db::Dialect;
use crate::durable::{DiskError, source_names};
use crate::migration::Error;

/// The longest file that is read. Scripts are written by people; data is not.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// The most files that are read.
const FILES_MAX: usize = 100_000;

/// Reads the migrations in a directory. Files of another ending than `.sql`, hidden ones and directories are passed by;
/// links are followed.
pub fn read_directory(dialect: Dialect, directory: &Path) -> Result<Migrations, Error> {
    let mut names = migration_names(directory)?;
    names.sort();
    let mut reading = Reading::new(dialect);
    for name in names {
        let path = directory.join(&name);
        reading.add(&path, &name, &read_file(&path)?)?;
    }
    Ok(reading.finish()?)
}

/// Names in a directory that are migrations by their form.
pub(crate) fn migration_names(directory: &Path) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    for name in source_names(directory).map_err(|error| no_directory(directory, error))? {
        // A name that is no text has no version, and an ending that is no text is another one.
        let name = name?.name().to_string_lossy().into_owned();
        let path = directory.join(&name);
        let is_migration = file_name(&name).map_err(|fault| whole_file(path.clone(), fault))?.is_some();
        if is_migration && !path.is_dir() {
            if found.len() == FILES_MAX {
                return Err(whole_file(path, ScriptFault::TooMany(FILES_MAX)).into());
            }
            found.push(name);
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

fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    let wrap = |error| DiskError::new("read migration", path, error);
    let mut bytes = Vec::new();
    File::open(path).map_err(wrap)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(wrap)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(whole_file(path.to_path_buf(), ScriptFault::TooLong(FILE_BYTES_MAX)).into());
    }
    Ok(bytes)
}
