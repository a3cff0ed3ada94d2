//! Versions of the schema: `MAJOR.MINOR.PATCH` and nothing else (docs/source-sigilzero.md, "Versions and paths").

use std::fmt;
use std::str::FromStr;

/// A version of the manifest schema, ordered as semantic versions are: 1.10.0 comes after 1.2.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Raised by steps that remove, rename or overwrite.
    pub major: u32,
    /// Raised by steps that add.
    pub minor: u32,
    /// Raised by steps that change no shape.
    pub patch: u32,
}

/// A text that is no version: `1.0`, `v1.0.0`, `1.0.0-rc1`, `01.0.0` and their like have no path
/// (docs/source-sigilzero.md, "Versions and paths").
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a version of the form MAJOR.MINOR.PATCH")]
pub struct VersionError;

impl Version {
    /// The version of manifests that were written before the schema had versions.
    pub const FIRST: Self = Self::new(1, 0, 0);

    /// `major.minor.patch`
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

/// Digits without a sign or leading zeros: one version has one text.
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
    fn what_only_resembles_a_version_is_none() {
        for text in
            ["", "1.0", "1.0.0.0", "v1.0.0", " 1.0.0", "1.0.0-rc1", "01.0.0", "+1.0.0", "1..0", "4294967296.0.0"]
        {
            assert_eq!(text.parse::<Version>(), Err(VersionError), "{text}");
        }
    }

    #[test]
    fn order_is_that_of_numbers() {
        let [old, new] = ["1.2.0", "1.10.0"].map(|text| text.parse::<Version>().unwrap());
        assert!(old < new);
    }
}
