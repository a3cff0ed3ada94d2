//! How the names of the families begin.

use std::collections::HashSet;
use std::str::FromStr;

use super::families::FAMILIES;

/// The prefix unless another one is wanted.
pub const DEFAULT_PREFIX: &str = "haul_migration";
/// Longer ones help nobody.
const LEN_MAX: usize = 64;

/// A prefix under which each family has a name of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricsPrefix(String);

impl Default for MetricsPrefix {
    fn default() -> Self {
        Self(DEFAULT_PREFIX.to_owned())
    }
}

impl MetricsPrefix {
    /// Returns it as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for MetricsPrefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_head = |byte: &u8| byte.is_ascii_lowercase() || *byte == b'_';
        let is_tail = |byte: &u8| is_head(byte) || byte.is_ascii_digit();
        let (head, tail) = text.as_bytes().split_at(text.len().min(1));
        if head.is_empty() || text.len() > LEN_MAX || !head.iter().all(is_head) || !tail.iter().all(is_tail) {
            return Err(format!(
                "up to {LEN_MAX} small letters, digits and underscores are needed, and no digit first"
            ));
        }
        let mut names = HashSet::new();
        match FAMILIES.iter().map(|family| family.full_name(text)).find(|name| !names.insert(name.clone())) {
            Some(name) => Err(format!("{name} would be the name of two metrics")),
            None => Ok(Self(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_name_that_is_free() {
        for good in [DEFAULT_PREFIX, "haul", "_x9", "my_move"] {
            assert_eq!(good.parse::<MetricsPrefix>().expect(good).as_str(), good);
        }
        for bad in ["", "9a", "a-b", "a:b", "ä", "a b", "Haul", "a\n", &"a".repeat(65)] {
            assert!(bad.parse::<MetricsPrefix>().is_err(), "{bad:?}");
        }
        let taken = "engram_migration".parse::<MetricsPrefix>().unwrap_err();
        assert_eq!(taken, "engram_migration_progress_ratio would be the name of two metrics");
        assert!("haul_build".parse::<MetricsPrefix>().is_err());
    }
}
