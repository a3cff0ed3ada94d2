//! Where a reading sorts what does not fit in memory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Error, cannot_be_written};
use crate::durable::{Disk, NewModes, remove_tree, with_modes};
use crate::pipeline::SortedRuns;

/// A directory of its own for sorted runs, removed with all that is in it when this is dropped; none where nothing can
/// be written, and what is sorted then stays in memory.
pub struct SortDirectory {
    directory: Option<(Arc<dyn Disk>, PathBuf)>,
}

impl SortDirectory {
    /// The directory at `path`, whose parent must exist: what an earlier attempt left in it is removed.
    pub fn create(disk: &Arc<dyn Disk>, path: PathBuf) -> Result<Self, Error> {
        remove_tree(&**disk, &path)?;
        disk.create_directory(&path)?;
        Ok(Self { directory: Some((disk.clone(), path)) })
    }

    /// A directory in the system's place for temporary files, which only this user can read.
    pub fn temporary(disk: &Arc<dyn Disk>) -> Result<Self, Error> {
        let disk = &with_modes(disk, NewModes::PRIVATE);
        let path = std::env::temp_dir().join(format!("haul-{}", uuid::Uuid::new_v4()));
        match Self::create(disk, path) {
            Err(error) if cannot_be_written(&error) => Ok(Self::in_memory()),
            created => created,
        }
    }

    /// No directory: what is sorted stays in memory, however much it is.
    pub fn in_memory() -> Self {
        Self { directory: None }
    }

    /// A sort of that name, which keeps `memory_bytes` at most in memory. Each name is taken once.
    pub fn runs<const N: usize>(&self, name: &str, memory_bytes: u64) -> Result<SortedRuns<N>, Error> {
        let Some((disk, path)) = &self.directory else { return Ok(SortedRuns::in_memory()) };
        let directory = path.join(name);
        disk.create_directory(&directory)?;
        Ok(SortedRuns::new(disk.clone(), directory, memory_bytes))
    }

    /// The directory, if there is one.
    pub fn path(&self) -> Option<&Path> {
        self.directory.as_ref().map(|(_, path)| path.as_path())
    }
}

impl Drop for SortDirectory {
    fn drop(&mut self) {
        if let Some((disk, path)) = &self.directory {
            // What stays is scratch: the next attempt, or the system, removes it.
            let _ = remove_tree(&**disk, path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::{InjectedFault, RealDisk, SimulatedDisk};

    #[test]
    fn what_was_left_is_removed_and_nothing_is_left() {
        let simulated = SimulatedDisk::with_directories(&[Path::new("/state/sort/index")]);
        simulated.install_file(Path::new("/state/sort/index/run-000000"), b"old");
        let disk: Arc<dyn Disk> = Arc::new(simulated.clone());
        let sorts = SortDirectory::create(&disk, "/state/sort".into()).unwrap();
        let mut runs = sorts.runs::<4>("index", 8).unwrap();
        (0..100_u32).for_each(|number| runs.push((99 - number).to_be_bytes()).unwrap());
        assert!(simulated.snapshot().len() > 1, "it spills");
        let mut merged = runs.finish().unwrap();
        let sorted: Vec<_> = std::iter::from_fn(|| merged.next().unwrap()).map(u32::from_be_bytes).collect();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
        drop((merged, sorts));
        assert_eq!(disk.kind(Path::new("/state/sort")).unwrap(), None);
    }

    #[test]
    fn a_temporary_place_is_removed() {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let sorts = SortDirectory::temporary(&disk).unwrap();
        let path = sorts.path().unwrap().to_path_buf();
        assert!(path.is_dir());
        drop(sorts);
        assert!(!path.exists());
    }

    #[test]
    fn other_failures_are_not_hidden() {
        let simulated = SimulatedDisk::with_directories(&[&std::env::temp_dir()]);
        simulated.fail_operation(0, InjectedFault::Eio);
        let disk: Arc<dyn Disk> = Arc::new(simulated);
        assert!(SortDirectory::temporary(&disk).is_err());
    }
}
