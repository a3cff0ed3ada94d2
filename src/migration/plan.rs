//! What the plans of all stores have in common: the fingerprint of the source, its digest, and the space needed.

use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::fs::Metadata;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Error;
use super::checkpoint::{Decode, Encode, Kind};
use crate::durable::{Disk, parent_of};

/// A source file as the plan saw it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct PlannedFile {
    /// Path relative to the source, as [`escape_name`] writes it.
    pub name: String,
    /// Length.
    pub len_bytes: u64,
    /// Time of the last modification, whole seconds since 1970.
    pub modified_secs: i64,
    /// The nanoseconds above them.
    pub modified_nanos: u32,
    /// Inode number: a hint for people.
    pub inode: u64,
    /// Device that the inode is on: a hint for people.
    pub device: u64,
}

impl PlannedFile {
    /// The file `name`, of which the system says `metadata`.
    pub fn new(name: &OsStr, metadata: &Metadata) -> Self {
        Self {
            name: escape_name(name),
            len_bytes: metadata.len(),
            modified_secs: metadata.mtime(),
            modified_nanos: metadata.mtime_nsec() as u32,
            inode: metadata.ino(),
            device: metadata.dev(),
        }
    }
}

/// A file name as text from which [`unescape_name`] makes the same bytes again: a backslash is doubled, control
/// characters and bytes that are not UTF-8 become `\xNN`.
pub fn escape_name(name: &OsStr) -> String {
    let mut text = String::with_capacity(name.len());
    let hex = |text: &mut String, bytes: &[u8]| {
        for byte in bytes {
            write!(text, "\\x{byte:02x}").expect("a string takes any text");
        }
    };
    for chunk in name.as_bytes().utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                _ if character.is_control() => hex(&mut text, character.encode_utf8(&mut [0; 4]).as_bytes()),
                _ => text.push(character),
            }
        }
        hex(&mut text, chunk.invalid());
    }
    text
}

/// The file name that [`escape_name`] wrote as `text`, `None` if it writes none so.
pub fn unescape_name(text: &str) -> Option<OsString> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('\\') {
            bytes.push(b'\\');
            rest = after;
        } else {
            let digits = rest.strip_prefix('x')?.get(..2)?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &rest[3..];
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    let name = OsString::from_vec(bytes);
    (escape_name(&name) == text).then_some(name)
}

/// The identity of a plan: which store, which format of the target, which source files, which policies. A run resumes
/// only under the plan that it was started with.
///
/// The numbers of inodes and devices are no part of it: a reboot, another host or a restored file changes them, and the
/// bytes are the same.
pub fn plan_digest(kind: Kind, format_version: u32, files: &[PlannedFile], policy_text: &str) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("haul plan digest, version 2");
    let text = |hasher: &mut blake3::Hasher, text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    };
    hasher.update(&kind.tag).update(&format_version.to_le_bytes()).update(&(files.len() as u64).to_le_bytes());
    for file in files {
        text(&mut hasher, &file.name);
        hasher
            .update(&file.len_bytes.to_le_bytes())
            .update(&file.modified_secs.to_le_bytes())
            .update(&file.modified_nanos.to_le_bytes());
    }
    text(&mut hasher, policy_text);
    *hasher.finalize().as_bytes()
}

/// Fails unless the file system that holds `directory` has `needed_bytes` left for this user.
pub fn free_space_check(disk: &dyn Disk, directory: &Path, needed_bytes: u64) -> Result<(), Error> {
    let available_bytes = disk.free_bytes(directory)?;
    if available_bytes >= needed_bytes {
        return Ok(());
    }
    Err(Error::NoSpace { path: directory.to_path_buf(), needed_bytes, available_bytes })
}

