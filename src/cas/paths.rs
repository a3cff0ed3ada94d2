//! Paths of a v2 store, of a target, and of the state next to it.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::format::key::Key;
use super::format::record::ObjectRecord;
use super::map::{MAP_NAME, earlier_map_name};
use crate::durable::{Disk, DiskError, EntryKind, Link, NewModes, NewOwner, mount_of};
use crate::migration::{Error, RunDirectory};

/// Name of the index in a store.
pub const INDEX_NAME: &str = "index.ndjson";
/// Name of the directory of objects in a store.
pub const OBJECTS_NAME: &str = "objects";

/// The directory of a v2 store and its parts (docs/source-requiem.md, "The v2 store").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorePaths {
    root: PathBuf,
}

impl StorePaths {
    /// Returns the paths of the store in this directory.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Returns the directory of the store.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns `objects`, which contains the shards.
    pub fn objects(&self) -> PathBuf {
        self.root.join(OBJECTS_NAME)
    }

    /// Returns `index.ndjson`.
    pub fn index(&self) -> PathBuf {
        self.root.join(INDEX_NAME)
    }

    /// Returns `objects/AB/CD/<key>`.
    pub fn blob(&self, key: Key) -> PathBuf {
        blob_path(&self.root, key)
    }

    /// Returns `objects/AB/CD/<key>.meta`.
    pub fn sidecar(&self, key: Key) -> PathBuf {
        sidecar_path(&self.root, key)
    }

    /// Returns `objects/AB/CD`, the directory of the blob and the sidecar of `key`.
    pub fn shard(&self, key: Key) -> PathBuf {
        let mut path = self.blob(key);
        path.pop();
        path
    }

    /// Returns the disk with the store opened, so that nothing in it is reached through a link. Its root and its objects
    /// are the user's, who may have put a link there, but not what is below. `None` if the disk has no links.
    pub fn opened(&self, disk: &dyn Disk) -> Result<Option<Arc<dyn Disk>>, DiskError> {
        let Some(store) = disk.anchored(&self.root, Link::Followed)? else { return Ok(None) };
        let link = match store.kind(&self.objects())? {
            None => return Ok(Some(store)),
            Some(EntryKind::Other) => Link::Followed,
            Some(_) => Link::Refused,
        };
        store.anchored(&self.objects(), link)
    }

    /// Returns the run directory of migrations into the store. Everything in haul that writes to the store takes its
    /// lock.
    ///
    /// # Errors
    /// If the root is a path such as `..`, which has no name, and does not exist.
    pub fn run_directory(&self) -> Result<RunDirectory, Error> {
        Ok(TargetPaths::of_store(&self.root)?.run_directory())
    }
}

/// A target and the state of its migration in `<target>.migration/` next to it. Both are on one file system, because a
/// store is published by a rename.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetPaths {
    target: PathBuf,
    state: PathBuf,
}

impl TargetPaths {
    /// Returns the paths of the store at `target`. The path must end in a name.
    pub fn new(target: &Path) -> Result<Self, Error> {
        let Some(name) = target.file_name() else {
            return Err(Error::Usage {
                what: format!("{} does not end in a name", target.display()),
                next: "give a path for the store, such as ./cas/v2".into(),
            });
        };
        let mut state_name = OsString::from(name);
        state_name.push(".migration");
        Ok(Self { target: target.to_path_buf(), state: target.with_file_name(state_name) })
    }

    /// Returns the paths of the store at `root`, which may be given as `.`.
    pub fn of_store(root: &Path) -> Result<Self, Error> {
        match root.file_name() {
            Some(_) => Self::new(root),
            None => Self::new(&root.canonicalize().unwrap_or_else(|_| root.to_path_buf())),
        }
    }

