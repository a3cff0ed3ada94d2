//! Removes what a crashed run left after its last checkpoint.

use std::path::Path;
use std::sync::Arc;

use super::object_log::{ObjectOutcome, for_each_logged};
use super::placer::objects_path;
use crate::cas::format::key::Key;
use crate::cas::paths::TargetPaths;
use crate::cas::state::RunState;
use crate::durable::{Disk, EntryKind, create_directory_durable, remove_tree};
use crate::migration::Error;
use crate::pipeline::{Merged, SortedRuns};

/// Removes every file of the staged store that the checkpoint does not cover: it may be torn, and the run writes it
/// again. Both sides are read in the order of keys, so that memory does not grow with the store.
pub fn remove_unfinished(
    disk: &Arc<dyn Disk>,
    paths: &TargetPaths,
    state: &RunState,
    memory_bytes: u64,
) -> Result<(), Error> {
    let scratch = paths.scratch().join("done");
    remove_tree(&**disk, &scratch)?;
    create_directory_durable(&**disk, &scratch)?;
    let mut done = SortedRuns::<32>::new(disk.clone(), scratch.clone(), memory_bytes);
    for_each_logged(&**disk, &paths.object_log(), state.progress.objects, |object| {
        if object.outcome == ObjectOutcome::Migrated {
            done.push(object.record.digest.0)?;
        }
        Ok(true)
    })?;
    let mut done = Done { keys: done.finish()?, current: None };
    done.advance()?;
    let objects = objects_path(&paths.staging());
    if disk.kind(&objects)?.is_some() {
        sweep(&**disk, &objects, 0, &mut done)?;
    }
    remove_tree(&**disk, &scratch)?;
    Ok(remove_tree(&**disk, &paths.incoming())?)
}

/// Keys that are done, in order.
struct Done {
    keys: Merged<32>,
    current: Option<Key>,
}

impl Done {
    fn advance(&mut self) -> Result<(), Error> {
        self.current = self.keys.next()?.map(Key);
        Ok(())
    }

    /// Returns true if the key is done. Must be called in the order of keys.
    fn has(&mut self, key: Key) -> Result<bool, Error> {
        while self.current.is_some_and(|current| current < key) {
            self.advance()?;
        }
        Ok(self.current == Some(key))
    }
}

fn sweep(disk: &dyn Disk, directory: &Path, depth: usize, done: &mut Done) -> Result<(), Error> {
    let mut is_empty = true;
    for entry in disk.list(directory)? {
        let path = directory.join(&entry.name);
        if entry.kind == EntryKind::Directory && depth < 2 {
            sweep(disk, &path, depth + 1, done)?;
            is_empty &= disk.kind(&path)?.is_none();
            continue;
        }
        let name = entry.name.as_encoded_bytes();
        let key = Key::parse(name.strip_suffix(b".meta").unwrap_or(name));
        match key {
            Some(key) if done.has(key)? => is_empty = false,
            _ => disk.remove_file(&path)?,
        }
    }
    if is_empty && depth > 0 {
        disk.remove_directory(directory)?;
    }
    Ok(())
}
