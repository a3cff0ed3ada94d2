//! The disk of this computer, with the system calls of Linux and a limit on the permissions of what is created.

#![allow(clippy::disallowed_methods, reason = "this file is where the writing happens")]

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, Stat, chmodat, linkat, mkdirat, renameat, renameat_with, unlinkat,
};

use super::attributes::MODE_BITS;
use super::beneath::{Anchor, NotRemoved, Place, Removal, open_at};
use super::file_systems::{RealFile, RealFileSystem, write_at_once};
use super::locks::lock_file;
use super::new_modes::NewModes;
use super::real_root::{RealRoot, visit_names, without_loop};
use super::regular_file::{check_regular, not_regular};
use super::sync_time::timed;
use super::{
    AttributesNotKept, ClaimTimes, CopyMeans, CopyMethod, Disk, DiskEntry, DiskError, DiskFile, DiskFileSystem,
    DiskRoot, EntryKind, Link, LockGuard, LockReach, SourceFile, SourceNameKind, StopCheck, copy, copy_attributes,
    file_systems, mount_of, stop,
};

/// A claim is read back after a time in which it reaches every host, and relied on for a much shorter one.
const CLAIM_TIMES: ClaimTimes = ClaimTimes { settle: Duration::from_secs(1), relied_on: Duration::from_millis(250) };

/// The disk of this computer with a limit, and perhaps directories below which no link is followed. The files of a
/// [`DiskRoot`] have explicit permissions, which are kept.
#[derive(Debug, Clone)]
pub(super) struct LimitedDisk {
    pub(super) modes: NewModes,
    pub(super) anchors: Vec<Arc<Anchor>>,
}

/// Returns the disk with this limit on what it creates. A disk without permissions of its own stays as it is.
pub fn with_modes(disk: &Arc<dyn Disk>, modes: NewModes) -> Arc<dyn Disk> {
    disk.limited(modes).unwrap_or_else(|| disk.clone())
}

/// Returns the disk with this directory opened, so that nothing below it is reached through a link. A disk without links
/// stays as it is.
pub fn anchored(disk: &Arc<dyn Disk>, directory: &Path) -> Result<Arc<dyn Disk>, DiskError> {
    Ok(disk.anchored(directory, Link::Refused)?.unwrap_or_else(|| disk.clone()))
}

/// Returns what names the operation and the path in an error of the system.
fn failed<E: Into<io::Error>>(operation: &'static str, path: &Path) -> impl FnOnce(E) -> DiskError {
    move |error| DiskError::new(operation, path, without_loop(error.into()))
}

impl LimitedDisk {
    /// Returns the open directory that the path is in or below. The one that was opened last may be in another of them.
    fn anchor(&self, path: &Path) -> Option<&Anchor> {
        let of_path = |anchor: &&Arc<Anchor>| anchor.relative(path).is_some();
        self.anchors.iter().rev().find(of_path).map(|anchor| &**anchor)
    }

    fn open_at(&self, path: &Path, flags: OFlags) -> io::Result<File> {
        open_at(self.anchor(path), path, flags, Mode::empty())
    }

    /// Creates a file with its permissions and its owner.
    fn create_at(&self, operation: &'static str, path: &Path, flags: OFlags) -> Result<File, DiskError> {
        stop::opened();
        let mode = Mode::from_raw_mode(self.modes.new_file());
        let file = open_at(self.anchor(path), path, flags | NEW, mode).map_err(failed(operation, path))?;
        self.modes.apply(file.as_fd()).map_err(failed("set the owner of", path))?;
        Ok(file)
    }

    fn open_directory(&self, path: &Path) -> io::Result<File> {
        self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    fn place<'a>(&'a self, path: &'a Path) -> io::Result<Place<'a>> {
        Place::of(self.anchor(path), path)
    }

    fn open(&self, operation: &'static str, path: &Path, flags: OFlags) -> Result<Arc<dyn DiskFile>, DiskError> {
        stop::opened();
        let file = check_regular(self.open_at(path, flags | EXISTING)).map_err(failed(operation, path))?;
        Ok(RealFile::shared(file, path))
    }

    /// Calls a function of two names with their places.
    fn between(
        &self,
        from: &Path,
        to: &Path,
        body: impl FnOnce(&Place<'_>, &Place<'_>) -> rustix::io::Result<()>,
    ) -> io::Result<()> {
        stop::opened();
        Ok(body(&self.place(from)?, &self.place(to)?)?)
    }

    fn list_entries(&self, path: &Path) -> io::Result<Vec<DiskEntry>> {
        let mut entries = Vec::new();
        visit_names(self.open_directory(path)?.as_fd(), &mut |name, kind| {
            let kind = match kind {
                SourceNameKind::File => EntryKind::File,
                SourceNameKind::Directory => EntryKind::Directory,
                SourceNameKind::Link | SourceNameKind::Other => EntryKind::Other,
            };
            entries.push(DiskEntry { name: name.to_owned(), kind });
        })?;
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn file_mode(&self, path: &Path) -> io::Result<u32> {
        let stat = self.place(path)?.stat()?;
        match kind_of(&stat) {
            EntryKind::File => Ok(stat.st_mode & MODE_BITS),
            EntryKind::Directory => Err(io::ErrorKind::IsADirectory.into()),
            EntryKind::Other => Err(not_regular()),
        }
    }
}

/// Without `NONBLOCK`, opening a pipe would wait for its other end.
const EXISTING: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK);
const NEW: OFlags = OFlags::CREATE.union(OFlags::EXCL);

impl Disk for LimitedDisk {
    fn limited(&self, modes: NewModes) -> Option<Arc<dyn Disk>> {
        Some(Arc::new(Self { modes: self.modes.and(modes), anchors: self.anchors.clone() }))
    }

