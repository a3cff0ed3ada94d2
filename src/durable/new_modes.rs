//! The permissions and the owner of what is created: never more access than what it is made from gives, and the owner of
//! the store that it is added to.

use std::ffi::{CStr, OsStr};
use std::fs;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::OnceLock;

use rustix::fs::{Gid, Mode, Uid, fchmod, fchown, fstat};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid, getgroups};

use super::attributes::{LISTS_OF_DIRECTORIES, LISTS_OF_FILES, has_access_list, remove_access_lists};
use super::{DiskError, SourceNameKind, source_names};

/// Reading and writing, for the group and for others.
const SHARED_BITS: u32 = 0o066;
/// The same for others alone.
const OTHERS_BITS: u32 = 0o006;
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
    /// Whose group the bits of the group are for. Everybody else has no more than others have; who is in another group may
    /// have less. `None` if there is no source.
    group: Option<u32>,
    /// The owner, if it is not the process's own.
    owner: Option<NewOwner>,
    /// The bits of a file and of a directory, within what is allowed.
    bits: Option<(u32, u32)>,
}

impl NewModes {
    /// Whatever the mask of the process leaves.
    pub const ANY: Self = Self { shared: SHARED_BITS, group: None, owner: None, bits: None };

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
    pub const PRIVATE: Self = Self { shared: 0, group: None, owner: None, bits: None };

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
    /// to those who may enter it. Who else is named in an access control list, and with what, is not copied: where there is
    /// one, only the owner gets access.
    pub fn of_sources<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Self, DiskError> {
        paths.into_iter().try_fold(Self::ANY, |modes, path| Ok(modes.and(Self::of_source(path.as_ref())?)))
    }

    /// Returns what also the first file grants that `is_sample` takes, in this directory and in each on the way down
    /// through the first directory in it: one writer gives all of them the same permissions. What cannot be listed or
    /// looked up is reported where it is read.
    pub fn of_samples(self, directory: &Path, levels: usize, is_sample: impl Fn(&OsStr) -> bool) -> Self {
        let (mut modes, mut directory) = (self, Some(directory.to_path_buf()));
        for _ in 0..levels {
            let Some(current) = directory.take() else { break };
            let first = |wanted, is_wanted: &dyn Fn(&OsStr) -> bool| {
                let names = source_names(&current).into_iter().flatten().filter_map(Result::ok);
                let mut found =
                    names.filter(|name| name.kind().is_ok_and(|kind| kind == wanted)).map(|name| name.name());
                found.find(|name| is_wanted(name)).map(|name| current.join(name))
            };
            let file = first(SourceNameKind::File, &is_sample);
            directory = first(SourceNameKind::Directory, &|_| true);
            for source in std::iter::once(current.clone()).chain(file) {
                modes = Self::of_source(&source).map_or(modes, |of_source| modes.and(of_source));
            }
        }
        modes
    }

    fn of_source(path: &Path) -> Result<Self, DiskError> {
        let wrap = |e| DiskError::new("look up the mode of", path, e);
        let metadata = fs::metadata(path).map_err(wrap)?;
        let (mode, group) = (metadata.permissions().mode(), Some(metadata.gid()));
        if has_access_list(path).map_err(wrap)? {
            return Ok(Self { group, ..Self::PRIVATE });
        }
        if !metadata.is_dir() {
            return Ok(Self { group, ..Self::of_file(mode) });
        }
        let granted = |enter: u32| if mode & enter == 0 { 0 } else { enter * 6 };
        Ok(Self { shared: granted(0o010) | granted(0o001), group, ..Self::ANY })
    }

    /// Returns what both grant, for the owner and with the bits of the second, if it has them.
    pub fn and(self, other: Self) -> Self {
        let (first, second) = match (self.depends_on_group(), other.depends_on_group()) {
            (true, true) if self.group != other.group => (self, other.for_any_group()),
            (false, true) => (other, self),
            _ => (self, other),
        };
        Self {
            shared: first.shared & second.shared,
            group: first.group.or(second.group),
            owner: other.owner.or(self.owner),
            bits: other.bits.or(self.bits),
        }
    }

    /// Returns true if it matters which group a new file has.
    fn depends_on_group(self) -> bool {
        self.group.is_some() && self.shared >> 3 & OTHERS_BITS != self.shared & OTHERS_BITS
    }

    /// Returns what a file of another group may grant: to its group and to others what both have here.
    fn for_any_group(self) -> Self {
        let both = self.shared & self.shared >> 3 & OTHERS_BITS;
        Self { shared: both << 3 | both, ..self }
    }

