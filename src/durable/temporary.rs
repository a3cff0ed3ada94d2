//! Names of temporary files in directories to which others may write at the same time.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use uuid::Uuid;

/// What stands between the name of a file and that of its writer.
const MARK: &[u8] = b".haul-";
const END: &[u8] = b".tmp";
/// The number of hex digits for the host, and of the random ones.
const DIGITS: usize = 8;
/// The longest name of a file on Linux.
const NAME_BYTES_MAX: usize = 255;

/// What a writer has in its names that holds no lock of the directory.
const FREE: &str = "free-";

/// Returns a name in the directory of `path` that no other process uses, on any host:
/// `.NAME.haul-free-HOST-PROCESS-RANDOM.tmp`. A long `NAME` is cut.
pub fn unique_temporary_name(path: &Path) -> PathBuf {
    named_by(path, FREE)
}

/// Returns a name like [`unique_temporary_name`], for a writer that holds the lock of the directory:
/// `.NAME.haul-HOST-PROCESS-RANDOM.tmp`.
pub fn temporary_name_under_lock(path: &Path) -> PathBuf {
    named_by(path, "")
}

fn named_by(path: &Path, kind: &str) -> PathBuf {
    let random = Uuid::new_v4().simple().to_string();
    let writer = format!("{kind}{}-{}-{}", host(), std::process::id(), &random[..DIGITS]);
    let end = [MARK, writer.as_bytes(), END].concat();
    let name = path.file_name().unwrap_or_default();
    let mut temporary = vec![b'.'];
    temporary.extend_from_slice(cut(name, NAME_BYTES_MAX - 1 - end.len()));
    temporary.extend_from_slice(&end);
    path.with_file_name(OsString::from_vec(temporary))
}

/// Returns true if a process on this host gave the name with [`temporary_name_under_lock`].
///
/// For the holder of the lock such a file is a leftover: its writer held the lock until its files had their names, so it
/// has ended. Of another host's files nothing is known, because a lock may not reach it.
pub fn is_leftover(name: &OsStr) -> bool {
    let Some(name) = name.as_bytes().strip_prefix(b".").and_then(|name| name.strip_suffix(END)) else { return false };
    let Some(at) = name.windows(MARK.len()).rposition(|window| window == MARK) else { return false };
    let mut parts = name[at + MARK.len()..].split(|&byte| byte == b'-');
    let (of_host, process, random) = (parts.next(), parts.next(), parts.next());
    of_host == Some(host().as_bytes())
        && process.is_some_and(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
        && random.is_some_and(|digits| digits.len() == DIGITS && digits.iter().all(u8::is_ascii_hexdigit))
        && parts.next().is_none()
}

/// Tells hosts that share a directory apart. Their names may be equal; then their machine ids differ.
fn host() -> &'static str {
    static HOST: OnceLock<String> = OnceLock::new();
    HOST.get_or_init(|| {
        let mut hasher = blake3::Hasher::new();
        hasher.update(rustix::system::uname().nodename().to_bytes());
        hasher.update(&std::fs::read("/etc/machine-id").unwrap_or_default());
        hasher.finalize().to_hex()[..DIGITS].to_owned()
    })
}

/// Cuts a name, and no character of it into pieces.
fn cut(name: &OsStr, bytes_max: usize) -> &[u8] {
    let bytes = name.as_bytes();
    if bytes.len() <= bytes_max {
        return bytes;
    }
    match name.to_str() {
        Some(text) => &bytes[..text.floor_char_boundary(bytes_max)],
        None => &bytes[..bytes_max],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_names_are_equal_and_only_those_under_a_lock_are_leftovers() {
        let path = Path::new("/tree/refs.json");
        let names = [temporary_name_under_lock(path), temporary_name_under_lock(path), unique_temporary_name(path)];
        assert!(names[0] != names[1] && names[1] != names[2]);
        for (name, expected) in names.iter().zip([true, true, false]) {
            assert_eq!(name.parent(), path.parent());
            let text = name.file_name().unwrap();
            assert!(text.as_bytes().starts_with(b".refs.json.haul-") && text.as_bytes().ends_with(b".tmp"));
            assert_eq!(is_leftover(text), expected, "{}", name.display());
        }
    }

    #[test]
    fn names_of_others_are_not_taken_for_leftovers() {
        let own = temporary_name_under_lock(Path::new("a"));
        let own = own.to_str().unwrap();
        let (of_another_host, without_end) = (own.replace(host(), "00000000"), own.replace(".tmp", ""));
        for name in [".a.tmp", ".a.haul-x.tmp", ".a.haul-backup.tmp", &of_another_host, &own[1..], &without_end] {
            assert!(!is_leftover(name.as_ref()), "{name}");
        }
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        for name in ["a".repeat(255), "é".repeat(127)] {
            let temporary = temporary_name_under_lock(Path::new(&name));
            assert!(temporary.as_os_str().len() <= NAME_BYTES_MAX && temporary.to_str().is_some());
            assert!(is_leftover(temporary.as_os_str()));
        }
    }
}