    fn anchored(&self, directory: &Path, link: Link) -> Result<Option<Arc<dyn Disk>>, DiskError> {
        let anchor = Anchor::open(directory, link).map_err(failed("open directory", directory))?;
        let anchors = self.anchors.iter().cloned().chain([Arc::new(anchor)]).collect();
        Ok(Some(Arc::new(Self { modes: self.modes, anchors })))
    }

    fn create_file(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        Ok(RealFile::shared(self.create_at("create file", path, OFlags::RDWR)?, path))
    }

    fn create_file_like(&self, path: &Path, like: &Path) -> Result<(Arc<dyn DiskFile>, AttributesNotKept), DiskError> {
        let original = check_regular(self.open_at(like, OFlags::RDONLY | EXISTING));
        let original = original.map_err(failed("read the attributes of", like))?;
        // Until it has the attributes, nobody else may open it.
        let private = Mode::RUSR | Mode::WUSR;
        let file = open_at(self.anchor(path), path, OFlags::RDWR | NEW, private);
        let file = file.map_err(failed("create file", path))?;
        match copy_attributes(original.as_fd(), file.as_fd()) {
            Ok(not_kept) => Ok((RealFile::shared(file, path), not_kept)),
            Err(error) => {
                // This process has just created it. The first error is the one to report.
                let _ = self.remove_file(path);
                Err(DiskError::new("set the attributes of", path, error))
            }
        }
    }

    // Three calls, open, write and close, because there may be millions of such files.
    fn write_new_file(&self, path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
        stop::written(bytes.len());
        let file = self.create_at("write new file", path, OFlags::WRONLY)?;
        write_at_once(file, bytes).map_err(failed("write new file", path))
    }

    fn copy_new_file(
        &self,
        source: &SourceFile,
        target: &Path,
        means: CopyMeans,
        stop: StopCheck<'_>,
    ) -> Result<CopyMethod, DiskError> {
        let file = self.create_at("create file", target, OFlags::WRONLY)?;
        copy::copy_to_new_file(source, (&file, target), means, stop)
    }

    fn can_reflink(&self, source: &SourceFile, directory: &Path) -> Result<bool, DiskError> {
        copy::can_reflink(source, directory)
    }

    fn open_file(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        self.open("open file", path, OFlags::RDWR)
    }

    fn open_for_read(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        self.open("open file for reading", path, OFlags::RDONLY)
    }

