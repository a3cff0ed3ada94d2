//! The names of the files next to a manifest: its backups and its temporary files (docs/source-sigilzero.md,
//! "Backups").

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use crate::manifest::document::checksum::hex;
use crate::manifest::document::version::Version;

/// The name of the manifests that a scan finds.
pub const MANIFEST: &str = "manifest.json";

const TEMPORARY_END: &[u8] = b".haul-tmp";
const BACKUP_END: &str = ".backup";
/// Number of digits of the SHA-256 in the name of a backup. They keep the backups of different contents of one version
/// apart.
const CONTENT_DIGITS: usize = 12;

/// Returns the name of the temporary file that replaces a file: `.NAME.haul-tmp`.
pub fn temporary_name(name: &OsStr) -> OsString {
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(OsStr::from_bytes(TEMPORARY_END));
    temporary
}

/// Returns true if the name is that of a temporary file of a run.
pub fn is_temporary(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.starts_with(b".") && name.ends_with(TEMPORARY_END)
}

/// Returns the name of the backup of a file by its version and the SHA-256 of its content, such as
/// `NAME.v1.0.0.0123456789ab.backup`.
pub fn backup_name(name: &OsStr, version: Version, content: &[u8; 32]) -> OsString {
    let mut backup = name.to_owned();
    backup.push(format!(".v{version}.{}{BACKUP_END}", &hex(content)[..CONTENT_DIGITS]));
    backup
}

/// Returns the name that the original gives to a backup: the suffix is replaced by `.json.backup`.
pub fn compat_backup_name(name: &OsStr) -> OsString {
    let bytes = name.as_bytes();
    let stem = match bytes.iter().rposition(|&byte| byte == b'.') {
        Some(at) if at > 0 && at + 1 < bytes.len() => &bytes[..at],
        _ => bytes,
    };
    let mut backup = OsStr::from_bytes(stem).to_owned();
    backup.push(".json");
    backup.push(BACKUP_END);
    backup
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backups_are_named_by_version_and_content() {
        let name = backup_name("manifest.json".as_ref(), Version::FIRST, &[0xab; 32]);
        assert_eq!(name, "manifest.json.v1.0.0.abababababab.backup");
    }

    #[test]
    fn the_original_replaces_the_suffix() {
        let expected = [
            ("manifest.json", "manifest.json.backup"),
            ("run.v2.json", "run.v2.json.backup"),
            ("manifest", "manifest.json.backup"),
            ("m.txt", "m.json.backup"),
            (".m", ".m.json.backup"),
            ("m.", "m..json.backup"),
        ];
        for (name, backup) in expected {
            assert_eq!(compat_backup_name(name.as_ref()), backup);
        }
    }

    #[test]
    fn temporary_names_are_distinguished_from_others() {
        let name = temporary_name("manifest.json".as_ref());
        assert!(is_temporary(&name) && !is_temporary("manifest.json".as_ref()));
        assert!(!is_temporary(".manifest.json.tmp".as_ref()));
    }
}
