//! Keeps the place of a pass that only reads, so that the pass resumes there after a stop.

use std::path::PathBuf;
use std::sync::Arc;

use bincode::{Decode, Encode};

use super::checkpoint::Kind;
use super::{CheckpointFile, Error, cannot_be_written};
use crate::durable::{Disk, create_directory_durable};

/// The place of a pass that only reads. Losing it costs only time.
pub struct ResumePoint {
    disk: Arc<dyn Disk>,
    file: CheckpointFile,
}

impl ResumePoint {
    /// Returns a place in `directory`, which must exist and be used for nothing else.
    pub fn new(disk: Arc<dyn Disk>, directory: impl Into<PathBuf>, kind: Kind) -> Self {
        Self { disk, file: CheckpointFile::new(directory, kind) }
    }

    /// Returns a place in `directory`, which is created if it is absent; `None` if nothing can be written there.
    pub fn create_if_writable(disk: &Arc<dyn Disk>, directory: PathBuf, kind: Kind) -> Result<Option<Self>, Error> {
        match create_directory_durable(&**disk, &directory).map_err(Error::from) {
            Err(error) if cannot_be_written(&error) => Ok(None),
            created => created.map(|()| Some(Self::new(disk.clone(), directory, kind))),
        }
    }

    /// Returns what was kept last. If it cannot be read, the pass starts over, which is always right: `None`.
    pub fn load<T: Decode<()>>(&self) -> Result<Option<T>, Error> {
        match self.file.load(&*self.disk) {
            Err(Error::State { .. }) => Ok(None),
            state => state,
        }
    }

    /// Stores `state` durably.
    pub fn store<T: Encode>(&self, state: &T) -> Result<(), Error> {
        self.file.store(&*self.disk, state)
    }

    /// Removes what was stored.
    pub fn forget(&self) -> Result<(), Error> {
        self.file.remove(&*self.disk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migration::test_disk::{disk, put};

    const KIND: Kind = Kind { tag: *b"probe\0\0\0", restart: "probe again" };

    fn place(disk: &Arc<dyn Disk>) -> ResumePoint {
        ResumePoint::create_if_writable(disk, "/space/verify".into(), KIND).unwrap().unwrap()
    }

    #[test]
    fn what_is_kept_is_there_until_it_is_forgotten() {
        let disk: Arc<dyn Disk> = Arc::new(disk());
        assert_eq!(place(&disk).load::<u64>().unwrap(), None);
        place(&disk).store(&7_u64).unwrap();
        assert_eq!(place(&disk).load::<u64>().unwrap(), Some(7));
        place(&disk).forget().unwrap();
        assert_eq!(place(&disk).load::<u64>().unwrap(), None);
    }

    #[test]
    fn what_cannot_be_read_is_nothing_and_is_replaced() {
        let simulated = disk();
        let disk: Arc<dyn Disk> = Arc::new(simulated.clone());
        let place = place(&disk);
        put(&simulated, &place.file.path(), b"rubbish");
        assert_eq!(place.load::<u64>().unwrap(), None);
        place.store(&7_u64).unwrap();
        assert_eq!(place.load::<u64>().unwrap(), Some(7));
    }
}