    fn create_directory(&self, path: &Path) -> Result<(), DiskError> {
        let place = self.place(path).map_err(failed("create directory", path))?;
        let mode = Mode::from_raw_mode(self.modes.new_directory());
        mkdirat(place.fd(), place.name, mode).map_err(failed("create directory", path))?;
        if !self.modes.is_more_than_a_limit() {
            return Ok(());
        }
        place
            .open(OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
            .and_then(|directory| Ok(self.modes.apply_to_directory(directory.as_fd())?))
            .map_err(failed("set the owner of", path))
    }

    fn sync_directory(&self, path: &Path) -> Result<(), DiskError> {
        self.open_directory(path)
            .and_then(|directory| timed(|| directory.sync_all()))
            .map_err(failed("sync directory", path))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        self.between(from, to, |from, to| renameat(from.fd(), from.name, to.fd(), to.name))
            .map_err(failed("rename", from))
    }

    fn rename_exclusive(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        self.between(from, to, |a, b| renameat_with(a.fd(), a.name, b.fd(), b.name, RenameFlags::NOREPLACE))
            .map_err(failed("rename without replacing", from))
    }

    fn exchange(&self, a: &Path, b: &Path) -> Result<(), DiskError> {
        self.between(a, b, |a, b| renameat_with(a.fd(), a.name, b.fd(), b.name, RenameFlags::EXCHANGE))
            .map_err(failed("exchange", a))
    }

    fn hard_link(&self, source: &Path, target: &Path) -> Result<(), DiskError> {
        self.between(source, target, |a, b| linkat(a.fd(), a.name, b.fd(), b.name, AtFlags::empty()))
            .map_err(failed("create hard link", target))
    }

    fn remove_file(&self, path: &Path) -> Result<(), DiskError> {
        stop::opened();
        self.place(path)
            .and_then(|place| Ok(unlinkat(place.fd(), place.name, AtFlags::empty())?))
            .map_err(failed("remove file", path))
    }

    fn remove_directory_tree(&self, path: &Path, stop: StopCheck<'_>) -> Result<(), DiskError> {
        let place = self.place(path).map_err(failed("remove directory tree", path))?;
        match place.remove_tree(stop) {
            Ok(Removal::Complete) => Ok(()),
            Ok(Removal::Stopped) => Err(DiskError::stopped("remove", path)),
            Err(NotRemoved { entry, error }) if entry.as_os_str().is_empty() => {
                Err(DiskError::new("remove directory tree", path, error.into()))
            }
            Err(NotRemoved { entry, error }) => Err(DiskError::new("remove", &path.join(entry), error.into())),
        }
    }

    fn remove_directory(&self, path: &Path) -> Result<(), DiskError> {
        self.place(path)
            .and_then(|place| Ok(unlinkat(place.fd(), place.name, AtFlags::REMOVEDIR)?))
            .map_err(failed("remove directory", path))
    }

    fn list(&self, path: &Path) -> Result<Vec<DiskEntry>, DiskError> {
        self.list_entries(path).map_err(failed("list directory", path))
    }

    fn kind(&self, path: &Path) -> Result<Option<EntryKind>, DiskError> {
        match self.place(path).and_then(|place| place.stat()) {
            Ok(stat) => Ok(Some(kind_of(&stat))),
            // A path below a regular file does not exist either.
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(e) => Err(failed("look up", path)(e)),
        }
    }

    fn mode(&self, path: &Path) -> Result<u32, DiskError> {
        self.file_mode(path).map_err(failed("look up the mode of", path))
    }

    fn set_mode(&self, path: &Path, mode: u32) -> Result<(), DiskError> {
        // The system call would follow a link, so the kind is checked first.
        self.file_mode(path)
            .and_then(|_| self.place(path))
            .and_then(|place| {
                Ok(chmodat(place.fd(), place.name, Mode::from_raw_mode(mode & MODE_BITS), AtFlags::empty())?)
            })
            .map_err(failed("set the mode of", path))
    }

    fn file_system(&self, path: &Path) -> Result<Arc<dyn DiskFileSystem>, DiskError> {
        let directory = self.open_directory(path).map_err(failed("open the file system of", path))?;
        Ok(Arc::new(RealFileSystem::of(directory, path)))
    }

    fn root(&self, path: &Path) -> Result<Arc<dyn DiskRoot>, DiskError> {
        let directory = self.open_directory(path).map_err(failed("open directory", path))?;
        Ok(Arc::new(RealRoot::of(directory.into(), path)))
    }

    fn can_rename_between(&self, a: &Path, b: &Path) -> Result<bool, DiskError> {
        Ok(mount_of(a)? == mount_of(b)?)
    }

    fn free_bytes(&self, path: &Path) -> Result<u64, DiskError> {
        let status = rustix::fs::statvfs(path).map_err(failed("measure free space at", path))?;
        Ok(status.f_bavail.saturating_mul(status.f_frsize))
    }

    fn free_inodes(&self, path: &Path) -> Result<Option<u64>, DiskError> {
        let status = rustix::fs::statvfs(path).map_err(failed("count free inodes at", path))?;
        // File systems that create inodes on demand report 0 of 0.
        Ok((status.f_files > 0).then_some(status.f_favail))
    }

    fn lock_reach(&self, directory: &Path) -> Result<LockReach, DiskError> {
        let opened = self.open_at(directory, OFlags::PATH | OFlags::DIRECTORY);
        let opened = opened.map_err(failed("look up the file system of", directory))?;
        let reaches = file_systems::locks_reach_every_host(&opened);
        Ok(if reaches { LockReach::EveryHost } else { LockReach::ThisHost(CLAIM_TIMES) })
    }

    fn try_lock(&self, path: &Path, owner: &str) -> Result<Result<LockGuard, String>, DiskError> {
        self.place(path).and_then(|place| lock_file(&place, owner, self.modes)).map_err(failed("lock", path))
    }
}

fn kind_of(stat: &Stat) -> EntryKind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => EntryKind::File,
        FileType::Directory => EntryKind::Directory,
        _ => EntryKind::Other,
    }
}

