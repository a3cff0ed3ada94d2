//! A directory that is opened once, and the places of names below it: others may be able to write there, and swap for a
//! link what was a directory a moment before.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, fstat, openat, statat};
use rustix::io::{Errno, retry_on_intr};

use super::removal::{NotRemoved, Removal, remove_tree_at};
use super::steps::open_beneath;
use crate::durable::{Link, StopCheck};

/// A directory that is open.
#[derive(Debug)]
pub(in crate::durable) struct Anchor {
    directory: OwnedFd,
    path: PathBuf,
}

impl Anchor {
    /// Opens the directory.
    pub(in crate::durable) fn open(path: &Path, link: Link) -> io::Result<Self> {
        let follows = match link {
            Link::Followed => OFlags::empty(),
            Link::Refused => OFlags::NOFOLLOW,
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | follows;
        let directory = retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty()))?;
        Ok(Self { directory, path: path.to_path_buf() })
    }

    /// Returns the part of the path below the directory; empty for the directory itself, `None` for a path elsewhere.
    pub(in crate::durable) fn relative<'p>(&self, path: &'p Path) -> Option<&'p Path> {
        // As bytes: this is done for every file that is created, and `Path` would compare name by name.
        let rest = path.as_os_str().as_bytes().strip_prefix(self.path.as_os_str().as_bytes())?;
        match rest {
            [] => Some(Path::new("")),
            [b'/', rest @ ..] => Some(Path::new(std::ffi::OsStr::from_bytes(rest))),
            _ => None,
        }
    }

    fn open_below(&self, relative: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let opened = open_beneath(self.directory.as_fd(), relative, flags, mode);
        match opened {
            // For the system, a link that is the last name is no directory. It must not pass for something that is absent.
            Err(error) if error.raw_os_error() == Some(libc::ENOTDIR) && self.is_link(relative) => {
                Err(Errno::LOOP.into())
            }
            opened => opened,
        }
    }

    fn is_link(&self, relative: &Path) -> bool {
        open_beneath(self.directory.as_fd(), relative, OFlags::PATH, Mode::empty())
            .and_then(|entry| Ok(fstat(&entry)?))
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
    }
}

/// Opens a path: below the anchor from there and without following links, elsewhere as the system does.
pub(in crate::durable) fn open_at(anchor: Option<&Anchor>, path: &Path, flags: OFlags, mode: Mode) -> io::Result<File> {
    let below = anchor.and_then(|anchor| Some((anchor, anchor.relative(path)?)));
    Ok(File::from(match below {
        Some((anchor, relative)) => anchor.open_below(relative, flags, mode)?,
        None => retry_on_intr(|| rustix::fs::open(path, flags | OFlags::CLOEXEC, mode))?,
    }))
}

/// A name in an open directory.
pub(in crate::durable) struct Place<'a> {
    directory: Held<'a>,
    /// The name, or a path if no directory is open.
    pub(in crate::durable) name: &'a Path,
}

enum Held<'a> {
    Cwd,
    Anchor(BorrowedFd<'a>),
    Opened(OwnedFd),
}

impl<'a> Place<'a> {
    /// Returns the place of a path: below the anchor its directory is opened without following links.
    pub(in crate::durable) fn of(anchor: Option<&'a Anchor>, path: &'a Path) -> io::Result<Self> {
        let below = anchor.and_then(|anchor| Some((anchor, anchor.relative(path)?)));
        // The name of the anchor itself is in a directory that is not open.
        let Some((anchor, relative)) = below.filter(|(_, relative)| !relative.as_os_str().is_empty()) else {
            return Ok(Self::plain(path));
        };
        let no_name = || io::Error::new(io::ErrorKind::InvalidInput, "it leads out of the tree");
        let name = Path::new(relative.file_name().ok_or_else(no_name)?);
        let parent = relative.parent().unwrap_or(Path::new(""));
        let directory = match parent.as_os_str().is_empty() {
            true => Held::Anchor(anchor.directory.as_fd()),
            false => {
                let flags = OFlags::PATH | OFlags::DIRECTORY;
                Held::Opened(anchor.open_below(parent, flags, Mode::empty())?)
            }
        };
        Ok(Self { directory, name })
    }

    /// Returns the place of a path as the system finds it.
    pub(in crate::durable) fn plain(path: &'a Path) -> Self {
        Self { directory: Held::Cwd, name: path }
    }

