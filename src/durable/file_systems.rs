//! What kind of file system a file lies on.

use std::fs::File;

/// Number of `statfs(2)` for a RAM disk.
const TMPFS: u32 = 0x0102_1994;

/// Number for ext2, ext3 and ext4.
const EXT: u32 = 0xEF53;

/// Numbers for file systems whose pages no other computer and no user process can pull away.
const LOCAL: [u32; 9] = [
    EXT,
    0x5846_5342, // xfs
    0x9123_683E, // btrfs
    TMPFS,
    0x8584_58F6, // ramfs
    0x2FC1_2FC1, // zfs
    0xF2F5_2010, // f2fs
    0xCA45_1A4E, // bcachefs
    0x3153_464A, // jfs
];

/// True if mapped pages of the file can be taken away by nobody but this computer's own users.
pub(super) fn is_local(file: &File) -> bool {
    number(file).is_some_and(|number| LOCAL.contains(&number))
}

/// True if the file lies in memory.
pub(super) fn is_ram_disk(file: &File) -> bool {
    number(file) == Some(TMPFS)
}

/// True if two files on the file system never share storage, however one was copied from the other.
pub(super) fn never_shares(file: &File) -> bool {
    matches!(number(file), Some(EXT | TMPFS))
}

fn number(file: &File) -> Option<u32> {
    // The width and sign of the field differ between platforms; the numbers fit 32 bits.
    rustix::fs::fstatfs(file).ok().map(|status| status.f_type as u32)
}
