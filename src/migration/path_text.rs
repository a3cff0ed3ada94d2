//! Paths in documents for programs.

use std::path::Path;

use serde::Serializer;

/// Serialises a path as it is shown to people. A path need not be text: bytes that are no UTF-8 become `U+FFFD`, where
/// serde's own way would fail.
pub fn serialize_path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn a_path_that_is_no_text_is_shown_all_the_same() {
        let text = |bytes: &[u8]| serialize_path(Path::new(OsStr::from_bytes(bytes)), serde_json::value::Serializer);
        assert_eq!(text(b"a/b").unwrap(), "a/b");
        assert_eq!(text(b"a/\xff").unwrap(), "a/\u{fffd}");
    }
}
