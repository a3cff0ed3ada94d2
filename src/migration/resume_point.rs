//! Where a reading keeps its place, so that it goes on there after a stop.

use std::path::PathBuf;
use std::sync::Arc;

use bincode::{Decode, Encode};

use super::checkpoint::Kind;
use super::{CheckpointFile, Error, cannot_be_written};
use crate::durable::{Disk, create_directory_durable};

/// The place of something that only reads: to lose it costs time and nothing else.
pub struct ResumePoint {
    disk: Arc<dyn Disk>,
    file: CheckpointFile,
}

impl ResumePoint {
    /// In `directory`, which must exist and belong to it alone.
    pub fn new(disk: Arc<dyn Disk>, directory: impl Into<PathBuf>, kind: Kind) -> Self {
        Self { disk, file: CheckpointFile::new(directory, kind) }
    }

    /// In `directory`, which is made if it is absent; `None` where that cannot be written.
    pub fn create_if_writable(disk: &Arc<dyn Disk>, directory: PathBuf, kind: Kind) -> Result<Option<Self>, Error> {
        match create_directory_durable(&**disk, &directory).map_err(Error::from) {
            Err(error) if cannot_be_written(&error) => Ok(None),
            created => created.map(|()| Some(Self::new(disk.clone(), directory, kind))),
        }
    }

    /// What was kept last. What cannot be read is taken for nothing: to begin anew is right in any case.
    pub fn load<T: Decode<()>>(&self) -> Result<Option<T>, Error> {
        match self.file.load(&*self.disk) {
            Err(Error::State { .. }) => Ok(None),
            state => state,
        }
    }

    /// Keeps `state`, durably.
    pub fn store<T: Encode>(&self, state: &T) -> Result<(), Error> {
        self.file.store(&*self.disk, state)
    }

    /// Keeps nothing any more.
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