    /// Returns the path of the published store.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Returns the directory of the target and the state next to it.
    pub fn parent(&self) -> &Path {
        match self.target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        }
    }

    /// Returns the state of the migration.
    pub fn run_directory(&self) -> RunDirectory {
        RunDirectory::new(&self.state).of_store(&self.target)
    }

    /// Returns the store that is being written.
    pub fn staging(&self) -> PathBuf {
        self.state.join("staging")
    }

    /// Returns the store that was replaced by the target.
    pub fn replaced(&self) -> PathBuf {
        self.state.join("replaced")
    }

    /// Returns the store that a rollback moved away from the target.
    pub fn withdrawn(&self) -> PathBuf {
        self.state.join("withdrawn")
    }

    /// Returns the index of the target before a merge.
    pub fn index_before(&self) -> PathBuf {
        self.state.join("index-before.ndjson")
    }

    /// Returns the index of the store before a repair, by its BLAKE3 digest.
    pub fn index_before_repair(&self, digest: &[u8; 32]) -> PathBuf {
        let text = Key(*digest).to_string();
        self.state.join(format!("index-before-repair-{}.ndjson", &text[..16]))
    }

    /// Returns the directory of the damaged blobs that a repair has replaced.
    pub fn damaged(&self) -> PathBuf {
        self.state.join("damaged")
    }

    /// Returns the log of the outcome of each object, in the order of the source.
    pub fn object_log(&self) -> PathBuf {
        self.state.join("moved")
    }

    /// Returns the directory of large blobs whose keys are not known until they are copied.
    pub fn incoming(&self) -> PathBuf {
        self.state.join("incoming")
    }

    /// Returns the directory of sorted runs.
    pub fn scratch(&self) -> PathBuf {
        self.state.join("scratch")
    }

    /// Returns the map from old keys to new ones. It stays when the rest is cleaned up.
    pub fn map(&self) -> PathBuf {
        self.state.join(MAP_NAME)
    }

    /// Returns the map of an earlier migration into the same store.
    pub fn earlier_map(&self, run_id: &str) -> PathBuf {
        self.state.join(earlier_map_name(run_id))
    }

    /// Returns true if the map of the run is there, under its name or under that which a restart gives it.
    pub fn has_map(&self, disk: &dyn Disk, run_id: &str) -> Result<bool, Error> {
        Ok(disk.kind(&self.map())?.is_some() || disk.kind(&self.earlier_map(run_id))?.is_some())
    }

    /// Returns the permissions and the owner of what is added to the store at the target, within `limit`.
    pub fn new_modes(&self, limit: NewModes) -> NewModes {
        limit.like(&self.target.join(OBJECTS_NAME), &self.target.join(INDEX_NAME))
    }

    /// Returns the parts of the store at the target whose owner this process cannot give to what it creates there, with
    /// what it cannot set.
    pub fn owners_not_kept(&self) -> Vec<(PathBuf, NewOwner)> {
        let parts = [self.target.join(OBJECTS_NAME), self.target.join(INDEX_NAME)];
        let refused = parts.into_iter().filter_map(|part| Some((NewOwner::of(&part).ok()?.refused(), part)));
        refused.filter(|(owner, _)| !owner.is_empty()).map(|(owner, part)| (part, owner)).collect()
    }

    /// Returns true if files of this directory may have a second name in the target, as far as the mounts show.
    pub fn can_link_from(&self, directory: &Path) -> bool {
        let mounts = nearest_existing(&self.state).and_then(|state| Ok((mount_of(&state)?, mount_of(directory)?)));
        mounts.is_ok_and(|(state, source)| state == source)
    }

    /// Returns the directory of an interrupted verification.
    pub fn verification(&self) -> PathBuf {
        self.state.join("verify")
    }
}

/// Returns the path of an object's blob in the v2 store at `root`.
pub fn blob_path(root: &Path, key: Key) -> PathBuf {
    object_path(root, key, "")
}

/// Returns the path of an object's sidecar in the v2 store at `root`.
pub fn sidecar_path(root: &Path, key: Key) -> PathBuf {
    object_path(root, key, ".meta")
}

