//! Reads a directory of migration files. [`create`](crate::db::create) adds files to it.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::error::{ScriptError, ScriptFault};
use super::file_name::{file_name, named_by_folder, repeatable};
use super::migrations::{Examined, MigrationCollector, whole_file};
use super::placeholders::Placeholders;
use crate::db::dialect::Dialect;
use crate::durable::{DiskError, open_named_file, source_names};
use crate::migration::Error;

/// The maximum length of a file. Scripts are written by hand; larger files contain data.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// The maximum number of files.
const FILES_MAX: usize = 100_000;
/// The maximum number of folders inside of each other.
const DEPTH_MAX: u32 = 16;

/// Reads the migrations in a directory, and returns faults in addition to the valid ones. Ignores hidden files and files
/// with other endings; follows links.
pub fn examine_directory(
    dialect: Dialect,
    directory: &Path,
    options: impl Into<ReadOptions>,
) -> Result<Examined, Error> {
    let ReadOptions { folders, placeholders } = options.into();
    let mut collector = MigrationCollector::new(dialect, &placeholders);
    let mut walk = Walk { folders, found: Vec::new(), faults: Vec::new() };
    walk.directory(directory).map_err(|error| no_directory(directory, error))??;
    walk.faults.into_iter().for_each(|fault| collector.fault(fault));
    walk.found.sort();
    for (path, name) in walk.found {
        match read_file(&path)? {
            Some(bytes) => collector.add(&path, &name, &bytes),
            None => collector.fault(whole_file(path, ScriptFault::TooLong(FILE_BYTES_MAX))),
        }
    }
    Ok(collector.finish())
}

/// Returns the names of the migrations in a directory and the folders in it.
pub(in crate::db) fn migration_names(directory: &Path) -> Result<Vec<String>, Error> {
    let mut walk = Walk { folders: Folders::Read, found: Vec::new(), faults: Vec::new() };
    walk.directory(directory).map_err(|error| no_directory(directory, error))??;
    match walk.faults.into_iter().next() {
        Some(fault) => Err(fault.into()),
        None => Ok(walk.found.into_iter().map(|(_, name)| name).collect()),
    }
}

/// What to do with folders in the directory of the migrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folders {
    /// A folder with migrations is a fault, so that none is left out in silence.
    Refuse,
    /// The migrations in folders are read: files with a version, and the folders of Prisma and Diesel.
    Read,
}

/// How the files of a directory are read.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    /// What to do with folders.
    pub folders: Folders,
    /// The values of placeholders.
    pub placeholders: Placeholders,
}

impl From<Folders> for ReadOptions {
    fn from(folders: Folders) -> Self {
        Self { folders, placeholders: Placeholders::default() }
    }
}

/// Collects the files of a directory and its folders.
struct Walk {
    folders: Folders,
    /// Paths, with the names that say version and half.
    found: Vec<(PathBuf, String)>,
    faults: Vec<ScriptError>,
}

impl Walk {
    /// Collects a directory and, if they are to be read, its folders. The inner error is not about this directory.
    fn directory(&mut self, directory: &Path) -> Result<Result<(), Error>, DiskError> {
        let mut left = vec![(directory.to_path_buf(), 0)];
        while let Some((directory, depth)) = left.pop() {
            for name in source_names(&directory)? {
                // A lossy name is good enough: one that is not UTF-8 keeps its ending, and its version if it has one.
                let name = name?.name().to_string_lossy().into_owned();
                let path = directory.join(&name);
                match path.is_dir() {
                    true if name.starts_with('.') => {}
                    true if self.folders == Folders::Read && depth < DEPTH_MAX => left.push((path, depth + 1)),
                    true => self
                        .faults
                        .extend(first_migration(&path).map(|first| whole_file(path, ScriptFault::Folder(first)))),
                    false if self.found.len() == FILES_MAX => {
                        return Ok(Err(whole_file(path, ScriptFault::TooMany(FILES_MAX)).into()));
                    }
                    false => self.file(path, name, depth > 0),
                }
            }
        }
        Ok(Ok(()))
    }

    fn file(&mut self, path: PathBuf, name: String, is_in_folder: bool) {
        let name = Some(()).filter(|()| is_in_folder).and_then(|()| named_by_folder(&path)).unwrap_or(name);
        match file_name(&name) {
            Ok(Some(_)) => self.found.push((path, name)),
            Ok(None) => {}
            Err(_) if repeatable(&name).is_some() => self.found.push((path, name)),
            Err(fault) => self.faults.push(whole_file(path, fault)),
        }
    }
}

/// Returns a file in a folder that is a migration, or looks like one. A folder that cannot be read has none.
fn first_migration(folder: &Path) -> Option<PathBuf> {
    let mut left = vec![(folder.to_path_buf(), 0)];
    while let Some((folder, depth)) = left.pop() {
        for name in source_names(&folder).ok()?.flatten() {
            let name = name.name().to_string_lossy().into_owned();
            let path = folder.join(&name);
            if path.is_dir() {
                left.extend(Some((path, depth + 1)).filter(|_| depth < DEPTH_MAX && !name.starts_with('.')));
            } else if !matches!(file_name(&name), Ok(None) | Err(ScriptFault::NoVersion))
                || named_by_folder(&path).is_some()
            {
                return Some(path);
            }
        }
    }
    None
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

/// Reads a file with statements that is named by itself.
pub(in crate::db) fn read_script(path: &Path) -> Result<Vec<u8>, Error> {
    let too_long = || whole_file(path.to_path_buf(), ScriptFault::TooLong(FILE_BYTES_MAX)).into();
    read_file(path)?.ok_or_else(too_long)
}

/// Reads a file. Returns `None` if it is too long.
fn read_file(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let wrap = |error| DiskError::new("read SQL", path, error);
    let mut bytes = Vec::new();
    open_named_file(path).map_err(wrap)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(wrap)?;
    Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= FILE_BYTES_MAX))
}
