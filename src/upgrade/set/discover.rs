//! Finds the files of a set.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::refused::Refused;
use crate::durable::{Disk, DiskError, EntryKind, parent_of};
use crate::migration::Error;

/// Which files a set is made of.
#[derive(Debug, Clone, Copy)]
pub struct SetRequest<'a> {
    /// The directory of the set.
    pub directory: &'a Path,
    /// Databases that are named, with their tiers; empty for all `*.db` files of the directory.
    pub files: &'a [(Option<String>, PathBuf)],
    /// Files that are left out.
    pub excluded: &'a [PathBuf],
}

/// A file that may be a database of the set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Where it is, from the root on.
    pub path: PathBuf,
    /// The tier that the operator has named.
    pub tier: Option<String>,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Discovered {
    /// The files that may be databases of the set, by path.
    pub candidates: Vec<Candidate>,
    /// The names of those that were left out.
    pub excluded: Vec<String>,
    /// What cannot be a file of the set.
    pub refused: Vec<Refused>,
}

/// Looks for the files. Reads none of them.
pub fn discover(request: &SetRequest<'_>, disk: &dyn Disk) -> Result<Discovered, Error> {
    let directory = absolute(request.directory)?;
    let mut found = Discovered::default();
    if request.files.is_empty() {
        list(&directory, disk, &mut found)?;
    }
    for (tier, path) in request.files {
        let path = absolute(parent_of(path))?.join(path.file_name().unwrap_or_default());
        found.candidates.push(Candidate { path, tier: tier.clone() });
    }
    found.candidates.sort_by(|a, b| a.path.cmp(&b.path));
    for excluded in request.excluded {
        exclude(excluded, &directory, &mut found)?;
    }
    let mut seen = BTreeMap::new();
    for candidate in std::mem::take(&mut found.candidates) {
        match obstacle(&candidate.path, &directory, &mut seen, disk)? {
            Some(refused) => found.refused.push(refused),
            None => found.candidates.push(candidate),
        }
    }
    if found.candidates.is_empty() && found.refused.is_empty() {
        return Err(Error::Usage {
            what: format!("{}: plan: there is no database: no file `*.db`", directory.display()),
            next: "name the directory of the databases, or each of them with --db TIER=PATH".into(),
        });
    }
    Ok(found)
}

/// Returns the path from the root on, links on the way followed.
fn absolute(path: &Path) -> Result<PathBuf, Error> {
    path.canonicalize().map_err(|error| DiskError::new("look up", path, error).into())
}

/// Adds what `*.db` stands for in a shell. Nothing below `migration/` is looked at, nor in any other directory.
fn list(directory: &Path, disk: &dyn Disk, found: &mut Discovered) -> Result<(), Error> {
    for entry in disk.list(directory)? {
        let name = entry.name.as_encoded_bytes();
        if entry.kind != EntryKind::Directory && name.ends_with(b".db") && !name.starts_with(b".") {
            found.candidates.push(Candidate { path: directory.join(&entry.name), tier: None });
        }
    }
    Ok(())
}

/// Takes a file out. One that is not there is a spelling mistake.
fn exclude(excluded: &Path, directory: &Path, found: &mut Discovered) -> Result<(), Error> {
    let before = found.candidates.len();
    let is_meant = |candidate: &Candidate| is_same_file(excluded, directory, &candidate.path);
    found
        .excluded
        .extend(found.candidates.iter().filter(|candidate| is_meant(candidate)).map(|candidate| name(&candidate.path)));
    found.candidates.retain(|candidate| !is_meant(candidate));
    if found.candidates.len() < before {
        return Ok(());
    }
    Err(Error::Usage {
        what: format!("{}: plan: --exclude names a file that is not in the set", excluded.display()),
        next: "name a file of the set, as its name or its path".into(),
    })
}

/// Returns true if the operator means this file with `given`: by its name in the directory, or by a path.
pub(super) fn is_same_file(given: &Path, directory: &Path, path: &Path) -> bool {
    let parent =
        || parent_of(given).canonicalize().ok().map(|parent| parent.join(given.file_name().unwrap_or_default()));
    directory.join(given) == path || parent().is_some_and(|given| given == path)
}

/// Returns the name of a file without its directory.
pub(super) fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

type Seen = BTreeMap<(u64, u64), PathBuf>;

