//! All migrations of a database, in the order of their versions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::error::{ScriptError, ScriptFault};
use super::file_name::file_name;
use super::marker::Direction;
use super::migration::{Migration, ScriptFile};
use crate::db::dialect::Dialect;
use crate::db::version::Version;

/// Versions shorter than this are counted; longer ones are times.
const COUNTED_DIGITS_MAX: usize = 8;
/// Gaps that are told.
const GAPS_MAX: usize = 20;

/// Migrations in the order of their versions, each version once.
#[derive(Debug, Clone)]
pub struct Migrations {
    dialect: Dialect,
    list: Vec<Migration>,
}

/// What can be read of a set of files, and what is wrong with the others.
#[derive(Debug, Clone)]
pub struct Examined {
    /// The migrations that can be read.
    pub migrations: Migrations,
    /// What keeps the others from being read.
    pub faults: Vec<ScriptError>,
}

impl Examined {
    /// Files that an application carries, as for [`Migrations::from_texts`].
    pub fn of_texts<'a>(dialect: Dialect, files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut collector = MigrationCollector::new(dialect);
        files.into_iter().for_each(|(name, text)| collector.add(Path::new(name), name, text.as_bytes()));
        collector.finish()
    }

    /// The migrations, if all of them can be read.
    pub fn into_migrations(self) -> Result<Migrations, ScriptError> {
        match self.faults.into_iter().next() {
            Some(fault) => Err(fault),
            None => Ok(self.migrations),
        }
    }
}

/// The files of one version.
#[derive(Default)]
struct Files {
    one: Option<ScriptFile>,
    up: Option<ScriptFile>,
    down: Option<ScriptFile>,
}

impl Migrations {
    /// Migrations that an application carries: file names and contents, as `include_str!` gives them.
    pub fn from_texts<'a>(
        dialect: Dialect,
        files: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, ScriptError> {
        Examined::of_texts(dialect, files).into_migrations()
    }

    /// Whose SQL they are written in.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// All of them, lowest version first.
    pub fn iter(&self) -> std::slice::Iter<'_, Migration> {
        self.list.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The one with this version.
    pub fn get(&self, version: &Version) -> Option<&Migration> {
        let index = self.list.binary_search_by(|migration| migration.version.cmp(version)).ok()?;
        self.list.get(index)
    }

    /// Neighbours between which counted versions are missing; versions that are times have no gaps.
    pub fn gaps(&self) -> Vec<(Version, Version)> {
        let is_gap = |pair: &&[Migration]| {
            let (before, after) = (&pair[0].version, &pair[1].version);
            after.digits().len() < COUNTED_DIGITS_MAX && before.next() != *after
        };
        let gaps = self.list.windows(2).filter(is_gap).take(GAPS_MAX);
        gaps.map(|pair| (pair[0].version.clone(), pair[1].version.clone())).collect()
    }
}

impl<'a> IntoIterator for &'a Migrations {
    type Item = &'a Migration;
    type IntoIter = std::slice::Iter<'a, Migration>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Migrations whose files are given one after the other.
pub(super) struct MigrationCollector {
    dialect: Dialect,
    files: BTreeMap<Version, Files>,
    faults: Vec<ScriptError>,
}

impl MigrationCollector {
    pub fn new(dialect: Dialect) -> Self {
        Self { dialect, files: BTreeMap::new(), faults: Vec::new() }
    }

    /// Takes note of a file that cannot be read.
    pub fn fault(&mut self, fault: ScriptError) {
        self.faults.push(fault);
    }

    /// Takes a file; one that is no migration by its name is passed by.
    pub fn add(&mut self, path: &Path, name: &str, bytes: &[u8]) {
        if let Err(fault) = self.try_add(path, name, bytes) {
            self.fault(fault);
        }
    }

    fn try_add(&mut self, path: &Path, name: &str, bytes: &[u8]) -> Result<(), ScriptError> {
        let name = file_name(name).map_err(|fault| whole_file(path.to_path_buf(), fault))?;
        let Some(name) = name else { return Ok(()) };
        let (version, half) = (name.version.clone(), name.half);
        let file = ScriptFile::new(path, name, bytes)?;
        let files = self.files.entry(version).or_default();
        // One file and half a pair do not share a version.
        let taken = match half {
            None => files.one.as_ref().or(files.up.as_ref()).or(files.down.as_ref()),
            Some(Direction::Up) => files.up.as_ref().or(files.one.as_ref()),
            Some(Direction::Down) => files.down.as_ref().or(files.one.as_ref()),
        };
        if let Some(other) = taken {
            let (version, other) = (other.name.version.digits().to_owned(), other.path.clone());
            return Err(file.error(ScriptFault::DuplicateVersion { version, other }, 0, 0));
        }
        match half {
            None => files.one = Some(file),
            Some(Direction::Up) => files.up = Some(file),
            Some(Direction::Down) => files.down = Some(file),
        }
        Ok(())
    }

    pub fn finish(mut self) -> Examined {
        let dialect = self.dialect;
        let mut list = Vec::new();
        for files in self.files.into_values() {
            let read = match (files.one.or(files.up), files.down) {
                (Some(up), Some(down)) => Migration::of_pair(dialect, &up, &down),
                (Some(one), None) => Migration::of_one(dialect, &one),
                (None, Some(down)) => Err(down.error(ScriptFault::DownWithoutUp, 0, 0)),
                (None, None) => unreachable!("an entry is made for a file"),
            };
            match read {
                Ok(migration) => list.push(migration),
                Err(fault) => self.faults.push(fault),
            }
        }
        Examined { migrations: Migrations { dialect, list }, faults: self.faults }
    }
}

/// A file that was not read: its path and what is wrong with it.
pub(super) fn whole_file(path: PathBuf, fault: ScriptFault) -> ScriptError {
    ScriptError { file: path, line: 0, offset: 0, fault }
}

#[cfg(test)]
mod tests;