    /// Gives a file that was just created its owner, its group and its bits.
    pub(super) fn apply(self, file: BorrowedFd<'_>) -> Result<(), Errno> {
        self.settle(file, LISTS_OF_FILES, |modes| {
            (modes.file(), self.bits.map(|(file, _)| file & (modes.file() | modes.writing())))
        })
    }

    /// Does the same for a directory.
    pub(super) fn apply_to_directory(self, directory: BorrowedFd<'_>) -> Result<(), Errno> {
        self.settle(directory, LISTS_OF_DIRECTORIES, |modes| {
            let limit = modes.directory() | modes.writing() | SET_GROUP;
            (modes.directory(), self.bits.map(|(_, directory)| directory & limit))
        })
    }

    /// Returns true if the system alone does not give new entries what they get.
    pub(super) fn is_more_than_a_limit(self) -> bool {
        self.owner.is_some() || self.bits.is_some() || self.group.is_some()
    }

    /// The bits of writing for those who may read: who may not see more by it may change what the store lets them change.
    fn writing(self) -> u32 {
        self.shared >> 1 & 0o022
    }

    /// The bits come last, because a change of owner takes some away. `bits` returns those that the mask of the process
    /// narrows and, instead of them, those that are given.
    fn settle(
        self,
        entry: BorrowedFd<'_>,
        lists: &[&CStr],
        bits: impl Fn(Self) -> (u32, Option<u32>),
    ) -> Result<(), Errno> {
        if self.group.is_some() {
            // A directory above may have one that new entries inherit.
            remove_access_lists(entry, lists)?;
        }
        if let Some(owner) = self.owner {
            owner.apply(entry)?;
        }
        if !self.depends_on_group() {
            return bits(self).1.map_or(Ok(()), |bits| fchmod(entry, Mode::from_raw_mode(bits)));
        }
        let (modes, inherited) = (self.within_group_of(entry)?, fstat(entry)?.st_mode & SET_GROUP);
        let (limit, given) = bits(modes);
        let bits = given.unwrap_or_else(|| limit & !mask_of_process() | inherited);
        fchmod(entry, Mode::from_raw_mode(bits))
    }

    /// Gives the entry the group that it needs. Returns what it may grant with the group that it has then.
    fn within_group_of(self, entry: BorrowedFd<'_>) -> Result<Self, Errno> {
        let needed = self.group.expect("it depends on the group");
        if fstat(entry)?.st_gid == needed {
            return Ok(self);
        }
        // The group of a store that is added to is kept.
        let is_free = self.owner.is_none_or(|owner| owner.group.is_none());
        match is_free && fchown(entry, None, Some(Gid::from_raw(needed))).is_ok() {
            true => Ok(self),
            false => Ok(self.for_any_group()),
        }
    }

    /// The bits with which a file is created. Before its group is known, it grants what it may grant with any.
    pub(super) fn new_file(self) -> u32 {
        if self.depends_on_group() { self.for_any_group().file() } else { self.file() }
    }

    /// Does the same for a directory.
    pub(super) fn new_directory(self) -> u32 {
        if self.depends_on_group() { self.for_any_group().directory() } else { self.directory() }
    }

    /// The bits of a file.
    fn file(self) -> u32 {
        0o600 | self.shared
    }

    /// The bits of a directory: who may read or write what is in it may enter it.
    fn directory(self) -> u32 {
        0o700 | self.shared | (self.shared >> 1 | self.shared >> 2) & 0o011
    }
}