fn object_path(root: &Path, key: Key, suffix: &str) -> PathBuf {
    let text = key.text();
    let text = std::str::from_utf8(&text).expect("hex digits are ASCII");
    // One allocation. Joining the parts with `Path::join` would make four, for every object and its sidecar.
    let mut path = OsString::with_capacity(root.as_os_str().len() + 90);
    for part in [root.as_os_str(), "/objects/".as_ref(), text[..2].as_ref(), "/".as_ref(), text[2..4].as_ref()] {
        path.push(part);
    }
    for part in ["/", text, suffix] {
        path.push(part);
    }
    path.into()
}

/// Returns the bytes of an object's sidecar.
pub fn sidecar_bytes(record: &ObjectRecord) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(320);
    record.push_json(&mut bytes);
    bytes
}

/// The identity of a directory: its device and its inode.
type DirectoryId = (u64, u64);

/// Fails if the source is the target or the state next to it, or if one is inside the other. `reached` are the directories
/// of the source: its root, and those that hold its objects, which may be links or mounts of something elsewhere.
pub fn check_apart(source: &Path, reached: &[PathBuf], target: &TargetPaths) -> Result<(), Error> {
    for written in [target.target.clone(), target.state.clone(), target.target.join(OBJECTS_NAME)] {
        let around = ancestors_of(&nearest_existing(&written)?)?;
        let own = if written.exists() { around.first().copied() } else { None };
        for reached in reached {
            let of_source = ancestors_of(reached)?;
            if around.contains(&of_source[0]) || own.is_some_and(|own| of_source.contains(&own)) {
                return Err(not_apart(source, &written));
            }
        }
    }
    Ok(())
}

/// Fails if the source or the target is in the run directory of a migration, which removes what is in it.
pub fn check_outside_of_runs(source: &Path, target: &TargetPaths) -> Result<(), Error> {
    let wrap = |path: &Path, e| Error::Disk(DiskError::new("look up", path, e));
    for (path, what) in [(source, "source"), (&*target.target, "target")] {
        let nearest = nearest_existing(path)?;
        let resolved = nearest.canonicalize().map_err(|e| wrap(&nearest, e))?;
        if let Some(run) = resolved.ancestors().find(|above| is_run_directory(above)) {
            return Err(Error::Usage {
                what: format!("the {what} {} is in the run directory {}", path.display(), run.display()),
                next:
                    "a later run or clean-up removes what is there: move the source out of it, or choose another target"
                        .into(),
            });
        }
    }
    Ok(())
}

/// Returns true if the directory has the name of a run directory and the state of a run.
fn is_run_directory(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let directory = RunDirectory::new(path);
    let state = [directory.checkpoint_path(), directory.journal_path()];
    name.ends_with(b"migration") && state.iter().any(|file| file.exists())
}

/// Fails if the target or the state next to it is in one of these directories of the source, by device and inode.
pub fn check_outside(
    source: &Path,
    target: &TargetPaths,
    mut is_of_source: impl FnMut(DirectoryId) -> bool,
) -> Result<(), Error> {
    for written in [target.target.clone(), target.state.clone(), target.target.join(OBJECTS_NAME)] {
        if ancestors_of(&nearest_existing(&written)?)?.into_iter().any(&mut is_of_source) {
            return Err(not_apart(source, &written));
        }
    }
    Ok(())
}

fn not_apart(source: &Path, written: &Path) -> Error {
    Error::Usage {
        what: format!("source {} and target {} are inside each other", source.display(), written.display()),
        next: "give a target next to the source".into(),
    }
}

/// Returns the identities of an existing path and of all directories above it, through whatever links.
fn ancestors_of(path: &Path) -> Result<Vec<DirectoryId>, Error> {
    let wrap = |e| Error::Disk(DiskError::new("look up", path, e));
    let resolved = path.canonicalize().map_err(wrap)?;
    let identity = |path: &Path| path.metadata().map(|found| (found.dev(), found.ino()));
    resolved.ancestors().map(identity).collect::<Result<_, _>>().map_err(wrap)
}

/// Returns the path, or the nearest one above it that exists.
fn nearest_existing(path: &Path) -> Result<PathBuf, Error> {
    match path.metadata() {
        Ok(_) => Ok(path.to_path_buf()),
        Err(e) => match path.parent() {
            Some(parent) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                nearest_existing(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
            }
            _ => Err(Error::Disk(DiskError::new("look up", path, e))),
        },
    }
}

