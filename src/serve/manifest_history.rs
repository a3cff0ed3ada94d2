//! The history of one manifest below a root of the command line, read when somebody asks for it.

use std::path::{Component, Path, PathBuf};

use tokio::task::spawn_blocking;

use super::query::value;
use super::site::Site;
use crate::durable::RealDisk;
use crate::manifest::file_history::{FileHistory, file_history};
use crate::manifest::migrate::run_directory;
use crate::migration::plan::unescape_name;

/// The longest path that is taken. Linux takes none that is longer.
const PATH_BYTES_MAX: usize = 4096;

/// The manifest that a reader wants to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The number of the root, from 1.
    pub root: usize,
    /// The path below the root, as findings and the ledger write it.
    pub file: String,
}

impl Asked {
    /// Reads it from an address; `None` if it names no file.
    pub fn of(query: Option<&str>) -> Option<Self> {
        let file = value(query, "file").filter(|file| !file.is_empty())?;
        let root = value(query, "root").and_then(|root| root.parse().ok()).unwrap_or(1);
        Some(Self { root, file })
    }

    /// Returns the path, if it can only lead below a root.
    fn path(&self) -> Option<PathBuf> {
        let path = PathBuf::from(unescape_name(&self.file)?);
        let is_below = path.components().all(|part| matches!(part, Component::Normal(_)));
        (is_below && path.as_os_str().len() <= PATH_BYTES_MAX).then(|| path.components().collect())
    }
}

/// Returns the history of a manifest, or why there is none. One is read at a time: the ledger of a tree can be long.
pub async fn history(site: &Site, asked: &Asked) -> Result<FileHistory, String> {
    let root = site.versions.root(asked.root).ok_or("there is no such root")?.to_path_buf();
    let file = asked.path().ok_or("this is no path below the root")?;
    let turn = site.histories.clone().acquire_owned().await.map_err(|error| error.to_string())?;
    let read = spawn_blocking(move || {
        let history = read(&root, &file);
        drop(turn);
        history
    });
    read.await.unwrap_or_else(|_| Err("it cannot be read".into()))
}

fn read(root: &Path, file: &Path) -> Result<FileHistory, String> {
    let runs = run_directory(root);
    if runs.path().symlink_metadata().is_ok_and(|found| found.is_symlink()) {
        return Err(format!("{} is a link, which may lead out of the root", runs.path().display()));
    }
    file_history(&RealDisk, root, file).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests lay out files")]

    use super::*;

    fn asked(file: &str) -> Asked {
        Asked { root: 1, file: file.into() }
    }

    #[test]
    fn a_manifest_is_named_by_the_number_of_a_root_and_a_path() {
        assert_eq!(Asked::of(Some("file=a%2Fb.json")), Some(asked("a/b.json")));
        assert_eq!(Asked::of(Some("root=2&file=a")), Some(Asked { root: 2, file: "a".into() }));
        assert_eq!((Asked::of(Some("file=&root=1")), Asked::of(None)), (None, None));
    }

    #[test]
    fn no_path_leads_out_of_the_root() {
        for file in ["..", "../a", "a/../../b", "/etc/passwd", "./a", r"\x2e\x2e/a", r"\q", &"a/".repeat(3000)] {
            assert_eq!(asked(file).path(), None, "{file}");
        }
        assert_eq!(asked("a//b/./c").path(), Some("a/b/c".into()));
        assert_eq!(asked(r"a\\b\x0a").path(), Some("a\\b\n".into()));
    }

    #[test]
    fn no_link_leads_out_of_the_root() {
        let place = tempfile::tempdir().unwrap();
        let (root, outside) = (place.path().join("root"), place.path().join("outside"));
        for directory in [&root, &outside] {
            std::fs::create_dir(directory).unwrap();
            std::fs::write(directory.join("m.json"), r#"{"migration_history":[]}"#).unwrap();
        }
        assert!(read(&root, Path::new("m.json")).unwrap().sha256.is_some());
        std::os::unix::fs::symlink(&outside, root.join("directory")).unwrap();
        std::os::unix::fs::symlink(outside.join("m.json"), root.join("link.json")).unwrap();
        for file in ["directory/m.json", "link.json"] {
            assert!(read(&root, Path::new(file)).is_err(), "{file}");
        }
        std::os::unix::fs::symlink(&outside, root.join("migration")).unwrap();
        assert!(read(&root, Path::new("m.json")).unwrap_err().contains("is a link"));
    }
}
