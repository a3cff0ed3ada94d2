//! All migrations of a database, in the order of their versions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::direction::Direction;
use super::error::{ScriptError, ScriptFault};
use super::file_name::{file_name, is_repeatable, named_by_folder};
use super::migration::{Migration, ScriptFile};
use crate::db::dialect::Dialect;
use crate::db::version::Version;

/// Versions with fewer digits are counted; longer ones are dates and have no gaps.
const COUNTED_DIGITS_MAX: usize = 8;
/// The maximum number of gaps that are reported.
const GAPS_MAX: usize = 20;

/// Migrations in the order of their versions. Each version occurs once.
#[derive(Debug, Clone)]
pub struct Migrations {
    dialect: Dialect,
    list: Vec<Migration>,
    /// The files of repeatable migrations.
    left_out: Vec<PathBuf>,
}

/// The valid migrations in a set of files, and the faults of the others.
#[derive(Debug, Clone)]
pub struct Examined {
    /// The valid migrations.
    pub migrations: Migrations,
    /// The faults of the other files.
    pub faults: Vec<ScriptError>,
}

impl Examined {
    /// Reads files that are part of an application, as [`Migrations::from_texts`] does.
    pub fn of_texts<'a>(dialect: Dialect, files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut collector = MigrationCollector::new(dialect);
        for (name, text) in files {
            let path = Path::new(name);
            let is_in_folder = path.parent().is_some_and(|folder| !folder.as_os_str().is_empty());
            let bare = || path.file_name().and_then(|name| name.to_str()).unwrap_or(name).to_owned();
            let of_folder = if is_in_folder { named_by_folder(path) } else { None };
            collector.add(path, &of_folder.unwrap_or_else(bare), text.as_bytes());
        }
        collector.finish()
    }

    /// Returns the migrations if there are no faults.
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
    /// Reads migrations that are part of an application: pairs of file name and content, as from `include_str!` or
    /// `embedded_migrations!`. The name may have folders before it, with `/` between.
    pub fn from_texts<'a>(
        dialect: Dialect,
        files: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, ScriptError> {
        Examined::of_texts(dialect, files).into_migrations()
    }

    /// Returns the SQL dialect.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Iterates over the migrations, lowest version first.
    pub fn iter(&self) -> std::slice::Iter<'_, Migration> {
        self.list.iter()
    }

    /// Returns the number of migrations.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Returns true if there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Returns the files of repeatable migrations of Flyway (`R__name.sql`), which are not run.
    pub fn left_out(&self) -> &[PathBuf] {
        &self.left_out
    }

    /// Returns a version that is a time with fewer or more digits than the highest one, and that one. The order of the
    /// two is that of the numbers, not that of the times.
    pub fn mixed_times(&self) -> Option<(&Migration, &Migration)> {
        let is_time = |migration: &&Migration| migration.version.digits().len() >= COUNTED_DIGITS_MAX;
        let highest = self.list.last().filter(is_time)?;
        let length = highest.version.digits().len();
        self.list
            .iter()
            .filter(is_time)
            .find(|other| other.version.digits().len() != length)
            .map(|other| (other, highest))
    }

    /// Returns the migration with this version.
    pub fn get(&self, version: &Version) -> Option<&Migration> {
        let index = self.list.binary_search_by(|migration| migration.version.cmp(version)).ok()?;
        self.list.get(index)
    }

    /// Returns pairs of neighbours between which counted versions are missing. Versions that are dates have no gaps.
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

/// Collects the files of migrations one by one.
pub(super) struct MigrationCollector {
    dialect: Dialect,
    files: BTreeMap<Version, Files>,
    faults: Vec<ScriptError>,
    left_out: Vec<PathBuf>,
}

impl MigrationCollector {
    pub fn new(dialect: Dialect) -> Self {
        Self { dialect, files: BTreeMap::new(), faults: Vec::new(), left_out: Vec::new() }
    }

    /// Records a file that cannot be read.
    pub fn fault(&mut self, fault: ScriptError) {
        self.faults.push(fault);
    }

    /// Adds a file. Ignores one whose name is not that of a migration.
    pub fn add(&mut self, path: &Path, name: &str, bytes: &[u8]) {
        if let Err(fault) = self.try_add(path, name, bytes) {
            self.fault(fault);
        }
    }

    fn try_add(&mut self, path: &Path, name: &str, bytes: &[u8]) -> Result<(), ScriptError> {
        if is_repeatable(name) {
            self.left_out.push(path.to_path_buf());
            return Ok(());
        }
        let name = file_name(name).map_err(|fault| whole_file(path.to_path_buf(), fault))?;
        let Some(name) = name else { return Ok(()) };
        let (version, half) = (name.version.clone(), name.half);
        let file = ScriptFile::new(path, name, bytes)?;
        let files = self.files.entry(version).or_default();
        // A single file and half of a pair cannot share a version.
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
        let left_out = self.left_out;
        Examined { migrations: Migrations { dialect, list, left_out }, faults: self.faults }
    }
}

/// Returns the error for a whole file.
pub(super) fn whole_file(path: PathBuf, fault: ScriptFault) -> ScriptError {
    ScriptError { file: path, line: 0, offset: 0, fault }
}

#[cfg(test)]
mod tests;
