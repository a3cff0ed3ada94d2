//! The pointer file: one short line that says which store readers take. Replacing it publishes.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::Error;
use crate::durable::{Disk, read_file, replace_file};

/// Name of the pointer file.
pub const FILE_NAME: &str = "CURRENT";
/// The longest value.
pub const VALUE_BYTES_MAX: usize = 64;

/// The value published in `directory`, `None` if there is no pointer file.
///
/// The newline at the end is required: without it the start of a longer value could pass for a value.
pub fn read(disk: &dyn Disk, directory: &Path) -> Result<Option<String>, Error> {
    let path = directory.join(FILE_NAME);
    if disk.kind(&path)?.is_none() {
        return Ok(None);
    }
    let damaged = |path: PathBuf, what: String| Error::State {
        path,
        what,
        next: "put back the name of the store to read, alone on one line".into(),
        damaged: true,
        source: None,
    };
    let bytes = match read_file(disk, &path, VALUE_BYTES_MAX as u64 + 1) {
        Err(e) if e.kind() == ErrorKind::InvalidData => {
            return Err(damaged(path, format!("pointer damaged: {}", e.source)));
        }
        bytes => bytes?,
    };
    match bytes.strip_suffix(b"\n").filter(|value| is_valid(value)) {
        Some(value) => Ok(Some(value.iter().map(|&byte| byte as char).collect())),
        None => Err(damaged(path, format!("pointer damaged: it holds \"{}\"", bytes.escape_ascii()))),
    }
}

/// Publishes `value` in `directory` in one durable step. It holds lower-case letters, digits and `-`, at most
/// [`VALUE_BYTES_MAX`] of them.
pub fn publish(disk: &dyn Disk, directory: &Path, value: &str) -> Result<(), Error> {
    let path = directory.join(FILE_NAME);
    if !is_valid(value.as_bytes()) {
        let what = format!("\"{}\" cannot be published: a name of at most 64 of a-z, 0-9, - is needed", value);
        return Err(Error::Usage { what, next: "choose another name for the store".into() });
    }
    Ok(replace_file(disk, &path, format!("{value}\n").as_bytes())?)
}

fn is_valid(value: &[u8]) -> bool {
    (1..=VALUE_BYTES_MAX).contains(&value.len())
        && value.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migration::test_disk::{bytes_of, crash_faults, disk, put};

    fn directory() -> &'static Path {
        Path::new("/space")
    }

    #[test]
    fn an_absent_pointer_is_none() {
        assert_eq!(read(&disk(), directory()).unwrap(), None);
    }

    #[test]
    fn what_is_published_is_read_and_nothing_else_is_left() {
        let disk = disk();
        for value in ["wal", "dual-000001", &"a".repeat(64)] {
            publish(&disk, directory(), value).unwrap();
            assert_eq!(read(&disk, directory()).unwrap().as_deref(), Some(value));
        }
        assert_eq!(disk.list(directory()).unwrap().len(), 1);
    }

    #[test]
    fn bytes_are_frozen() {
        let disk = disk();
        publish(&disk, directory(), "dual-000001").unwrap();
        assert_eq!(bytes_of(&disk, Path::new("/space/CURRENT")), b"dual-000001\n");
    }

    #[test]
    fn anything_else_is_damaged() {
        let too_long = format!("{}\n", "a".repeat(65));
        let wrong: [&[u8]; 10] = [
            b"",
            b"\n",
            b"wal",
            b"wal\n\n",
            b"wal\r\n",
            b" wal\n",
            b"WAL\n",
            b"../wal\n",
            b"w\xff\n",
            too_long.as_bytes(),
        ];
        for bytes in wrong {
            let disk = disk();
            put(&disk, Path::new("/space/CURRENT"), bytes);
            let error = read(&disk, directory()).unwrap_err();
            assert!(matches!(error, Error::State { damaged: true, .. }), "{error}");
        }
    }

    #[test]
    fn a_value_that_could_not_be_read_is_not_published() {
        let disk = disk();
        for value in ["", "Dual", "a/b", "a\n", &"a".repeat(65)] {
            publish(&disk, directory(), value).unwrap_err();
        }
        assert_eq!(disk.list(directory()).unwrap(), []);
    }

    #[test]
    fn a_crash_at_any_operation_leaves_the_old_or_the_new() {
        let disk = disk();
        publish(&disk, directory(), "wal").unwrap();
        let before_operations = disk.operations();
        publish(&disk, directory(), "dual-000001").unwrap();
        for fault in crash_faults() {
            for after in before_operations..=disk.operations() {
                let image = disk.crash_image(after, fault);
                let found = read(&image, directory()).unwrap().unwrap();
                let is_old = found == "wal" && after < disk.operations();
                assert!(is_old || found == "dual-000001", "{fault:?} behind {after}: {found}");
                publish(&image, directory(), "dual-000002").unwrap();
                assert_eq!(read(&image, directory()).unwrap().unwrap(), "dual-000002");
            }
        }
    }
}
