//! Where the parts of a target lie.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::format::key::Key;
use super::format::record::ObjectRecord;
use super::map::{MAP_NAME, earlier_map_name};
use crate::migration::{Error, RunDirectory};

/// Name of the index in a store.
pub const INDEX_NAME: &str = "index.ndjson";
/// Name of the directory of objects in a store.
pub const OBJECTS_NAME: &str = "objects";

/// The directory of a v2 store and its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorePaths {
    root: PathBuf,
}

impl StorePaths {
    /// The store in this directory.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The store's directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `objects`, which holds the shards.
    pub fn objects(&self) -> PathBuf {
        self.root.join(OBJECTS_NAME)
    }

    /// `index.ndjson`.
    pub fn index(&self) -> PathBuf {
        self.root.join(INDEX_NAME)
    }

    /// `objects/AB/CD/<key>`.
    pub fn blob(&self, key: Key) -> PathBuf {
        blob_path(&self.root, key)
    }

    /// `objects/AB/CD/<key>.meta`.
    pub fn sidecar(&self, key: Key) -> PathBuf {
        sidecar_path(&self.root, key)
    }

    /// `objects/AB/CD`: the directory of the blob and the sidecar of `key`.
    pub fn shard(&self, key: Key) -> PathBuf {
        let mut path = self.blob(key);
        path.pop();
        path
    }

    /// The run directory of migrations into the store: its lock is that of everything in haul which writes to the
    /// store.
    ///
    /// # Errors
    /// If the root is a path such as `..`, which ends in no name, and is not there.
    pub fn run_directory(&self) -> Result<RunDirectory, Error> {
        Ok(TargetPaths::of_store(&self.root)?.run_directory())
    }
}

/// A target and what lies beside it: the state of its migration, in `<target>.migration/` on the same file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetPaths {
    target: PathBuf,
    state: PathBuf,
}

impl TargetPaths {
    /// The store that is to be at `target`. The path must end in a name.
    pub fn new(target: &Path) -> Result<Self, Error> {
        let Some(name) = target.file_name() else {
            return Err(Error::Usage {
                what: format!("{} does not end in a name", target.display()),
                next: "give the path that the store is to have, such as ./cas/v2".into(),
            });
        };
        let mut state_name = OsString::from(name);
        state_name.push(".migration");
        Ok(Self { target: target.to_path_buf(), state: target.with_file_name(state_name) })
    }

    /// The paths of the store at `root`, which may end in `.`, as the current directory does.
    pub fn of_store(root: &Path) -> Result<Self, Error> {
        match root.file_name() {
            Some(_) => Self::new(root),
            None => Self::new(&root.canonicalize().unwrap_or_else(|_| root.to_path_buf())),
        }
    }

    /// The published store.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// The directory that holds the target and the state beside it.
    pub fn parent(&self) -> &Path {
        match self.target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        }
    }

    /// State of the migration.
    pub fn run_directory(&self) -> RunDirectory {
        RunDirectory::new(&self.state)
    }

    /// The store that is being made.
    pub fn staging(&self) -> PathBuf {
        self.state.join("staging")
    }

    /// The store that a replacement took the place of.
    pub fn replaced(&self) -> PathBuf {
        self.state.join("replaced")
    }

    /// The store that a rollback took away from the target's place.
    pub fn withdrawn(&self) -> PathBuf {
        self.state.join("withdrawn")
    }

    /// The index of the target before a merge.
    pub fn index_before(&self) -> PathBuf {
        self.state.join("index-before.ndjson")
    }

    /// The index of the store before a repair, by its BLAKE3 digest.
    pub fn index_before_repair(&self, digest: &[u8; 32]) -> PathBuf {
        let text = Key(*digest).to_string();
        self.state.join(format!("index-before-repair-{}.ndjson", &text[..16]))
    }

    /// What became of each object, in the order of the source.
    pub fn moved(&self) -> PathBuf {
        self.state.join("moved")
    }

    /// Large blobs on their way: their keys are known only when they are copied.
    pub fn incoming(&self) -> PathBuf {
        self.state.join("incoming")
    }

    /// Sorted runs.
    pub fn scratch(&self) -> PathBuf {
        self.state.join("scratch")
    }

    /// The map from old keys to new ones. Stays after the rest is cleaned away.
    pub fn map(&self) -> PathBuf {
        self.state.join(MAP_NAME)
    }

    /// The map of an earlier migration into the same store.
    pub fn earlier_map(&self, run_id: &str) -> PathBuf {
        self.state.join(earlier_map_name(run_id))
    }

    /// Place of a verification.
    pub fn verification(&self) -> PathBuf {
        self.state.join("verify")
    }
}

/// Path of an object's blob in the v2 store at `root`.
pub fn blob_path(root: &Path, key: Key) -> PathBuf {
    object_path(root, key, "")
}

/// Path of an object's sidecar in the v2 store at `root`.
pub fn sidecar_path(root: &Path, key: Key) -> PathBuf {
    object_path(root, key, ".meta")
}

fn object_path(root: &Path, key: Key, suffix: &str) -> PathBuf {
    let text = key.text();
    let text = std::str::from_utf8(&text).expect("hex digits are ASCII");
    let mut path = OsString::with_capacity(root.as_os_str().len() + 90);
    for part in [root.as_os_str(), "/objects/".as_ref(), text[..2].as_ref(), "/".as_ref(), text[2..4].as_ref()] {
        path.push(part);
    }
    for part in ["/", text, suffix] {
        path.push(part);
    }
    path.into()
}

/// The bytes of an object's sidecar.
pub fn sidecar_bytes(record: &ObjectRecord) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(320);
    record.push_json(&mut bytes);
    bytes
}