    pub(in crate::durable) fn fd(&self) -> BorrowedFd<'_> {
        match &self.directory {
            Held::Cwd => CWD,
            Held::Anchor(fd) => *fd,
            Held::Opened(fd) => fd.as_fd(),
        }
    }

    /// Opens the file; a link in its place is not followed.
    pub(in crate::durable) fn open(&self, flags: OFlags, mode: Mode) -> io::Result<File> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(retry_on_intr(|| openat(self.fd(), self.name, flags, mode))?))
    }

    /// Looks up what has the name, without following a link.
    pub(in crate::durable) fn stat(&self) -> io::Result<Stat> {
        Ok(statat(self.fd(), self.name, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Removes a directory with everything in it, by descriptors: a link is removed and never followed.
    pub(in crate::durable) fn remove_tree(&self, stop: StopCheck<'_>) -> Result<Removal, NotRemoved> {
        match self.name.file_name() {
            Some(_) => remove_tree_at(self.fd(), self.name, stop),
            None => Err(Errno::INVAL.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests lay out a tree and swap a part of it for a link")]

    use std::fs;
    use std::os::unix::fs::symlink;
    use std::sync::Arc;

    use super::*;
    use crate::durable::contract::disk_contract;
    use crate::durable::{Disk, EntryKind, NEVER, RealDisk, anchored};

    fn disk(path: &Path) -> Arc<dyn Disk> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        anchored(&disk, path).unwrap()
    }

    #[test]
    fn it_is_the_same_disk_below_the_directory_and_elsewhere() {
        let (here, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let disk = disk(here.path());
        disk_contract(&*disk, here.path());
        disk_contract(&*disk, elsewhere.path());
    }

    #[test]
    fn only_whole_names_are_below_and_nothing_leads_out() {
        let place = tempfile::tempdir().unwrap();
        let run = place.path().join("run");
        fs::create_dir(&run).unwrap();
        let anchor = Anchor::open(&run, Link::Refused).unwrap();
        assert_eq!(anchor.relative(&run.join("a/b")), Some(Path::new("a/b")));
        assert_eq!(anchor.relative(&run), Some(Path::new("")));
        assert_eq!(anchor.relative(&place.path().join("run-2/a")), None);
        let disk = disk(&run);
        assert!(disk.write_new_file(&run.join("../out"), b"x").is_err());
        assert!(disk.create_directory(&run.join("../out")).is_err());
        symlink(&run, place.path().join("link")).unwrap();
        let link = place.path().join("link");
        assert!(Anchor::open(&link, Link::Refused).is_err() && Anchor::open(&link, Link::Followed).is_ok());
    }

    /// Everything that could change something, tried below a directory that was swapped for a link.
    #[test]
    fn nothing_is_written_renamed_or_removed_through_a_directory_that_became_a_link() {
        let place = tempfile::tempdir().unwrap();
        let (run, outside) = (place.path().join("run"), place.path().join("outside"));
        for directory in [run.join("staging/objects/ab"), outside.join("ab/cd")] {
            fs::create_dir_all(directory).unwrap();
        }
        fs::write(outside.join("ab/file"), b"kept").unwrap();
        fs::write(run.join("own"), b"own").unwrap();
        let disk = disk(&run);
        fs::rename(run.join("staging/objects"), run.join("moved")).unwrap();
        symlink(&outside, run.join("staging/objects")).unwrap();
        let ab = run.join("staging/objects/ab");
        let (file, new) = (ab.join("file"), ab.join("new"));
        let refused = [
            disk.write_new_file(&new, b"x").err(),
            disk.create_file(&new).err(),
            disk.create_file_like(&new, &run.join("own")).err(),
            disk.open_file(&file).err(),
            disk.open_for_read(&file).err(),
            disk.create_directory(&new).err(),
            disk.sync_directory(&ab).err(),
            disk.rename(&file, &run.join("taken")).err(),
            disk.rename(&run.join("own"), &new).err(),
            disk.rename_exclusive(&run.join("own"), &new).err(),
            disk.exchange(&run.join("own"), &file).err(),
            disk.hard_link(&run.join("own"), &new).err(),
            disk.remove_file(&file).err(),
            disk.remove_directory(&ab.join("cd")).err(),
            disk.remove_directory_tree(&ab, NEVER).err(),
            disk.set_mode(&file, 0o777).err(),
            disk.list(&ab).err(),
            disk.kind(&file).err(),
            disk.kind(&ab).err(),
            disk.root(&ab).err(),
            disk.file_system(&ab).err(),
            disk.try_lock(&file, "owner").err(),
        ];
        for (number, error) in refused.into_iter().enumerate() {
            let error = error.unwrap_or_else(|| panic!("operation {number} was done"));
            assert!(error.source.to_string().contains("a symbolic link is in the way"), "{number}: {}", error.source);
        }
        assert_eq!(fs::read(outside.join("ab/file")).unwrap(), b"kept");
        assert_eq!(fs::read_dir(outside.join("ab")).unwrap().count(), 2);
        assert_eq!(fs::read(run.join("own")).unwrap(), b"own");
        disk.remove_directory_tree(&run.join("staging"), NEVER).unwrap();
        assert!(outside.join("ab/cd").is_dir() && !run.join("staging").exists());
    }

    #[test]
    fn several_directories_may_be_open_and_the_last_one_counts() {
        let place = tempfile::tempdir().unwrap();
        let (store, far) = (place.path().join("store"), place.path().join("far"));
        for directory in [&store, &far, &place.path().join("victim")] {
            fs::create_dir(directory).unwrap();
        }
        let objects = store.join("objects");
        symlink(&far, &objects).unwrap();
        let disk = disk(&store).anchored(&objects, Link::Followed).unwrap().unwrap();
        fs::remove_file(&objects).unwrap();
        symlink("../victim", &objects).unwrap();
        disk.write_new_file(&objects.join("new"), b"x").unwrap();
        disk.write_new_file(&store.join("index"), b"x").unwrap();
        assert!(far.join("new").exists() && store.join("index").exists());
        assert_eq!(fs::read_dir(place.path().join("victim")).unwrap().count(), 0);
    }

    #[test]
    fn what_is_done_stays_in_the_directory_that_was_opened() {
        let place = tempfile::tempdir().unwrap();
        let (run, moved) = (place.path().join("run"), place.path().join("moved"));
        fs::create_dir(&run).unwrap();
        let disk = disk(&run);
        fs::rename(&run, &moved).unwrap();
        symlink("/nowhere", &run).unwrap();
        disk.write_new_file(&run.join("file"), b"x").unwrap();
        assert_eq!(fs::read(moved.join("file")).unwrap(), b"x");
        assert_eq!(disk.kind(&run.join("file")).unwrap(), Some(EntryKind::File));
    }
}
