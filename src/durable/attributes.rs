//! Copies what a file is besides its bytes: owner, group, permission bits, access control list, extended attributes.

use std::ffi::{CStr, CString};
use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

use rustix::fs::{
    Gid, Mode, Stat, Uid, XattrFlags, fchmod, fchown, fgetxattr, flistxattr, fremovexattr, fsetxattr, fstat, getxattr,
};
use rustix::io::Errno;

/// The permission bits of a file mode.
pub(super) const MODE_BITS: u32 = 0o7777;
/// The longest value of an attribute, and the longest list of their names, that Linux knows.
const ATTRIBUTE_BYTES_MAX: usize = 64 << 10;
/// The attribute that holds the access control list.
const ACCESS_LIST: &CStr = c"system.posix_acl_access";
/// The attribute of a directory that holds the list of what is created in it.
const DEFAULT_LIST: &CStr = c"system.posix_acl_default";
/// Attributes that the system computes from the bytes: those of one file are wrong for another.
const OF_THE_BYTES: [&CStr; 2] = [c"security.ima", c"security.evm"];

const SET_USER: u32 = 0o4000;
const SET_GROUP: u32 = 0o2000;
const GROUP_BITS: u32 = 0o070;

/// What a copy of attributes could not keep, because this process may not set it or the file system cannot hold it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AttributesNotKept {
    /// The owner that the new file should have.
    pub owner: Option<u32>,
    /// The group that the new file should have.
    pub group: Option<u32>,
    /// The permission bits that the new file should have.
    pub mode: Option<u32>,
    /// The names of extended attributes; an access control list is one of them.
    pub names: Vec<CString>,
}

impl AttributesNotKept {
    /// Returns true if the new file has everything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn lists_access(&self) -> bool {
        self.names.iter().any(|name| name.as_c_str() == ACCESS_LIST)
    }
}

/// Names what is missing: `owner 1000, attribute user.note`.
impl fmt::Display for AttributesNotKept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owner = self.owner.map(|id| format!("owner {id}"));
        let group = self.group.map(|id| format!("group {id}"));
        let mode = self.mode.map(|mode| format!("mode {mode:04o}"));
        let names = self.names.iter().map(|name| match name.as_c_str() == ACCESS_LIST {
            true => "access control list".to_owned(),
            false => format!("attribute {}", name.to_bytes().escape_ascii()),
        });
        let parts: Vec<String> = owner.into_iter().chain(group).chain(mode).chain(names).collect();
        f.write_str(&parts.join(", "))
    }
}

