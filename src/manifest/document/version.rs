//! Versions of the manifest schema (docs/source-sigilzero.md, "Versions and paths").

use std::fmt;
use std::str::FromStr;

/// A version of the manifest schema. Versions are ordered as numbers: 1.10.0 comes after 1.2.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Raised by steps that remove, rename or overwrite.
    pub major: u32,
    /// Raised by steps that add.
    pub minor: u32,
    /// Raised by steps that neither add nor remove members.
    pub patch: u32,
}

/// A text that is not a version, such as `1.0`, `v1.0.0`, `1.0.0-rc1` or `01.0.0`.
// The original compares versions as strings, so other spellings of a version never match one of its steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a version of the form MAJOR.MINOR.PATCH")]
pub struct VersionError;

impl Version {
    /// The version of manifests that were written before the schema had versions.
    pub const FIRST: Self = Self::new(1, 0, 0);

    /// Returns the version `major.minor.patch`.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let mut parts = text.split('.').map(number);
        let mut next = || parts.next().flatten().ok_or(VersionError);
        let version = Self::new(next()?, next()?, next()?);
        if parts.next().is_some() { Err(VersionError) } else { Ok(version) }
    }
}

/// Parses digits without a sign or leading zeros, so that each version has exactly one text.
fn number(part: &str) -> Option<u32> {
    let is_plain = part.bytes().all(|byte| byte.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
    if is_plain { part.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_has_one_text() {
        for text in ["0.0.0", "1.0.0", "1.10.0", "4294967295.0.1"] {
            assert_eq!(text.parse::<Version>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_text_that_only_resembles_a_version_is_refused() {
        for text in
            ["", "1.0", "1.0.0.0", "v1.0.0", " 1.0.0", "1.0.0-rc1", "01.0.0", "+1.0.0", "1..0", "4294967296.0.0"]
        {
            assert_eq!(text.parse::<Version>(), Err(VersionError), "{text}");
        }
    }

    #[test]
    fn versions_are_ordered_as_numbers() {
        let [old, new] = ["1.2.0", "1.10.0"].map(|text| text.parse::<Version>().unwrap());
        assert!(old < new);
    }
}
