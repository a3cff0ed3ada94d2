//! Versions of migrations: whole numbers of any length.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// A version: `1`, `002`, `20260228120000`, or longer. Versions are compared as numbers, so `10` comes after `9`, and
/// `002` equals `2`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Version(String);

/// The error for a text that is not a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a version is a whole number")]
pub struct NotAVersion;

impl Version {
    /// Returns the digits without leading zeros.
    pub fn digits(&self) -> &str {
        &self.0
    }

    /// Returns true for 0, which stands for the state before the first migration.
    pub fn is_zero(&self) -> bool {
        self.0 == "0"
    }

    /// Returns the next whole number.
    pub fn next(&self) -> Self {
        let kept = self.0.trim_end_matches('9');
        let mut digits = match kept.char_indices().next_back() {
            Some((last, digit)) => format!("{}{}", &kept[..last], char::from(digit as u8 + 1)),
            None => "1".to_owned(),
        };
        digits.extend(std::iter::repeat_n('0', self.0.len() - kept.len()));
        Self(digits)
    }
}

impl FromStr for Version {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NotAVersion);
        }
        let digits = text.trim_start_matches('0');
        Ok(Self(if digits.is_empty() { "0".into() } else { digits.into() }))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        // Leading zeros are gone, so the longer text is the larger number.
        (self.0.len(), &self.0).cmp(&(other.0.len(), &other.0))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(text: &str) -> Version {
        text.parse().expect("a version")
    }

    #[test]
    fn versions_of_any_length_are_numbers() {
        let long = "9".repeat(50);
        let sorted = ["0", "2", "9", "10", "20260228120000", &long];
        assert!(sorted.windows(2).all(|pair| version(pair[0]) < version(pair[1])));
        assert_eq!(version("0002"), version("2"));
        assert_eq!(version(&long).next().digits(), format!("1{}", "0".repeat(50)));
        for text in ["", "1.2", "-1", "x", "1 ", "١"] {
            assert_eq!(text.parse::<Version>(), Err(NotAVersion), "{text}");
        }
    }

    proptest! {
        #[test]
        fn versions_behave_like_their_numbers(a: u64, b: u64) {
            let (first, second) = (version(&a.to_string()), version(&format!("00{b}")));
            prop_assert_eq!(first.cmp(&second), a.cmp(&b));
            prop_assert_eq!(first.next().to_string(), (u128::from(a) + 1).to_string());
        }
    }
}