#[cfg(test)]
mod tests {

    use std::fs;

    use rustix::fs::CWD;

    use super::*;
    use crate::durable::contract::disk_contract;
    use crate::durable::{NEVER, RealDisk};

    #[test]
    #[ignore = "needs a RAM disk at /dev/shm"]
    fn nothing_is_allocated_ahead_on_a_ram_disk() {
        use std::os::unix::fs::MetadataExt;
        let shared_memory = Path::new("/dev/shm");
        let is_ram_disk = File::open(shared_memory).is_ok_and(|directory| file_systems::is_ram_disk(&directory));
        assert!(is_ram_disk, "/dev/shm is no RAM disk");
        let directory = tempfile::tempdir_in(shared_memory).unwrap();
        let path = directory.path().join("ahead");
        RealDisk.create_file(&path).unwrap().preallocate(0, 1 << 20).unwrap();
        let status = fs::metadata(&path).unwrap();
        assert_eq!((status.len(), status.blocks()), (0, 0));
    }

    #[test]
    fn keeps_the_contract() {
        let directory = tempfile::tempdir().unwrap();
        disk_contract(&RealDisk, directory.path());
    }

    #[test]
    fn preallocation_keeps_the_length() {
        let directory = tempfile::tempdir().unwrap();
        let file = RealDisk.create_file(&directory.path().join("file")).unwrap();
        file.preallocate(0, 1 << 20).unwrap();
        file.preallocate(0, 0).unwrap();
        assert!(file.is_empty().unwrap());
    }

    #[test]
    fn links_are_neither_files_nor_directories() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        assert_eq!(RealDisk.kind(&link).unwrap(), Some(EntryKind::Other));
        assert_eq!(RealDisk.mode(&link).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(RealDisk.set_mode(&link, 0o600).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        // The link itself gets a second name, so its missing target does not matter.
        RealDisk.hard_link(&link, &directory.path().join("name")).unwrap();
        assert_eq!(RealDisk.kind(&directory.path().join("name")).unwrap(), Some(EntryKind::Other));
        assert_eq!(RealDisk.list(directory.path()).unwrap()[0].kind, EntryKind::Other);
    }

    #[test]
    fn only_regular_files_are_opened_and_nothing_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let (kept, link, pipe) =
            (directory.path().join("kept"), directory.path().join("link"), directory.path().join("pipe"));
        fs::write(&kept, b"kept").unwrap();
        std::os::unix::fs::symlink(&kept, &link).unwrap();
        rustix::fs::mkfifoat(CWD, &pipe, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
        for path in [&link, &pipe, Path::new("/dev/null")] {
            let errors = [
                RealDisk.open_file(path).err(),
                RealDisk.open_for_read(path).err(),
                RealDisk.try_lock(path, "owner").err(),
            ];
            for error in errors {
                assert_eq!(error.expect("refused").kind(), io::ErrorKind::InvalidInput, "{}", path.display());
            }
        }
        assert_eq!(fs::read(&kept).unwrap(), b"kept");
        assert_eq!(RealDisk.try_lock(directory.path(), "owner").unwrap_err().kind(), io::ErrorKind::IsADirectory);
    }

    #[test]
    fn a_link_in_the_place_of_a_tree_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let (kept, tree) = (directory.path().join("kept"), directory.path().join("tree"));
        fs::create_dir_all(kept.join("sub")).unwrap();
        fs::write(kept.join("sub/file"), b"kept").unwrap();
        fs::create_dir(&tree).unwrap();
        std::os::unix::fs::symlink(kept.join("sub"), tree.join("swapped")).unwrap();
        RealDisk.remove_directory_tree(&tree, NEVER).unwrap();
        // What another process may do between a look at the name and the removal.
        std::os::unix::fs::symlink(&kept, &tree).unwrap();
        let _ = RealDisk.remove_directory_tree(&tree, NEVER);
        assert_eq!(fs::read(kept.join("sub/file")).unwrap(), b"kept");
    }

    #[test]
    fn free_space_is_reported() {
        assert!(RealDisk.free_bytes(&std::env::temp_dir()).unwrap() > 0);
        assert!(RealDisk.free_bytes(Path::new("/nowhere/at/all")).is_err());
        assert_ne!(RealDisk.free_inodes(&std::env::temp_dir()).unwrap(), Some(0));
        assert!(RealDisk.free_inodes(Path::new("/nowhere/at/all")).is_err());
    }
}
