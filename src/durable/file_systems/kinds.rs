//! Recognizes kinds of file systems.

use std::fs::File;
use std::os::fd::AsFd;

/// The `statfs(2)` type of a RAM disk.
const TMPFS: u32 = 0x0102_1994;

const BTRFS: u32 = 0x9123_683E;

/// The type of ext2, ext3 and ext4.
const EXT: u32 = 0xEF53;

/// The types of file systems whose pages neither another computer nor a user process can take away.
const LOCAL: [u32; 9] = [
    EXT,
    0x5846_5342, // xfs
    BTRFS,
    TMPFS,
    0x8584_58F6, // ramfs
    0x2FC1_2FC1, // zfs
    0xF2F5_2010, // f2fs
    0xCA45_1A4E, // bcachefs
    0x3153_464A, // jfs
];

/// Returns true if only users of this computer can take away mapped pages of the file.
pub(in crate::durable) fn is_local(file: &File) -> bool {
    number(file).is_some_and(|number| LOCAL.contains(&number))
}

/// Returns true if the kernel knows the file by the device and the number that it tells, and keeps its locks itself. Btrfs
/// tells other devices, and whatever lies above another file system may tell other numbers.
pub(in crate::durable) fn has_plain_identity(file: &File) -> bool {
    number(file).is_some_and(|number| LOCAL.contains(&number) && number != BTRFS)
}

/// Returns true if the file or directory is in memory.
pub(in crate::durable) fn is_ram_disk(file: impl AsFd) -> bool {
    number(file) == Some(TMPFS)
}

/// Returns true if files on this file system never share storage, whatever copies them.
pub(in crate::durable) fn never_shares(file: &File) -> bool {
    matches!(number(file), Some(EXT | TMPFS))
}

/// Types besides [`LOCAL`] whose `syncfs(2)` ends when all bytes are on the medium.
const SYNCED_AS_A_WHOLE: [u32; 14] = [
    0x794C_7630, // overlay, which syncs the file system of its upper layer
    0x00C3_6400, // ceph
    0x0116_1970, // gfs2
    0x7461_636F, // ocfs2
    0x5265_4973, // reiserfs
    0x3434,      // nilfs
    0xF15F,      // ecryptfs
    0x4D44,      // fat
    0x2011_BAB0, // exfat
    0x7366_746E, // ntfs3
    0x482B,      // hfsplus
    0x4244,      // hfs
    0x1501_3346, // udf
    0x2405_1905, // ubifs
];

/// Returns true if a sync of the whole file system makes all its files durable.
///
/// FUSE hands the bytes to a process and asks it for nothing more, and of other file systems over a network not all send
/// the server what a sync of each file would. A type that is not known here counts as one of them.
pub(super) fn is_synced_as_a_whole(file: impl AsFd) -> bool {
    number(file).is_some_and(|number| LOCAL.contains(&number) || SYNCED_AS_A_WHOLE.contains(&number))
}

/// Types on whose servers locks are taken, unless an option of the mount keeps them on this host.
const LOCKED_BY_SERVER: [u32; 3] = [
    0x6969,      // nfs
    0xFF53_4D42, // cifs
    0xFE53_4D42, // smb2 and later
];

/// Returns true if the servers of such a file system keep its locks.
pub(super) fn is_locked_by_server(file: impl AsFd) -> bool {
    number(file).is_some_and(|number| LOCKED_BY_SERVER.contains(&number))
}

fn number(file: impl AsFd) -> Option<u32> {
    // The width and sign of the field differ between platforms; the numbers fit 32 bits.
    rustix::fs::fstatfs(file).ok().map(|status| status.f_type as u32)
}
