//! All migrations of a database, in the order of their versions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::direction::Direction;
use super::error::{ScriptError, ScriptFault};
use super::file_name::{FileName, file_name, named_by_folder, repeatable};
use super::migration::{FileKind, Migration, ScriptFile};
use super::placeholders::Placeholders;
use super::replaces::Replaced;
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
    placeholders: Placeholders,
    list: Vec<Migration>,
    /// What the files without a version are.
    file_kind: FileKind,
    files: Vec<Migration>,
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
        Self::of_texts_with(dialect, files, &Placeholders::default())
    }

    /// Reads files that are part of an application, with the values of placeholders.
    pub fn of_texts_with<'a>(
        dialect: Dialect,
        files: impl IntoIterator<Item = (&'a str, &'a str)>,
        placeholders: &Placeholders,
    ) -> Self {
        let mut collector = MigrationCollector::new(dialect, placeholders);
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

    /// Reads migrations that are part of an application, with the values of placeholders.
    pub fn from_texts_with<'a>(
        dialect: Dialect,
        files: impl IntoIterator<Item = (&'a str, &'a str)>,
        placeholders: &Placeholders,
    ) -> Result<Self, ScriptError> {
        Examined::of_texts_with(dialect, files, placeholders).into_migrations()
    }

    /// Returns the values of placeholders.
    pub fn placeholders(&self) -> &Placeholders {
        &self.placeholders
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

    /// Returns the files without a version, in the order in which they run.
    pub fn files(&self) -> &[Migration] {
        &self.files
    }

    /// Returns what the files without a version are.
    pub fn file_kind(&self) -> FileKind {
        self.file_kind
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
    placeholders: Placeholders,
    /// By version. A squashed file comes after the last file that it replaces, which may still be there.
    files: BTreeMap<(Version, bool), Files>,
    faults: Vec<ScriptError>,
    file_kind: FileKind,
    without_version: Vec<Migration>,
}

impl MigrationCollector {
    pub fn new(dialect: Dialect, placeholders: &Placeholders) -> Self {
        let (placeholders, file_kind) = (placeholders.clone(), FileKind::Repeatable);
        Self {
            dialect,
            placeholders,
            files: BTreeMap::new(),
            faults: Vec::new(),
            file_kind,
            without_version: Vec::new(),
        }
    }

    /// Collects seeds.
    pub fn of_seeds(dialect: Dialect, placeholders: &Placeholders) -> Self {
        Self { file_kind: FileKind::Seed, ..Self::new(dialect, placeholders) }
    }

    /// Adds a file without a version.
    pub fn add_file(&mut self, kind: FileKind, path: &Path, name: &str, bytes: &[u8]) {
        let name = FileName::without_version(name, Direction::Up);
        let file = ScriptFile::new((self.dialect, &self.placeholders), path, name, bytes);
        match file.and_then(|file| Migration::of_file(kind, &file)) {
            Ok(file) => match self.without_version.iter().find(|other| other.name == file.name) {
                Some(other) => {
                    let fault = ScriptFault::DuplicateName(other.up.file.clone());
                    self.faults.push(whole_file(path.to_path_buf(), fault));
                }
                None => self.without_version.push(file),
            },
            Err(fault) => self.fault(fault),
        }
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
        if let Some(name) = repeatable(name) {
            self.add_file(FileKind::Repeatable, path, name, bytes);
            return Ok(());
        }
        let name = file_name(name).map_err(|fault| whole_file(path.to_path_buf(), fault))?;
        let Some(name) = name else { return Ok(()) };
        let (version, half) = (name.version.clone(), name.half);
        let file = ScriptFile::new((self.dialect, &self.placeholders), path, name, bytes)?;
        let files = self.files.entry((version, file.replaces_others())).or_default();
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
                (Some(up), Some(down)) => Migration::of_pair(&up, &down),
                (Some(one), None) => Migration::of_one(&one),
                (None, Some(down)) => Err(down.error(ScriptFault::DownWithoutUp, 0, 0)),
                (None, None) => unreachable!("an entry is made for a file"),
            };
            match read {
                Ok(migration) => list.push(migration),
                Err(fault) => self.faults.push(fault),
            }
        }
        let list = without_replaced(list, &mut self.faults);
        let Self { placeholders, faults, file_kind, without_version: mut files, .. } = self;
        if file_kind == FileKind::Repeatable {
            files.sort_by(|a, b| a.name.cmp(&b.name));
        }
        Examined { migrations: Migrations { dialect, placeholders, list, file_kind, files }, faults }
    }
}

/// Removes the migrations that a squashed file in the list replaces. One whose text is another is a fault.
fn without_replaced(list: Vec<Migration>, faults: &mut Vec<ScriptError>) -> Vec<Migration> {
    if list.iter().all(|migration| migration.replaces.is_empty()) {
        return list;
    }
    let mut replaced: BTreeMap<Version, Vec<(String, PathBuf)>> = BTreeMap::new();
    for by in &list {
        for Replaced { version, checksum } in &by.replaces {
            replaced.entry(version.clone()).or_default().push((checksum.clone(), by.up.file.clone()));
        }
    }
    let mut kept = Vec::new();
    for migration in list {
        let own = migration.checksum.to_string();
        let others = replaced.get(&migration.version).into_iter().flatten();
        let others: Vec<_> = others.filter(|(_, by)| *by != migration.up.file).collect();
        match others.first() {
            None => kept.push(migration),
            Some(_) if others.iter().any(|(checksum, _)| *checksum == own) => {}
            Some((_, by)) => {
                faults.push(whole_file(migration.up.file.clone(), ScriptFault::ReplacedChanged(by.clone())))
            }
        }
    }
    kept
}

/// Returns the error for a whole file.
pub(super) fn whole_file(path: PathBuf, fault: ScriptFault) -> ScriptError {
    ScriptError { file: path, line: 0, offset: 0, fault }
}

#[cfg(test)]
mod tests;
