//! The permissions and the owner of what is created: never more access than what it is made from gives, and the owner of
//! the store that it is added to.

use std::fs;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{Gid, Mode, Uid, fchmod, fchown};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid, getgroups};

use super::DiskError;

/// Reading and writing, for the group and for others.
const SHARED_BITS: u32 = 0o066;
/// New entries of a directory with this bit get its group.
const SET_GROUP: u32 = 0o2000;

/// The owner that new files and directories get instead of this process's user and group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NewOwner {
    /// The number of the user.
    pub user: Option<u32>,
    /// The number of the group.
    pub group: Option<u32>,
    /// Whether it is an error if the system refuses it.
    pub is_required: bool,
}

impl NewOwner {
    /// Returns the owner of an existing path, links followed.
    pub fn of(path: &Path) -> Result<Self, DiskError> {
        let metadata = fs::metadata(path).map_err(|e| DiskError::new("look up the owner of", path, e))?;
        Ok(Self { user: Some(metadata.uid()), group: Some(metadata.gid()), is_required: false })
    }

    /// Returns what this process may not set, as far as its user and groups show.
    pub fn refused(self) -> Self {
        let is_root = geteuid().is_root();
        let own_groups = getgroups().unwrap_or_default();
        let is_own = |group: u32| getegid().as_raw() == group || own_groups.contains(&Gid::from_raw(group));
        Self {
            user: self.user.filter(|&user| !is_root && user != geteuid().as_raw()),
            group: self.group.filter(|&group| !is_root && !is_own(group)),
            ..self
        }
    }

    /// Returns the words for it: `user 1000, group 1000`.
    pub fn text(self) -> String {
        let user = self.user.map(|user| format!("user {user}"));
        let group = self.group.map(|group| format!("group {group}"));
        user.into_iter().chain(group).collect::<Vec<_>>().join(", ")
    }

    /// Returns true if it names neither a user nor a group.
    pub fn is_empty(self) -> bool {
        self.user.is_none() && self.group.is_none()
    }

    fn without(self, other: Self) -> Self {
        Self {
            user: self.user.filter(|_| other.user.is_none()),
            group: self.group.filter(|_| other.group.is_none()),
            ..self
        }
    }

    /// Returns true if new files have this owner without any doing.
    fn is_of_process(self) -> bool {
        self.user.is_none_or(|user| user == geteuid().as_raw())
            && self.group.is_none_or(|group| group == getegid().as_raw())
    }

    fn apply(self, file: BorrowedFd<'_>) -> Result<(), Errno> {
        match fchown(file, self.user.map(Uid::from_raw), self.group.map(Gid::from_raw)) {
            // In a container, the number may mean nobody.
            Err(Errno::PERM | Errno::INVAL) if !self.is_required => Ok(()),
            result => result,
        }
    }
}

/// The permissions that new files and directories have at most, and their owner. The mask of the process takes its own
/// bits away besides, unless the bits are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewModes {
    /// Those of [`SHARED_BITS`] that are allowed.
    shared: u32,
    /// The owner, if it is not the process's own.
    owner: Option<NewOwner>,
    /// The bits of a file and of a directory, within what is allowed.
    bits: Option<(u32, u32)>,
}

impl NewModes {
    /// Whatever the mask of the process leaves.
    pub const ANY: Self = Self { shared: SHARED_BITS, owner: None, bits: None };

    /// Sets the owner.
    pub fn owned_by(self, owner: NewOwner) -> Self {
        Self { owner: (!owner.is_of_process()).then_some(owner), ..self }
    }

    /// Takes owner and bits, as far as this process may set them, from a directory and a file of the store that is added
    /// to. What does not exist is no model.
    pub fn like(self, directory: &Path, file: &Path) -> Self {
        let (Ok(of_directory), of_file) = (fs::metadata(directory), fs::metadata(file).ok()) else { return self };
        let owner = NewOwner { user: Some(of_directory.uid()), group: Some(of_directory.gid()), is_required: false };
        let bits = of_directory.mode();
        let file_bits = of_file.map_or(bits & 0o666, |of_file| of_file.mode() & 0o666);
        Self { bits: Some((file_bits, bits & (0o777 | SET_GROUP))), ..self }.owned_by(owner.without(owner.refused()))
    }

    /// Nothing for anybody but the owner.
    pub const PRIVATE: Self = Self { shared: 0, owner: None, bits: None };

    /// Returns what a file with these permission bits grants.
    pub fn of_file(mode: u32) -> Self {
        Self { shared: mode & SHARED_BITS, ..Self::ANY }
    }

    /// Returns the permission bits without those that this does not grant.
    pub fn narrowed(self, mode: u32) -> u32 {
        let fine = self.shared | (self.shared >> 1 | self.shared >> 2) & 0o011;
        mode & (0o7700 | fine)
    }

    /// Returns what all of these source paths grant, links followed: a file what its bits say, a directory everything
    /// to those who may enter it.
    pub fn of_sources<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Self, DiskError> {
        paths.into_iter().try_fold(Self::ANY, |modes, path| Ok(modes.and(Self::of_source(path.as_ref())?)))
    }

    fn of_source(path: &Path) -> Result<Self, DiskError> {
        let metadata = fs::metadata(path).map_err(|e| DiskError::new("look up the mode of", path, e))?;
        let mode = metadata.permissions().mode();
        if !metadata.is_dir() {
            return Ok(Self::of_file(mode));
        }
        let granted = |enter: u32| if mode & enter == 0 { 0 } else { enter * 6 };
        Ok(Self { shared: granted(0o010) | granted(0o001), ..Self::ANY })
    }

