//! The system calls that can be made to fail, and with what.

/// How a call names what it works on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// A descriptor in this argument.
    Descriptor(usize),
    /// A path in this argument.
    Path(usize),
    /// A directory in the first argument, a path in the second.
    PathAt,
    /// Nothing: every call counts.
    Nothing,
}

pub struct Call {
    pub name: &'static str,
    pub number: libc::c_long,
    pub names: Names,
    pub errors: &'static [i32],
    /// The argument with the number of bytes, for calls that may do less than they were asked for.
    pub length: Option<usize>,
}

const WRITE: &[i32] = &[libc::EIO, libc::ENOSPC, libc::EDQUOT, libc::EINTR, libc::EFBIG];
const SYNC: &[i32] = &[libc::EIO, libc::ENOSPC, libc::EDQUOT];
const READ: &[i32] = &[libc::EIO, libc::EINTR];
const OPEN: &[i32] = &[libc::EIO, libc::EMFILE, libc::ENFILE, libc::ENOSPC, libc::EACCES, libc::ENOMEM, libc::ESTALE];
const RENAME: &[i32] = &[libc::EIO, libc::ENOSPC, libc::EDQUOT];
const NAME: &[i32] = &[libc::EIO, libc::ENOSPC, libc::EDQUOT, libc::EACCES];
const STATUS: &[i32] = &[libc::EIO, libc::ENOMEM, libc::ESTALE];

const fn call(name: &'static str, number: libc::c_long, names: Names, errors: &'static [i32]) -> Call {
    Call { name, number, names, errors, length: None }
}

const fn transfer(name: &'static str, number: libc::c_long, errors: &'static [i32], length: usize) -> Call {
    Call { name, number, names: Names::Descriptor(0), errors, length: Some(length) }
}

/// Changes of modes and owners are not among them: haul keeps those where the system lets it, and says where not. Nor is
/// ENOENT of `getdents64`: it means that the directory was removed with all names in it, and libraries take it for the end.
pub const ALL: &[Call] = &[
    transfer("write", libc::SYS_write, WRITE, 2),
    transfer("pwrite64", libc::SYS_pwrite64, WRITE, 2),
    call("writev", libc::SYS_writev, Names::Descriptor(0), WRITE),
    call("pwritev", libc::SYS_pwritev, Names::Descriptor(0), WRITE),
    call("fsync", libc::SYS_fsync, Names::Descriptor(0), SYNC),
    call("fdatasync", libc::SYS_fdatasync, Names::Descriptor(0), SYNC),
    call("syncfs", libc::SYS_syncfs, Names::Descriptor(0), SYNC),
    call("fallocate", libc::SYS_fallocate, Names::Descriptor(0), &[libc::EIO, libc::ENOSPC, libc::EOPNOTSUPP]),
    call("ftruncate", libc::SYS_ftruncate, Names::Descriptor(0), &[libc::EIO, libc::ENOSPC, libc::EFBIG]),
    call("copy_file_range", libc::SYS_copy_file_range, Names::Descriptor(2), &[libc::EIO, libc::ENOSPC, libc::EXDEV]),
    call("flock", libc::SYS_flock, Names::Descriptor(0), &[libc::EIO, libc::ENOLCK, libc::EINTR]),
    transfer("read", libc::SYS_read, READ, 2),
    transfer("pread64", libc::SYS_pread64, READ, 2),
    call("getdents64", libc::SYS_getdents64, Names::Descriptor(0), &[libc::EIO, libc::ESTALE]),
    call("fstat", libc::SYS_fstat, Names::Descriptor(0), STATUS),
    call("rename", libc::SYS_rename, Names::Path(0), RENAME),
    call("renameat", libc::SYS_renameat, Names::PathAt, RENAME),
    call("renameat2", libc::SYS_renameat2, Names::PathAt, RENAME),
    call("link", libc::SYS_link, Names::Path(0), &[libc::EIO, libc::ENOSPC, libc::EMLINK]),
    call("linkat", libc::SYS_linkat, Names::PathAt, &[libc::EIO, libc::ENOSPC, libc::EMLINK]),
    call("mkdir", libc::SYS_mkdir, Names::Path(0), NAME),
    call("mkdirat", libc::SYS_mkdirat, Names::PathAt, NAME),
    call("unlink", libc::SYS_unlink, Names::Path(0), &[libc::EIO, libc::EACCES]),
    call("unlinkat", libc::SYS_unlinkat, Names::PathAt, &[libc::EIO, libc::EACCES]),
    call("rmdir", libc::SYS_rmdir, Names::Path(0), &[libc::EIO, libc::EBUSY]),
    call("open", libc::SYS_open, Names::Path(0), OPEN),
    call("openat", libc::SYS_openat, Names::PathAt, OPEN),
    call("openat2", libc::SYS_openat2, Names::PathAt, OPEN),
    call("newfstatat", libc::SYS_newfstatat, Names::PathAt, STATUS),
    call("statx", libc::SYS_statx, Names::PathAt, STATUS),
    call("mmap", libc::SYS_mmap, Names::Descriptor(4), &[libc::ENOMEM]),
    call("clone3", libc::SYS_clone3, Names::Nothing, &[libc::EAGAIN]),
];

/// Returns whether an error says nothing of the one item: a process or a device is in trouble, and more items would fail.
pub fn is_of_the_process(error: i32) -> bool {
    [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::ESTALE, libc::EAGAIN].contains(&error)
}