/// Returns the mask of new files. It cannot be asked for without a change for all threads, but the system shows it.
fn mask_of_process() -> u32 {
    static MASK: OnceLock<u32> = OnceLock::new();
    *MASK.get_or_init(|| {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("Umask:"));
        // Where it is not shown, it may be any.
        mask.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok()).unwrap_or(0o077)
    })
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

    fn of_group(shared: u32, group: u32) -> NewModes {
        NewModes { shared, group: Some(group), ..NewModes::ANY }
    }

    #[test]
    fn the_bits_of_a_group_are_for_that_group_alone() {
        let both = |first: NewModes, second: NewModes| (first.and(second).group, bits(first.and(second)).0);
        assert_eq!(both(of_group(0o040, 1), of_group(0o040, 1)), (Some(1), 0o640));
        assert_eq!(both(of_group(0o040, 1), of_group(0o040, 2)), (Some(1), 0o600));
        // Where the group has what others have, it does not matter which it is.
        assert_eq!(both(of_group(0o044, 2), of_group(0o040, 1)), (Some(1), 0o640));
        assert_eq!(both(of_group(0o040, 1), of_group(0o066, 2)), (Some(1), 0o640));
        assert_eq!(both(NewModes::ANY, of_group(0o060, 1)), (Some(1), 0o660));
        // A group may have less than others: its members are others where the group is another.
        assert_eq!(both(of_group(0o004, 1), of_group(0o044, 2)), (Some(1), 0o604));
        assert_eq!(both(of_group(0o004, 1), of_group(0o040, 2)), (Some(1), 0o600));
        assert_eq!(bits(of_group(0o064, 1).for_any_group()), (0o644, 0o755));
        // Before the group of a new file is known, it has no more than with any.
        assert_eq!((of_group(0o040, 1).new_file(), of_group(0o040, 1).new_directory()), (0o600, 0o700));
        assert_eq!((of_group(0o044, 1).new_file(), NewModes::ANY.new_file()), (0o644, 0o666));
    }

    /// The list of a directory or a file: owner rwx, user 23456 nothing or all, group and others r, mask all.
    fn list(bits: u16) -> Vec<u8> {
        let entry =
            |tag: u16, bits: u16, id: u32| [&tag.to_le_bytes()[..], &bits.to_le_bytes(), &id.to_le_bytes()].concat();
        let none = u32::MAX;
        let entries =
            [entry(1, 7, none), entry(2, bits, 23456), entry(4, 4, none), entry(0x10, 7, none), entry(0x20, 4, none)];
        [&2_u32.to_le_bytes()[..], &entries.concat()].concat()
    }

    fn set_list(path: &Path, name: &str, bits: u16) {
        rustix::fs::setxattr(path, name, &list(bits), rustix::fs::XattrFlags::empty()).unwrap();
    }

    #[test]
    fn a_list_on_a_source_leaves_only_the_owner() {
        let place = tempfile::tempdir().unwrap();
        let source = place.path().join("source");
        fs::write(&source, b"").unwrap();
        fs::set_permissions(&source, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(bits(NewModes::of_sources([&source]).unwrap()).0, 0o644);
        set_list(&source, "system.posix_acl_access", 0);
        assert_eq!(bits(NewModes::of_sources([&source]).unwrap()), (0o600, 0o700));
    }

    #[test]
    fn a_list_that_a_directory_hands_down_gives_nobody_what_the_source_does_not() {
        let place = tempfile::tempdir().unwrap();
        let source = place.path().join("source");
        fs::write(&source, b"").unwrap();
        fs::set_permissions(&source, fs::Permissions::from_mode(0o644)).unwrap();
        set_list(place.path(), "system.posix_acl_default", 7);
        let modes = NewModes::of_sources([&source]).unwrap();
        let disk = super::super::with_modes(&(std::sync::Arc::new(crate::durable::RealDisk) as _), modes);
        let (file, directory) = (place.path().join("file"), place.path().join("directory"));
        disk.write_new_file(&file, b"x").unwrap();
        disk.create_directory(&directory).unwrap();
        assert!(!has_access_list(&file).unwrap() && !has_access_list(&directory).unwrap());
        disk.write_new_file(&directory.join("file"), b"x").unwrap();
        assert!(!has_access_list(&directory.join("file")).unwrap());
    }

    #[test]
    #[ignore = "needs root"]
    fn as_root_a_new_file_gets_the_group_of_its_source_also_in_a_directory_that_gives_another() {
        let place = tempfile::tempdir().unwrap();
        let source = place.path().join("source");
        fs::write(&source, b"").unwrap();
        fs::set_permissions(&source, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::chown(&source, None, Some(23456)).unwrap();
        let shared = place.path().join("shared");
        fs::create_dir(&shared).unwrap();
        std::os::unix::fs::chown(&shared, None, Some(23457)).unwrap();
        fs::set_permissions(&shared, fs::Permissions::from_mode(0o2755)).unwrap();
        let modes = NewModes::of_sources([&source]).unwrap();
        let disk = super::super::with_modes(&(std::sync::Arc::new(crate::durable::RealDisk) as _), modes);
        for path in [shared.join("file"), place.path().join("file")] {
            disk.write_new_file(&path, b"x").unwrap();
            let found = fs::metadata(&path).unwrap();
            assert_eq!((found.gid(), found.mode() & 0o7777), (23456, 0o640));
        }
        disk.create_directory(&shared.join("sub")).unwrap();
        let found = fs::metadata(shared.join("sub")).unwrap();
        assert_eq!((found.gid(), found.mode() & 0o7777), (23456, 0o2750));
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
