//! The locks of all processes, as `/proc/locks` shows them. To read it disturbs nobody.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{major, minor};

use crate::durable::file_systems::has_plain_identity;

const TABLE: &str = "/proc/locks";
/// The namespace of this process.
const PID_NAMESPACE: &str = "/proc/self/ns/pid";
/// The first one, whose processes see those of all others. The kernel has had this number for it since it has numbers.
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";
/// More than the kernel ever hands out in one read.
const READ_BYTES: usize = 1 << 16;

/// How processes hold the lock of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// One of them, which shares it with nobody.
    Exclusive,
    /// Only in a way that others may share: they look.
    Shared,
    /// No process of this host.
    Free,
    /// The table does not show all locks that may be on this file.
    Unknown,
}

/// Returns how the lock of an open file is held.
pub(super) fn hold_on(file: &File) -> Hold {
    let (Some((text, is_whole)), Ok(metadata)) = (read(Path::new(TABLE)), file.metadata()) else {
        return Hold::Unknown;
    };
    let device = (major(metadata.dev()), minor(metadata.dev()));
    match hold_in(&text, device, metadata.ino()) {
        // A table leaves out processes without a number in the namespace of the reader, and locks that a server keeps.
        Hold::Free if !(is_whole && shows_all_processes() && has_plain_identity(file)) => Hold::Unknown,
        hold => hold,
    }
}

/// Reads a table. The second value is true if the kernel handed it out in one piece: between two of them it may change, and
/// what moves up then is in neither.
fn read(path: &Path) -> Option<(String, bool)> {
    let mut file = File::open(path).ok()?;
    let mut bytes = vec![0; READ_BYTES];
    let len = file.read(&mut bytes).ok()?;
    bytes.truncate(len);
    let more = file.read_to_end(&mut bytes).ok()?;
    Some((String::from_utf8(bytes).ok()?, more == 0))
}

fn shows_all_processes() -> bool {
    std::fs::read_link(PID_NAMESPACE).is_ok_and(|namespace| namespace.as_os_str() == FIRST_PID_NAMESPACE)
}

/// Looks up a file in a table of lines such as `1: FLOCK  ADVISORY  WRITE 24456 fe:00:5351340 0 EOF`. Those that wait for a
/// lock have an arrow behind the number.
fn hold_in(table: &str, device: (u32, u32), inode: u64) -> Hold {
    let mut hold = Hold::Free;
    for line in table.lines() {
        let mut fields = line.split_ascii_whitespace().skip(1);
        if fields.next() != Some("FLOCK") {
            continue;
        }
        let (kind, name) = (fields.nth(1), fields.nth(1));
        match kind {
            _ if name.and_then(file_of) != Some((device, inode)) => {}
            Some("READ") => hold = Hold::Shared,
            _ => return Hold::Exclusive,
        }
    }
    hold
}

/// Takes `fe:00:5351340` apart: the device in base 16, and the inode.
fn file_of(name: &str) -> Option<((u32, u32), u64)> {
    let mut parts = name.split(':');
    let mut number = || u32::from_str_radix(parts.next()?, 16).ok();
    let device = (number()?, number()?);
    Some((device, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests lay out files")]

    use super::*;

    const LINES: &str = "1: FLOCK  ADVISORY  WRITE 24456 fe:00:5351340 0 EOF\n\
                         1: -> FLOCK  ADVISORY  WRITE 7 fe:00:1 0 EOF\n\
                         2: POSIX  ADVISORY  WRITE 7 fe:00:2 0 EOF\n\
                         3: FLOCK  ADVISORY  READ 8 fe:10:3 0 EOF\n\
                         4: FLOCK  ADVISORY  READ 9 fe:10:4 0 EOF\n\
                         5: FLOCK  ADVISORY  WRITE 0 fe:10:4 0 EOF\n\
                         6: FLOCK  torn";

    #[test]
    fn only_a_lock_that_is_held_and_of_this_kind_counts() {
        let hold = |minor, inode| hold_in(LINES, (0xfe, minor), inode);
        assert_eq!([hold(0, 5_351_340), hold(0x10, 4)], [Hold::Exclusive; 2]);
        assert_eq!(hold(0x10, 3), Hold::Shared);
        assert_eq!([hold(0, 1), hold(0, 2), hold(0, 3), hold(0x10, 5_351_340)], [Hold::Free; 4]);
    }

    #[test]
    fn a_table_that_is_missing_shows_nothing_and_one_of_many_reads_may_miss_something() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("locks");
        assert_eq!(read(&path), None);
        std::fs::write(&path, LINES).unwrap();
        assert_eq!(read(&path).unwrap(), (LINES.to_owned(), true));
        let long = LINES.repeat(READ_BYTES / LINES.len() + 1);
        std::fs::write(&path, &long).unwrap();
        assert_eq!(read(&path).unwrap(), (long, false));
    }

    #[test]
    fn what_is_no_file_of_a_local_disk_may_be_locked_elsewhere() {
        assert_eq!(hold_on(&File::open("/proc/self/stat").unwrap()), Hold::Unknown);
    }
}