/// Fails if the target, or the state next to it, is on another mounted file system than the directory of both: a store
/// that was staged there could not be renamed to the target.
pub fn check_not_mounted(target: &TargetPaths) -> Result<(), Error> {
    let mount = |path: &Path| path.exists().then(|| mount_of(path)).transpose();
    let Some(above) = mount(target.parent())? else { return Ok(()) };
    if mount(&target.target)?.is_some_and(|own| own != above) {
        return Err(Error::Usage {
            what: format!("a file system is mounted at {}", target.target.display()),
            next: format!("take a directory in it: {}", target.target.join("v2").display()),
        });
    }
    if mount(&target.state)?.is_some_and(|own| own != above) {
        return Err(Error::Usage {
            what: format!(
                "{} is on another file system than {}: a store that is staged there cannot be renamed to it (EXDEV)",
                target.state.display(),
                target.target.display()
            ),
            next: "move that directory next to the target, or choose a target on that file system".into(),
        });
    }
    Ok(())
}

/// Fails if the objects of the store that is merged into are on another mounted file system than the state next to it:
/// objects that are staged there could not be renamed into the store.
pub fn check_objects_near(target: &TargetPaths) -> Result<(), Error> {
    let (objects, state) = (target.target.join(OBJECTS_NAME), nearest_existing(&target.state)?);
    if !objects.exists() || mount_of(&objects)? == mount_of(&state)? {
        return Ok(());
    }
    Err(Error::Usage {
        what: format!(
            "{} is on another file system than {}: objects that are staged there cannot be renamed into it (EXDEV)",
            objects.display(),
            target.state.display()
        ),
        next: format!(
            "have the whole store on one file system and give its path there, or merge into a new store and use \
             that instead of {}",
            target.target.display()
        ),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests lay out directories")]

    use super::*;

    #[test]
    fn objects_are_in_two_levels_of_shards() {
        let key = Key::parse(b"888c953ef5078f3680b54066bbb320e65bfee61773f13a8813b211a8001fb12d").unwrap();
        let path = "s/objects/88/8c/888c953ef5078f3680b54066bbb320e65bfee61773f13a8813b211a8001fb12d";
        assert_eq!(blob_path(Path::new("s"), key), Path::new(path));
        assert_eq!(sidecar_path(Path::new("s"), key), PathBuf::from(format!("{path}.meta")));
    }

    #[test]
    fn paths_are_those_of_a_v2_store() {
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
    fn a_root_without_a_name_gets_one() {
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
    fn the_state_is_next_to_the_target() {
        let paths = TargetPaths::new(Path::new("cas/v2/")).unwrap();
        assert_eq!(paths.run_directory().path(), Path::new("cas/v2.migration"));
        assert_eq!(TargetPaths::new(Path::new("v2")).unwrap().parent(), Path::new("."));
        assert!(TargetPaths::new(Path::new("..")).is_err());
        assert!(TargetPaths::new(Path::new("/")).is_err());
    }

    #[test]
    fn a_target_is_not_a_mount_point() {
        let directory = tempfile::tempdir().unwrap();
        check_not_mounted(&TargetPaths::new(&directory.path().join("new")).unwrap()).unwrap();
        let error = check_not_mounted(&TargetPaths::new(Path::new("/proc")).unwrap()).unwrap_err();
        assert_eq!(error.next_step().unwrap(), "take a directory in it: /proc/v2");
    }

    #[test]
    fn source_and_target_must_not_overlap() {
        let directory = tempfile::tempdir().unwrap();
        let at = |path: &str| directory.path().join(path);
        std::fs::create_dir_all(at("old/inner")).unwrap();
        std::os::unix::fs::symlink("old", at("link")).unwrap();
        let check = |source: &str, target: &str| {
            check_apart(&at(source), &[at(source)], &TargetPaths::new(&at(target)).unwrap())
        };
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
