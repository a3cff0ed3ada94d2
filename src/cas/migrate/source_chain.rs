//! The digest of a source: a chain over its objects in the order of their paths. A rollback compares it with the
//! source, to be sure that the data exists before it removes the target.

use crate::cas::format::key::Key;
use crate::cas::source::inventory::Entry;

/// The chain before the first object.
pub const CHAIN_START: [u8; 32] = [0; 32];

/// What an object contributes to the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// BLAKE3 of the stored blob; zeros if it could not be read.
    pub stored: Key,
    /// BLAKE3 of the sidecar; zeros if there is none.
    pub sidecar: Key,
}

/// The digest of bytes that do not exist.
pub const ABSENT: Key = Key([0; 32]);

impl Link {
    /// The link of an object whose bytes were not read.
    pub const UNREAD: Self = Self { stored: ABSENT, sidecar: ABSENT };
}

/// Returns the chain after an object: `BLAKE3(chain ‖ location ‖ kind ‖ length ‖ stored ‖ sidecar)`.
pub fn chain(before: &[u8; 32], entry: &Entry, link: &Link) -> [u8; 32] {
    let mut bytes = [0; 32 + 70 + 1 + 8 + 32 + 32];
    let parts: [&[u8]; 6] = [
        before,
        &entry.location.bytes(),
        &[entry.kind as u8],
        &entry.len_bytes.to_le_bytes(),
        &link.stored.0,
        &link.sidecar.0,
    ];
    let mut at = 0;
    for part in parts {
        bytes[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    *blake3::hash(&bytes).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cas::source::Location;
    use crate::cas::source::inventory::EntryKind;

    #[test]
    fn every_part_of_an_object_changes_the_chain() {
        let location = |digit: &str| Location::new(&[], digit.repeat(64).as_bytes()).unwrap();
        let entry = Entry::new(location("a"), EntryKind::File, None);
        let link = Link { stored: Key([1; 32]), sidecar: ABSENT };
        let base = chain(&CHAIN_START, &entry, &link);
        let others = [
            chain(&base, &entry, &link),
            chain(&CHAIN_START, &Entry { location: location("b"), ..entry }, &link),
            chain(&CHAIN_START, &Entry { kind: EntryKind::Link, ..entry }, &link),
            chain(&CHAIN_START, &Entry { len_bytes: 1, ..entry }, &link),
            chain(&CHAIN_START, &entry, &Link { stored: ABSENT, ..link }),
            chain(&CHAIN_START, &entry, &Link { sidecar: Key([2; 32]), ..link }),
        ];
        assert!(others.iter().all(|other| *other != base));
        // Times and inodes are not part of it: a copy of the source is as good.
        assert_eq!(chain(&CHAIN_START, &Entry { modified_secs: 5, inode: 7, ..entry }, &link), base);
    }
}
