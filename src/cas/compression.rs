//! How content is to be stored: `identity`, `zstd` or `zstd:LEVEL` (spec/requiem.md A7).

use std::fmt;
use std::str::FromStr;

use super::frame::{LEVEL_DEFAULT, level_is_valid};
use super::record::Encoding;

/// How content is to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// As it is.
    #[default]
    Identity,
    /// As one zstd frame, also where that is longer than the content.
    Zstd {
        /// 1 to 22.
        level: i32,
    },
}

impl Compression {
    /// How blobs made so are encoded.
    pub fn encoding(self) -> Encoding {
        match self {
            Self::Identity => Encoding::Identity,
            Self::Zstd { .. } => Encoding::Zstd,
        }
    }
}

/// A text that says no way of storing content.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown compression '{0}', expected identity, zstd or zstd:LEVEL with a level from 1 to 22")]
pub struct UnknownCompression(String);

impl FromStr for Compression {
    type Err = UnknownCompression;

    fn from_str(text: &str) -> Result<Self, UnknownCompression> {
        let unknown = || UnknownCompression(text.into());
        match text.split_once(':') {
            None if text == "identity" => Ok(Self::Identity),
            None if text == "zstd" => Ok(Self::Zstd { level: LEVEL_DEFAULT }),
            Some(("zstd", level)) => {
                let level = level.parse().ok().filter(|&level| level_is_valid(level)).ok_or_else(unknown)?;
                Ok(Self::Zstd { level })
            }
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity => f.pad("identity"),
            Self::Zstd { level } => f.pad(&format!("zstd:{level}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressions_are_read_as_they_are_printed() {
        for compression in [Compression::Identity, Compression::Zstd { level: 1 }, Compression::Zstd { level: 22 }] {
            assert_eq!(compression.to_string().parse(), Ok(compression));
        }
        assert_eq!("zstd".parse(), Ok(Compression::Zstd { level: 3 }));
        for text in ["", "gzip", "off", "zstd:", "zstd:0", "zstd:23", "zstd:-1", "identity:3", "ZSTD"] {
            assert_eq!(text.parse::<Compression>(), Err(UnknownCompression(text.into())));
        }
    }
}