/// Gives the open file `to` the owner, group, permission bits, access control list and extended attributes of `from`.
/// Returns what could not be kept.
///
/// Nobody gets access by it that `from` did not give: where the group or the list is not kept, the group's bits are
/// narrowed; where the owner or the group is not kept, the program does not run as that user or group. Call it before
/// the first byte is written, so that the bytes are never readable by others.
pub fn copy_attributes(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<AttributesNotKept> {
    copy_known_attributes(from, &fstat(from)?, to)
}

/// Copies the attributes of `from`, whose state is `was`.
pub(super) fn copy_known_attributes(
    from: BorrowedFd<'_>,
    was: &Stat,
    to: BorrowedFd<'_>,
) -> io::Result<AttributesNotKept> {
    let mut not_kept = AttributesNotKept::default();
    copy_owner(was, to, &mut not_kept)?;
    // After the owner, because a change of owner removes some attributes.
    let list = copy_named(from, to, &mut not_kept)?;
    // Last, because a change of owner or of the list changes the bits.
    copy_mode(was, list.as_deref(), to, &mut not_kept)?;
    Ok(not_kept)
}

/// The group comes first: a user who has given a file away may not change it any more.
fn copy_owner(was: &Stat, to: BorrowedFd<'_>, not_kept: &mut AttributesNotKept) -> io::Result<()> {
    let is = fstat(to)?;
    if is.st_gid != was.st_gid && !is_done(fchown(to, None, Some(Gid::from_raw(was.st_gid))))? {
        not_kept.group = Some(was.st_gid);
    }
    if is.st_uid != was.st_uid && !is_done(fchown(to, Some(Uid::from_raw(was.st_uid)), None))? {
        not_kept.owner = Some(was.st_uid);
    }
    Ok(())
}

/// Returns true if this path, links followed, has an access control list.
pub(super) fn has_access_list(path: &Path) -> io::Result<bool> {
    match getxattr(path, ACCESS_LIST, &mut [0_u8; 0][..]) {
        Ok(_) => Ok(true),
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The access control lists that a new file may have inherited.
pub(super) const LISTS_OF_FILES: &[&CStr] = &[ACCESS_LIST];
/// The access control lists that a new directory may have inherited.
pub(super) const LISTS_OF_DIRECTORIES: &[&CStr] = &[ACCESS_LIST, DEFAULT_LIST];

/// Takes these access control lists away from a new file or directory.
pub(super) fn remove_access_lists(new: BorrowedFd<'_>, names: &[&CStr]) -> rustix::io::Result<()> {
    for &name in names {
        // To ask costs less than to remove what is not there.
        if fgetxattr(new, name, &mut [0_u8; 0][..]).is_ok() {
            fremovexattr(new, name)?;
        }
    }
    Ok(())
}

/// Copies the extended attributes. Returns the access control list of `from`.
fn copy_named(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    not_kept: &mut AttributesNotKept,
) -> io::Result<Option<Vec<u8>>> {
    let mut list = None;
    for name in names(from)? {
        if OF_THE_BYTES.contains(&name.as_c_str()) {
            continue;
        }
        let mut value = match value(from, &name) {
            Ok(Some(value)) => value,
            Ok(None) => continue,
            Err(error) if is_refusal(error) => {
                not_kept.names.push(name);
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if name.as_c_str() == ACCESS_LIST {
            list = Some(value.clone());
            if not_kept.group.is_some() {
                narrow_group(&mut value);
            }
        }
        let has_it = self::value(to, &name).is_ok_and(|now| now.as_deref() == Some(&*value));
        if !has_it && !is_done(fsetxattr(to, name.as_c_str(), &value, XattrFlags::empty()))? {
            not_kept.names.push(name);
        }
    }
    if list.is_none() {
        // A new file may inherit a list of its directory, which would give others access.
        is_done(remove_access_lists(to, LISTS_OF_FILES))?;
    }
    Ok(list)
}

/// `list` is the access control list of the original. Where there is one, the group's bits are its mask.
fn copy_mode(was: &Stat, list: Option<&[u8]>, to: BorrowedFd<'_>, not_kept: &mut AttributesNotKept) -> io::Result<()> {
    let wanted = was.st_mode & MODE_BITS;
    let mut mode = wanted;
    if not_kept.owner.is_some() {
        mode &= !SET_USER;
    }
    if not_kept.group.is_some() {
        mode &= !SET_GROUP;
    }
    let has_list = list.is_some() && !not_kept.lists_access();
    if let Some(list) = list.filter(|_| !has_list) {
        mode &= !GROUP_BITS | (permissions(list, GROUP_TAG) << 3);
    }
    if not_kept.group.is_some() && !has_list {
        mode &= !GROUP_BITS | ((mode & 0o007) << 3);
    }
    is_done(fchmod(to, Mode::from_raw_mode(mode)))?;
    // The system may leave bits out without an error, and refuse a change that is none.
    if fstat(to)?.st_mode & MODE_BITS != wanted {
        not_kept.mode = Some(wanted);
    }
    Ok(())
}

/// Returns false if this process may not do that, or the file system cannot.
fn is_done(result: rustix::io::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if is_refusal(error) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// `INVAL` is the answer to an owner that a user namespace does not know.
fn is_refusal(error: Errno) -> bool {
    matches!(error, Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL)
}

fn names(file: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    let list = |buffer: &mut [u8]| match flistxattr(file, buffer) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(0),
        listed => listed,
    };
    // Few files have more than one or two.
    let mut few = [0; 256];
    let mut all = Vec::new();
    let listed = match list(&mut few) {
        Err(Errno::RANGE) => {
            all.resize(ATTRIBUTE_BYTES_MAX, 0);
            let len = list(&mut all)?;
            &all[..len]
        }
        len => &few[..len?],
    };
    let names = listed.split(|&byte| byte == 0).filter(|name| !name.is_empty());
    Ok(names.filter_map(|name| CString::new(name).ok()).collect())
}

/// Returns the value of an attribute; `None` if the file does not have it.
fn value(file: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<Option<Vec<u8>>> {
    let mut buffer = vec![0; ATTRIBUTE_BYTES_MAX];
    match fgetxattr(file, name, &mut buffer[..]) {
        Err(Errno::NODATA) => Ok(None),
        read => {
            buffer.truncate(read?);
            Ok(Some(buffer))
        }
    }
}

/// The entries of an access control list follow a version of four bytes. Each has a tag and permissions, two bytes
/// each, and an id of four; all are little-endian.
const LIST_HEAD_BYTES: usize = 4;
const LIST_ENTRY_BYTES: usize = 8;
const GROUP_TAG: u16 = 0x04;
const OTHER_TAG: u16 = 0x20;

fn entries(list: &mut [u8]) -> impl Iterator<Item = &mut [u8]> {
    list.get_mut(LIST_HEAD_BYTES..).unwrap_or_default().chunks_exact_mut(LIST_ENTRY_BYTES)
}

/// Returns the permissions of the entry with this tag, 0 if there is none.
fn permissions(list: &[u8], tag: u16) -> u32 {
    let entries = list.get(LIST_HEAD_BYTES..).unwrap_or_default().chunks_exact(LIST_ENTRY_BYTES);
    let mut tagged = entries.filter(|entry| entry[..2] == tag.to_le_bytes());
    tagged.next().map_or(0, |entry| u32::from(entry[2] & 0o7))
}

/// Leaves the owning group no more than everybody has.
fn narrow_group(list: &mut [u8]) {
    let everybody = permissions(list, OTHER_TAG) as u8;
    entries(list).filter(|entry| entry[..2] == GROUP_TAG.to_le_bytes()).for_each(|entry| entry[2] &= everybody);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests lay out files")]

    use super::*;
    use std::fs::{self, File};
    use std::os::fd::AsFd;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

    const NOTE: &CStr = c"user.note";

    /// Owner rw, user 23456 r, group nothing, mask r, others nothing.
    fn list() -> Vec<u8> {
        let entry =
            |tag: u16, bits: u16, id: u32| [&tag.to_le_bytes()[..], &bits.to_le_bytes(), &id.to_le_bytes()].concat();
        let none = u32::MAX;
        let entries =
            [entry(1, 6, none), entry(2, 4, 23456), entry(4, 0, none), entry(0x10, 4, none), entry(0x20, 0, none)];
        [&2_u32.to_le_bytes()[..], &entries.concat()].concat()
    }

    fn new_file(path: &Path) -> File {
        File::create_new(path).unwrap()
    }

    fn copied(from: &File, to: &File) -> AttributesNotKept {
        copy_attributes(from.as_fd(), to.as_fd()).unwrap()
    }

    fn set(file: &File, name: &CStr, value: &[u8]) {
        fsetxattr(file, name, value, XattrFlags::empty()).unwrap();
    }

    #[test]
    fn a_copy_has_mode_list_and_attributes() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (new_file(&directory.path().join("a")), new_file(&directory.path().join("b")));
        from.set_permissions(fs::Permissions::from_mode(0o640)).unwrap();
        set(&from, NOTE, b"kept");
        set(&from, ACCESS_LIST, &list());
        assert!(copied(&from, &to).is_empty());
        assert_eq!(value(to.as_fd(), NOTE).unwrap().as_deref(), Some(&b"kept"[..]));
        assert_eq!(value(to.as_fd(), ACCESS_LIST).unwrap(), Some(list()));
        assert_eq!(to.metadata().unwrap().mode() & 0o7777, 0o640);
    }

    #[test]
    fn many_attributes_are_all_kept() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (new_file(&directory.path().join("a")), new_file(&directory.path().join("b")));
        let names: Vec<CString> = (0..40).map(|i| CString::new(format!("user.attribute-{i:02}")).unwrap()).collect();
        names.iter().for_each(|name| set(&from, name, name.to_bytes()));
        assert!(copied(&from, &to).is_empty());
        for name in &names {
            assert_eq!(value(to.as_fd(), name).unwrap().as_deref(), Some(name.to_bytes()));
        }
    }

    #[test]
    fn a_list_that_is_inherited_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let opened = File::open(directory.path()).unwrap();
        let from = new_file(&directory.path().join("a"));
        from.set_permissions(fs::Permissions::from_mode(0o600)).unwrap();
        set(&opened, c"system.posix_acl_default", &list());
        let to = new_file(&directory.path().join("b"));
        assert!(value(to.as_fd(), ACCESS_LIST).unwrap().is_some());
        assert!(copied(&from, &to).is_empty());
        assert_eq!(value(to.as_fd(), ACCESS_LIST).unwrap(), None);
        assert_eq!(to.metadata().unwrap().mode() & 0o7777, 0o600);
    }

    #[test]
    #[ignore = "needs root"]
    fn owner_and_group_are_kept_as_root() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let (from, to) = (new_file(&path), new_file(&directory.path().join("b")));
        chown(&path, Some(12345), Some(12346)).unwrap();
        from.set_permissions(fs::Permissions::from_mode(0o6750)).unwrap();
        assert!(copied(&from, &to).is_empty());
        let metadata = to.metadata().unwrap();
        assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o7777), (12345, 12346, 0o6750));
    }

    #[test]
    #[ignore = "needs a user who is not root"]
    fn what_an_unprivileged_user_cannot_keep_is_named_and_gives_nobody_more() {
        // A file of root that everybody may read; its owner cannot be given away.
        let from = File::open("/etc/passwd").unwrap();
        let directory = tempfile::tempdir().unwrap();
        let to = new_file(&directory.path().join("b"));
        let not_kept = copied(&from, &to);
        assert_eq!(not_kept.owner, Some(0));
        assert!(not_kept.to_string().starts_with("owner 0"), "{not_kept}");
    }

    #[test]
    fn a_group_that_is_not_kept_gets_no_more_than_everybody() {
        let mut narrowed = list();
        narrowed[LIST_HEAD_BYTES + 2 * LIST_ENTRY_BYTES + 2] = 6;
        assert_eq!(permissions(&narrowed, GROUP_TAG), 6);
        narrow_group(&mut narrowed);
        assert_eq!((permissions(&narrowed, GROUP_TAG), narrowed), (0, list()));

        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (new_file(&directory.path().join("a")), new_file(&directory.path().join("b")));
        from.set_permissions(fs::Permissions::from_mode(0o6764)).unwrap();
        let was = fstat(&from).unwrap();
        let mut not_kept = AttributesNotKept { owner: Some(1), group: Some(1), ..AttributesNotKept::default() };
        copy_mode(&was, None, to.as_fd(), &mut not_kept).unwrap();
        assert_eq!(to.metadata().unwrap().mode() & 0o7777, 0o744);
        assert_eq!(not_kept.to_string(), "owner 1, group 1, mode 6764");
    }

    #[test]
    fn without_its_list_a_file_gives_its_group_what_the_list_gave_it() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (new_file(&directory.path().join("a")), new_file(&directory.path().join("b")));
        from.set_permissions(fs::Permissions::from_mode(0o640)).unwrap();
        let was = fstat(&from).unwrap();
        let mut not_kept = AttributesNotKept { names: vec![ACCESS_LIST.into()], ..AttributesNotKept::default() };
        copy_mode(&was, Some(&list()), to.as_fd(), &mut not_kept).unwrap();
        assert_eq!(to.metadata().unwrap().mode() & 0o7777, 0o600);
        assert_eq!(not_kept.to_string(), "mode 0640, access control list");
    }
}
