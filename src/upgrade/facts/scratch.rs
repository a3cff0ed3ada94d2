//! A private directory for copies that are looked at and thrown away.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::durable::{Disk, NewModes, RealDisk, remove_tree, with_modes};
use crate::migration::Error;

/// A directory in the system's place for temporary files, which only this user can read. It is removed when this is
/// dropped.
pub(super) struct Scratch {
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

impl Scratch {
    /// Makes a new one.
    pub fn new() -> Result<Self, Error> {
        let disk: Arc<dyn Disk> = with_modes(&(Arc::new(RealDisk) as Arc<dyn Disk>), NewModes::PRIVATE);
        let path = std::env::temp_dir().join(format!("haul-{}", uuid::Uuid::new_v4()));
        disk.create_directory(&path)?;
        Ok(Self { disk, path })
    }

    /// The disk that creates what only this user can read.
    pub fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays is scratch: the system removes it.
        let _ = remove_tree(&*self.disk, &self.path);
    }
}