/// Fails if the source is the same directory as the target or the state beside it, or one lies in the other, whatever
/// links lead to them.
pub fn check_apart(source: &Path, target: &TargetPaths) -> Result<(), Error> {
    let source_resolved = resolve(source)?;
    let parent = nearest_existing(target.parent())?;
    for written in [&target.target, &target.state] {
        let mut places = vec![parent.join(written.file_name().unwrap_or_default())];
        if written.exists() {
            places.push(resolve(written)?);
        }
        if places.iter().any(|place| place.starts_with(&source_resolved) || source_resolved.starts_with(place)) {
            return Err(Error::Usage {
                what: format!("source {} and target {} lie in each other", source.display(), written.display()),
                next: "give a target beside the source".into(),
            });
        }
    }
    Ok(())
}

fn resolve(path: &Path) -> Result<PathBuf, Error> {
    path.canonicalize().map_err(|e| Error::Disk(crate::durable::DiskError::new("look up", path, e)))
}

/// Fails if a file system is mounted at the target: nothing beside it could be renamed to it.
pub fn check_not_mounted(target: &TargetPaths) -> Result<(), Error> {
    use std::os::unix::fs::MetadataExt;
    let device = |path: &Path| path.metadata().ok().map(|metadata| metadata.dev());
    match (device(&target.target), device(target.parent())) {
        (Some(own), Some(above)) if own != above => Err(Error::Usage {
            what: format!("a file system is mounted at {}", target.target.display()),
            next: format!("take a directory in it: {}", target.target.join("v2").display()),
        }),
        _ => Ok(()),
    }
}

/// The path with its existing part resolved.
fn nearest_existing(path: &Path) -> Result<PathBuf, Error> {
    match path.canonicalize() {
        Ok(resolved) => Ok(resolved),
        Err(e) => match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) if e.kind() == std::io::ErrorKind::NotFound => {
                let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
                Ok(nearest_existing(parent)?.join(name))
            }
            _ => Err(Error::Disk(crate::durable::DiskError::new("look up", path, e))),
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests lay out directories")]

    use super::*;

    #[test]
    fn objects_lie_in_two_levels_of_shards() {
        let key = Key::parse(b"888c953ef5078f3680b54066bbb320e65bfee61773f13a8813b211a8001fb12d").unwrap();
        let path = "s/objects/88/8c/888c953ef5078f3680b54066bbb320e65bfee61773f13a8813b211a8001fb12d";
        assert_eq!(blob_path(Path::new("s"), key), Path::new(path));
        assert_eq!(sidecar_path(Path::new("s"), key), PathBuf::from(format!("{path}.meta")));
    }

    #[test]
    fn paths_are_those_of_the_specification() {
        let paths = StorePaths::new("/nowhere/cas/v2");
        let key = Key([0xA7; 32]);
        let name = "a7".repeat(32);
        assert_eq!(paths.index(), Path::new("/nowhere/cas/v2/index.ndjson"));
        assert_eq!(paths.shard(key), Path::new("/nowhere/cas/v2/objects/a7/a7"));
        assert_eq!(paths.blob(key), paths.shard(key).join(&name));
        assert_eq!(paths.sidecar(key), paths.shard(key).join(name + ".meta"));
        assert_eq!(paths.run_directory().unwrap().path(), Path::new("/nowhere/cas/v2.migration"));
    }

    #[test]
    fn a_root_without_a_name_has_one_all_the_same() {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().canonicalize().unwrap().join("v2");
        std::fs::DirBuilder::new().recursive(true).create(root.join("objects")).unwrap();
        for name in [root.clone(), root.join("."), root.join("objects/..")] {
            let run = StorePaths::new(&name).run_directory().unwrap();
            assert_eq!(run.path(), root.with_file_name("v2.migration"), "{}", name.display());
        }
        assert!(StorePaths::new("/").run_directory().is_err());
    }

    #[test]
    fn the_state_lies_beside_the_target() {
        let paths = TargetPaths::new(Path::new("cas/v2/")).unwrap();
        assert_eq!(paths.run_directory().path(), Path::new("cas/v2.migration"));
        assert_eq!(TargetPaths::new(Path::new("v2")).unwrap().parent(), Path::new("."));
        assert!(TargetPaths::new(Path::new("..")).is_err());
        assert!(TargetPaths::new(Path::new("/")).is_err());
    }

    #[test]
    fn a_target_is_no_mount_point() {
        let directory = tempfile::tempdir().unwrap();
        check_not_mounted(&TargetPaths::new(&directory.path().join("new")).unwrap()).unwrap();
        let error = check_not_mounted(&TargetPaths::new(Path::new("/proc")).unwrap()).unwrap_err();
        assert_eq!(error.next_step().unwrap(), "take a directory in it: /proc/v2");
    }

    #[test]
    fn source_and_target_must_lie_apart() {
        let directory = tempfile::tempdir().unwrap();
        let at = |path: &str| directory.path().join(path);
        std::fs::create_dir_all(at("old/inner")).unwrap();
        std::os::unix::fs::symlink("old", at("link")).unwrap();
        let check = |source: &str, target: &str| check_apart(&at(source), &TargetPaths::new(&at(target)).unwrap());
        for target in ["old", "old/new", "old/inner", "old/a/b/c", "link", "link/new", "old/inner/../new"] {
            assert_eq!(check("old", target).unwrap_err().exit_code(), 2, "{target}");
        }
        assert!(check("old/inner", "old").is_err());
        assert!(check("link", "old").is_err());
        for target in ["new", "older", "old.new", "not/there/yet"] {
            check("old", target).unwrap();
        }
    }
}