/// The path itself if it is there, else the nearest one above it that is: where to ask for free space before anything is
/// made.
pub fn nearest_directory(disk: &dyn Disk, path: &Path) -> Result<PathBuf, Error> {
    let mut path = path;
    loop {
        match (disk.kind(path)?, parent_of(path)) {
            (None, parent) if parent != path => path = parent,
            _ => return Ok(path.to_path_buf()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::durable::SimulatedDisk;
    use crate::migration::exit;

    const KIND: Kind = Kind { tag: *b"space\0\0\0", restart: "start over" };

    fn file() -> PlannedFile {
        PlannedFile { name: "a.log".into(), len_bytes: 1, modified_secs: 2, modified_nanos: 3, inode: 4, device: 5 }
    }

    fn digest(files: &[PlannedFile]) -> [u8; 32] {
        plan_digest(KIND, 1, files, "policy")
    }

    #[test]
    fn names_are_text() {
        let cases: [(&[u8], &str); 5] = [
            (b"wal/a.log", "wal/a.log"),
            ("größe".as_bytes(), "größe"),
            (b"a\\x41", "a\\\\x41"),
            (b"a\xffb\n", "a\\xffb\\x0a"),
            (b"", ""),
        ];
        for (bytes, text) in cases {
            assert_eq!(escape_name(OsStr::from_bytes(bytes)), text);
            assert_eq!(unescape_name(text).unwrap().as_bytes(), bytes);
        }
    }

    #[test]
    fn text_that_is_no_name_is_refused() {
        for text in ["\\", "\\x", "\\x4", "\\x41", "\\xFF", "\\n", "\\x+1", "\\xé", "a\n"] {
            assert_eq!(unescape_name(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn names_come_back(bytes: Vec<u8>) {
            let name = OsString::from_vec(bytes);
            prop_assert_eq!(unescape_name(&escape_name(&name)), Some(name));
        }

        #[test]
        fn any_text_is_a_name_or_refused(text: String) {
            if let Some(name) = unescape_name(&text) {
                prop_assert_eq!(escape_name(&name), text);
            }
        }
    }

    #[test]
    fn a_file_is_what_the_system_says() {
        let directory = tempfile::tempdir().unwrap();
        let metadata = directory.path().metadata().unwrap();
        let planned = PlannedFile::new(OsStr::new("x"), &metadata);
        let modified = metadata.modified().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(
            (planned.modified_secs as u64, planned.modified_nanos),
            (modified.as_secs(), modified.subsec_nanos())
        );
        assert_eq!(
            (planned.len_bytes, planned.inode, planned.device),
            (metadata.len(), metadata.ino(), metadata.dev())
        );
    }

    #[test]
    fn the_digest_is_frozen() {
        let hex: String = digest(&[file()]).iter().map(|byte| format!("{byte:02x}")).collect();
        insta::assert_snapshot!(hex, @"ad629493f5a18552c6de9c7dcbe1ee71ee4a74342ffc6c1f123713c7be8380d9");
    }

    #[test]
    fn every_part_of_a_plan_changes_its_digest() {
        let renamed = PlannedFile { name: "b.log".into(), ..file() };
        let mut digests = vec![
            digest(&[]),
            digest(&[file()]),
            digest(std::slice::from_ref(&renamed)),
            digest(&[PlannedFile { len_bytes: 9, ..file() }]),
            digest(&[PlannedFile { modified_secs: -9, ..file() }]),
            digest(&[PlannedFile { modified_nanos: 9, ..file() }]),
            digest(&[file(), renamed.clone()]),
            digest(&[renamed, file()]),
        ];
        digests.push(plan_digest(Kind { tag: *b"cas\0\0\0\0\0", ..KIND }, 1, &[file()], "policy"));
        digests.push(plan_digest(Kind { tag: *b"space\0\0\0", ..KIND }, 2, &[file()], "policy"));
        digests.push(plan_digest(Kind { tag: *b"space\0\0\0", ..KIND }, 1, &[file()], "other"));
        assert_eq!(digests.iter().collect::<BTreeSet<_>>().len(), digests.len());
    }

    #[test]
    fn numbers_that_a_reboot_changes_are_no_part_of_a_plan() {
        let elsewhere = PlannedFile { inode: 9, device: 9, ..file() };
        assert_eq!(digest(&[elsewhere]), digest(&[file()]));
    }

    #[test]
    fn the_nearest_directory_is_found() {
        let disk = SimulatedDisk::with_directories(&[Path::new("/a/b")]);
        for (path, nearest) in [("/a/b", "/a/b"), ("/a/b/c/d", "/a/b"), ("/x/y", "/"), ("/", "/")] {
            assert_eq!(nearest_directory(&disk, Path::new(path)).unwrap(), Path::new(nearest));
        }
    }

    #[test]
    fn a_disk_that_is_too_small_is_named_with_both_numbers() {
        let disk = SimulatedDisk::with_directories(&[Path::new("/target")]);
        disk.set_capacity(1 << 20);
        free_space_check(&disk, Path::new("/target"), 1 << 20).unwrap();
        let error = free_space_check(&disk, Path::new("/target"), (1 << 20) + 1).unwrap_err();
        insta::assert_snapshot!(error, @"/target: not enough space: 1.0 MiB needed (1048577 bytes), 1.0 MiB available (1048576 bytes)");
        assert_eq!(error.exit_code(), exit::TEMPORARY);
        assert!(error.next_step().unwrap().contains("run the same command again"));
    }
}
