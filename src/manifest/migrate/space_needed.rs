//! The space that new files need, on each file system that they are written to.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::evaluate::BLOCK_BYTES;
use crate::durable::{DiskError, FreeSpace, ReadRoot};
use crate::migration::plan::escape_name;

/// What the new files on one file system need, and what it has left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileSystemNeeds {
    /// A directory of the file system, relative to the root.
    pub directory: String,
    /// Bytes that are needed, about.
    pub bytes_needed: u64,
    /// Bytes that this user has left.
    pub bytes_available: u64,
    /// Files that are created; each takes an inode.
    pub inodes_needed: u64,
    /// Files that may still be created; `None` if there is no limit.
    pub inodes_available: Option<u64>,
}

impl FileSystemNeeds {
    /// Returns true if there are enough bytes and inodes.
    pub fn fits(&self) -> bool {
        self.bytes_needed <= self.bytes_available && self.has_inodes()
    }

    /// Returns true if there are enough inodes.
    pub fn has_inodes(&self) -> bool {
        self.inodes_available.is_none_or(|available| self.inodes_needed <= available)
    }
}

/// The sums of what new files need, by the number of their file system.
#[derive(Debug, Default)]
pub struct SpaceNeeded(BTreeMap<u64, Needed>);

/// What new files need, on whatever file systems they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NeededSums {
    /// Bytes, in whole blocks.
    pub bytes: u64,
    /// Files that are created.
    pub inodes: u64,
    /// Files that get a second name.
    pub links: u64,
}

#[derive(Debug, Default)]
struct Needed {
    directory: PathBuf,
    bytes: u64,
    inodes: u64,
    /// Files that get a second name.
    links: u64,
}

impl SpaceNeeded {
    /// Adds what the replacement of `file`, which is on the given file system, needs: a new file of this length, and a
    /// backup, which is a second name of the old file unless it is a copy.
    pub fn add(&mut self, file: &Path, file_system: u64, len_bytes: u64, copies: bool) {
        let files = if copies { 2 } else { 1 };
        let directory = || file.parent().unwrap_or(Path::new("")).to_path_buf();
        let needed =
            self.0.entry(file_system).or_insert_with(|| Needed { directory: directory(), ..Needed::default() });
        needed.bytes += len_bytes.next_multiple_of(BLOCK_BYTES) * files;
        needed.inodes += files;
        needed.links += u64::from(!copies);
    }

    /// Adds the sums of other files.
    pub fn merge(&mut self, other: Self) {
        for (file_system, Needed { directory, bytes, inodes, links }) in other.0 {
            let needed = self.0.entry(file_system).or_insert_with(|| Needed { directory, ..Needed::default() });
            needed.bytes += bytes;
            needed.inodes += inodes;
            needed.links += links;
        }
    }

    /// Returns the sums over all file systems.
    pub fn sums(&self) -> NeededSums {
        let add = |sums: NeededSums, needed: &Needed| NeededSums {
            bytes: sums.bytes + needed.bytes,
            inodes: sums.inodes + needed.inodes,
            links: sums.links + needed.links,
        };
        self.0.values().fold(NeededSums::default(), add)
    }

    /// Measures what each file system has left.
    pub fn measure(&self, root: &dyn ReadRoot) -> Result<Vec<FileSystemNeeds>, DiskError> {
        let measure = |needed: &Needed| {
            let FreeSpace { bytes, inodes, names_take_inodes } = match root.free_space(&needed.directory) {
                // The directory was removed after it was read, for example with an old run.
                Err(error) if error.kind() == ErrorKind::NotFound => root.free_space(Path::new(""))?,
                measured => measured?,
            };
            Ok(FileSystemNeeds {
                directory: escape_name(needed.directory.as_os_str()),
                bytes_needed: needed.bytes,
                bytes_available: bytes,
                inodes_needed: needed.inodes + if names_take_inodes { needed.links } else { 0 },
                inodes_available: inodes,
            })
        };
        self.0.values().map(measure).collect()
    }
}

/// Returns the bytes needed in total, and the bytes that are left where the least remains; of the root if nothing is
/// needed.
pub fn bytes_needed_and_available(
    file_systems: &[FileSystemNeeds],
    root: &dyn ReadRoot,
) -> Result<(u64, u64), DiskError> {
    let needed = file_systems.iter().map(|needs| needs.bytes_needed).sum();
    let remaining = |needs: &&FileSystemNeeds| i128::from(needs.bytes_available) - i128::from(needs.bytes_needed);
    match file_systems.iter().min_by_key(remaining) {
        Some(tightest) => Ok((needed, tightest.bytes_available)),
        None => Ok((needed, root.free_space(Path::new(""))?.bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::{Disk, SimulatedDisk};

    #[test]
    fn each_file_system_is_measured_where_files_are_written() {
        let disk = SimulatedDisk::new();
        for file in ["/app/artifacts/a/1/manifest.json", "/app/artifacts/b/1/manifest.json"] {
            disk.install_file(Path::new(file), b"{}");
        }
        disk.mount(Path::new("/app/artifacts/b"));
        disk.set_capacity(5000);
        disk.set_capacity_at(Path::new("/app/artifacts/b"), 9000);
        let root = disk.root(Path::new("/app")).unwrap();
        let mut needed = SpaceNeeded::default();
        for (job, len_bytes, copies) in [("a", 1, false), ("b", 5000, false), ("b", 1, true)] {
            let file = PathBuf::from(format!("artifacts/{job}/1/manifest.json"));
            let state = root.file_state(&file).unwrap().unwrap();
            let mut of_batch = SpaceNeeded::default();
            of_batch.add(&file, state.file_system, len_bytes, copies);
            needed.merge(of_batch);
        }
        let measured = needed.measure(&*root).unwrap();
        let found: Vec<_> = measured.iter().map(|fs| (&*fs.directory, fs.bytes_needed, fs.bytes_available)).collect();
        assert_eq!(found, [("artifacts/a/1", 4096, 4998), ("artifacts/b/1", 4 * 4096, 8998)]);
        assert_eq!(measured.iter().map(FileSystemNeeds::fits).collect::<Vec<_>>(), [true, false]);
        assert_eq!(measured[1].inodes_needed, 3);
        assert_eq!(bytes_needed_and_available(&measured, &*root).unwrap(), (5 * 4096, 8998));
        assert_eq!(bytes_needed_and_available(&[], &*root).unwrap(), (0, 4998));
    }

    #[test]
    fn inodes_are_asked_for_like_bytes() {
        let needs = |inodes_available| FileSystemNeeds {
            directory: String::new(),
            bytes_needed: 1,
            bytes_available: 1,
            inodes_needed: 2,
            inodes_available,
        };
        assert!(needs(None).fits() && needs(Some(2)).fits() && !needs(Some(1)).fits());
    }
}