fn obstacle(path: &Path, directory: &Path, seen: &mut Seen, disk: &dyn Disk) -> Result<Option<Refused>, Error> {
    let refused =
        |code, what: String, next: &str| Ok(Some(Refused { path: path.into(), code, what, next: next.into() }));
    if path.to_str().is_none() {
        return refused("name", "its path is not text in UTF-8".into(), "rename it");
    }
    match disk.kind(path)? {
        None => return refused("missing", "there is no such file".into(), "check the path"),
        Some(EntryKind::Directory) => return refused("no-file", "it is a directory".into(), "name a database file"),
        Some(EntryKind::Other) => {
            let next = "name the file that it leads to with --db TIER=PATH, or leave it out with --exclude";
            return refused("link", "it is a link or no regular file, and the upgrade replaces files".into(), next);
        }
        Some(EntryKind::File) => {}
    }
    if !disk.can_rename_between(parent_of(path), directory)? {
        let what =
            format!("it is on another file system than {}: both must be switched by a rename", directory.display());
        return refused("other-file-system", what, "upgrade it with a command of its own, or move it");
    }
    let metadata = fs::metadata(path).map_err(|error| DiskError::new("look up", path, error))?;
    match seen.insert((metadata.dev(), metadata.ino()), path.into()) {
        None => Ok(None),
        Some(other) => {
            let what = format!("it is the same file as {}", other.display());
            refused("same-file", what, "name it once, or leave one of the names out with --exclude")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::RealDisk;

    #[expect(clippy::disallowed_methods, reason = "the files of a test")]
    fn files(names: &[&str]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for name in names {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, name).unwrap();
        }
        directory
    }

    fn names(found: &Discovered) -> Vec<String> {
        found.candidates.iter().map(|candidate| name(&candidate.path)).collect()
    }

    fn request<'a>(directory: &'a tempfile::TempDir, excluded: &'a [PathBuf]) -> SetRequest<'a> {
        SetRequest { directory: directory.path(), files: &[], excluded }
    }

    #[test]
    fn a_set_is_what_a_shell_means_with_the_pattern() {
        let given = [
            "b.db",
            "a.db",
            "a.db-wal",
            "a.db.haul-lock",
            ".hidden.db",
            "x.DB",
            "c.sqlite",
            "migration/staging/a.db",
            "d.db/x",
        ];
        let directory = files(&given);
        let found = discover(&request(&directory, &[]), &RealDisk).unwrap();
        assert_eq!(names(&found), ["a.db", "b.db"]);
        assert!(found.candidates[0].path.is_absolute() && found.refused.is_empty());
    }

    #[test]
    fn files_are_left_out_by_name_or_path_and_mistakes_are_noticed() {
        let directory = files(&["a.db", "b.db", "c.db"]);
        let excluded = [PathBuf::from("a.db"), directory.path().join("c.db")];
        let found = discover(&request(&directory, &excluded), &RealDisk).unwrap();
        assert_eq!((names(&found), found.excluded), (vec!["b.db".into()], vec!["a.db".to_owned(), "c.db".into()]));
        let error = discover(&request(&directory, &["d.db".into()]), &RealDisk).unwrap_err();
        assert!(error.to_string().contains("d.db: plan: --exclude"), "{error}");
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn named_files_alone_are_the_set() {
        let directory = files(&["a.db", "b.db", "deep/c.data"]);
        let named = [
            (Some("t".to_owned()), directory.path().join("deep/../deep/c.data")),
            (None, directory.path().join("gone")),
        ];
        let found = discover(&SetRequest { files: &named, ..request(&directory, &[]) }, &RealDisk).unwrap();
        assert_eq!(names(&found), ["c.data"]);
        assert_eq!(found.candidates[0].tier.as_deref(), Some("t"));
        assert_eq!((found.refused[0].code, found.refused.len()), ("missing", 1));
    }

    #[test]
    fn links_and_second_names_are_refused_and_no_database_is_an_error() {
        let directory = files(&["a.db"]);
        let at = |name: &str| directory.path().join(name);
        std::os::unix::fs::symlink(at("a.db"), at("link.db")).unwrap();
        RealDisk.hard_link(&at("a.db"), &at("b.db")).unwrap();
        let found = discover(&request(&directory, &[]), &RealDisk).unwrap();
        let refused: Vec<_> = found.refused.iter().map(|refused| (name(&refused.path), refused.code)).collect();
        assert_eq!(refused, [("b.db".to_owned(), "same-file"), ("link.db".to_owned(), "link")]);
        assert_eq!(names(&found), ["a.db"]);
        let none = files(&["a.txt"]);
        assert_eq!(discover(&request(&none, &[]), &RealDisk).unwrap_err().exit_code(), 2);
    }
}
