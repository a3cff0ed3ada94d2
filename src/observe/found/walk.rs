//! The walk that finds run directories. It follows no link.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::read_dir;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::migration::{RunDirectory, checkpoint};

/// How deep a run directory may lie below the directory that is given.
pub const DEPTH_MAX: usize = 3;
/// Directories that are listed.
pub const DIRECTORIES_MAX: usize = 10_000;

/// What a walk has found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Walked {
    /// Run directories, in the order of their paths.
    pub run_directories: Vec<PathBuf>,
    /// What could not be looked at: a sentence each, at most ten.
    pub problems: Vec<String>,
    /// Directories that could not be looked at.
    pub unreadable: usize,
    /// True if there are more directories than are listed.
    pub is_cut: bool,
}

/// Problems that are kept.
const PROBLEMS_MAX: usize = 10;

impl Walked {
    fn cannot_list(&mut self, directory: &Path, error: &std::io::Error) {
        self.unreadable += 1;
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(format!("cannot list {}: {error}", directory.display()));
        }
    }
}

/// Finds the run directories at and below these directories, nearest first where there are too many.
pub fn walk(roots: &[PathBuf]) -> Walked {
    let mut walked = Walked::default();
    let mut open: VecDeque<(PathBuf, usize)> = roots.iter().map(|root| (root.clone(), 0)).collect();
    let mut listed = 0;
    while let Some((directory, depth)) = open.pop_front() {
        if depth == 0 && is_run_directory(&directory) {
            walked.run_directories.push(directory);
            continue;
        }
        if listed == DIRECTORIES_MAX {
            walked.is_cut = true;
            break;
        }
        listed += 1;
        match list(&directory) {
            Ok(children) => {
                for child in children {
                    if is_run_directory(&child) {
                        walked.run_directories.push(child);
                    } else if depth + 1 < DEPTH_MAX {
                        open.push_back((child, depth + 1));
                    }
                }
            }
            Err(error) => walked.cannot_list(&directory, &error),
        }
    }
    walked.run_directories.sort();
    walked.run_directories.dedup();
    walked
}

/// Returns the directories in a directory that may hold migrations or be one. Those in which the bytes of a store lie are
/// left out, because a store has more of them than are looked at.
fn list(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let is_objects = directory.file_name() == Some(OsStr::new("objects"));
    let mut children = Vec::new();
    for entry in read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_inside = name == "wal" || name.as_bytes().starts_with(b"dual-") || is_objects && name.len() == 2;
        // A link is not followed, so no walk goes round in a circle.
        if !is_inside && entry.file_type().is_ok_and(|file_type| file_type.is_dir()) {
            children.push(entry.path());
        }
    }
    children.sort();
    Ok(children)
}

/// Returns true if the directory has the name of a run directory and something of a run in it.
fn is_run_directory(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    if name != b"migration" && !name.ends_with(b".migration") {
        return false;
    }
    let directory = RunDirectory::new(path);
    let files = [
        directory.checkpoint_path(),
        path.join(checkpoint::PREVIOUS_FILE_NAME),
        directory.journal_path(),
        directory.report_path(),
    ];
    files.iter().any(|file| file.symlink_metadata().is_ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests lay out directories")]

    use std::fs;

    use super::*;

    fn run_in(root: &Path, path: &str) -> PathBuf {
        let directory = root.join(path);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("journal.jsonl"), b"").unwrap();
        directory
    }

    fn found(root: &Path) -> Vec<PathBuf> {
        walk(&[root.to_path_buf()]).run_directories
    }

    #[test]
    fn run_directories_are_found_to_the_third_level() {
        let root = tempfile::tempdir().unwrap();
        let at = |path| run_in(root.path(), path);
        let expected = [at("a/b/migration"), at("a/migration"), at("c.migration"), at("migration")];
        at("a/b/c/migration");
        at("main/wal/migration");
        at("v2/objects/ab/migration");
        at("migration/inner.migration");
        fs::create_dir_all(root.path().join("empty/migration")).unwrap();
        assert_eq!(found(root.path()), expected);
        assert_eq!(found(&root.path().join("migration")), [root.path().join("migration")]);
    }

    #[test]
    fn no_link_is_followed_and_what_cannot_be_listed_is_named() {
        let root = tempfile::tempdir().unwrap();
        run_in(root.path(), "real/migration");
        std::os::unix::fs::symlink(root.path(), root.path().join("real/loop")).unwrap();
        std::os::unix::fs::symlink("real", root.path().join("again")).unwrap();
        assert_eq!(found(root.path()).len(), 1);
        let walked = walk(&[root.path().join("absent"), root.path().join("real")]);
        assert_eq!((walked.run_directories.len(), walked.unreadable), (1, 1));
        assert!(walked.problems[0].starts_with("cannot list "), "{:?}", walked.problems);
    }

    #[test]
    fn a_walk_among_too_many_directories_ends_and_says_so() {
        let root = tempfile::tempdir().unwrap();
        let near = run_in(root.path(), "near/migration");
        for number in 0..DIRECTORIES_MAX {
            fs::create_dir(root.path().join(format!("d{number}"))).unwrap();
        }
        let walked = walk(&[root.path().to_path_buf()]);
        assert!(walked.is_cut && walked.run_directories.len() <= 1);
        let walked = walk(&[near.clone(), root.path().to_path_buf()]);
        assert!(walked.is_cut && walked.run_directories.contains(&near));
    }
}