    /// Returns what both grant, for the owner and with the bits of the second, if it has them.
    pub fn and(self, other: Self) -> Self {
        Self { shared: self.shared & other.shared, owner: other.owner.or(self.owner), bits: other.bits.or(self.bits) }
    }

    /// Gives a file that was just created its owner and its bits.
    pub(super) fn apply(self, file: BorrowedFd<'_>) -> Result<(), Errno> {
        self.settle(file, self.bits.map(|(file, _)| file & (self.file() | self.writing())))
    }

    /// Does the same for a directory.
    pub(super) fn apply_to_directory(self, directory: BorrowedFd<'_>) -> Result<(), Errno> {
        self.settle(
            directory,
            self.bits.map(|(_, directory)| directory & (self.directory() | self.writing() | SET_GROUP)),
        )
    }

    /// Returns true if new entries get something that the system does not give them.
    pub(super) fn is_more_than_a_limit(self) -> bool {
        self.owner.is_some() || self.bits.is_some()
    }

    /// The bits of writing for those who may read: who may not see more by it may change what the store lets them change.
    fn writing(self) -> u32 {
        self.shared >> 1 & 0o022
    }

    /// The bits come last, because a change of owner takes some away.
    fn settle(self, entry: BorrowedFd<'_>, bits: Option<u32>) -> Result<(), Errno> {
        if let Some(owner) = self.owner {
            owner.apply(entry)?;
        }
        bits.map_or(Ok(()), |bits| fchmod(entry, Mode::from_raw_mode(bits)))
    }

    /// The bits of a new file.
    pub(super) fn file(self) -> u32 {
        0o600 | self.shared
    }

    /// The bits of a new directory: who may read or write what is in it may enter it.
    pub(super) fn directory(self) -> u32 {
        0o700 | self.shared | (self.shared >> 1 | self.shared >> 2) & 0o011
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests lay out a source")]

    use super::*;

    fn bits(modes: NewModes) -> (u32, u32) {
        (modes.file(), modes.directory())
    }

    #[test]
    fn nobody_gets_more_than_from_every_source() {
        let place = tempfile::tempdir().unwrap();
        let of = |modes: &[u32], directory: u32| {
            let directory_path = place.path().join("d");
            fs::create_dir_all(&directory_path).unwrap();
            let files: Vec<_> = modes.iter().map(|mode| directory_path.join(format!("{mode:o}"))).collect();
            for (file, mode) in files.iter().zip(modes) {
                fs::write(file, b"").unwrap();
                fs::set_permissions(file, fs::Permissions::from_mode(*mode)).unwrap();
            }
            fs::set_permissions(&directory_path, fs::Permissions::from_mode(directory)).unwrap();
            bits(NewModes::of_sources(files.iter().chain([&directory_path])).unwrap())
        };
        assert_eq!(of(&[0o644], 0o755), (0o644, 0o755));
        assert_eq!(of(&[0o600, 0o644], 0o755), (0o600, 0o700));
        assert_eq!(of(&[0o640], 0o755), (0o640, 0o750));
        assert_eq!(of(&[0o664], 0o750), (0o660, 0o770));
        assert_eq!(of(&[0o444], 0o700), (0o600, 0o700));
        assert_eq!(of(&[0o440, 0o404], 0o711), (0o600, 0o700));
        assert_eq!(bits(NewModes::ANY), (0o666, 0o777));
        assert_eq!(bits(NewModes::PRIVATE), (0o600, 0o700));
        assert_eq!(NewModes::of_file(0o640).narrowed(0o664), 0o640);
        assert_eq!(NewModes::ANY.narrowed(0o4755), 0o4755);
    }

    #[test]
    fn a_store_that_is_added_to_is_the_model_within_what_the_source_grants() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("index");
        fs::write(&file, b"").unwrap();
        let like = |directory: u32, bits: u32, limit: NewModes| {
            fs::set_permissions(place.path(), fs::Permissions::from_mode(directory)).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(bits)).unwrap();
            let disk = super::super::with_modes(
                &(std::sync::Arc::new(crate::durable::RealDisk) as _),
                limit.like(place.path(), &file),
            );
            let (new_file, new_directory) = (place.path().join("new"), place.path().join("sub"));
            disk.write_new_file(&new_file, b"x").unwrap();
            disk.create_directory(&new_directory).unwrap();
            let found = [&new_file, &new_directory].map(|path| fs::metadata(path).unwrap().mode() & 0o7777);
            disk.remove_file(&new_file).unwrap();
            disk.remove_directory(&new_directory).unwrap();
            found
        };
        assert_eq!(like(0o2775, 0o664, NewModes::ANY), [0o664, 0o2775]);
        assert_eq!(like(0o700, 0o600, NewModes::ANY), [0o600, 0o700]);
        let readable = NewModes { shared: 0o044, ..NewModes::ANY };
        assert_eq!(like(0o775, 0o664, readable), [0o664, 0o775]);
        let private = NewModes { shared: 0, ..NewModes::ANY };
        assert_eq!(like(0o775, 0o664, private), [0o600, 0o700]);
    }

    #[test]
    fn the_own_user_may_be_set_and_needs_no_call() {
        let place = tempfile::tempdir().unwrap();
        let owner = NewOwner::of(place.path()).unwrap();
        assert!(owner.refused().is_empty());
        assert_eq!(NewModes::ANY.owned_by(NewOwner { group: None, ..owner }).owner, None);
    }
}
