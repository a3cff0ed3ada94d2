//! How blobs represent their content, and how a target encodes them.

use std::fmt;
use std::str::FromStr;

use super::frame::{LEVEL_DEFAULT, level_is_valid};

/// How the bytes of a blob represent the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Encoding {
    /// The bytes are the content.
    Identity = 0,
    /// The bytes are zstd frames of the content.
    Zstd = 1,
}

impl Encoding {
    /// Returns the name in sidecars.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Zstd => "zstd",
        }
    }

    /// Returns the encoding with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Identity, Self::Zstd].into_iter().find(|encoding| encoding.name() == name)
    }

    /// Returns the encoding that is stored as `number`.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Identity, Self::Zstd].get(usize::from(number)).copied()
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How the target encodes blobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, bincode::Encode, bincode::Decode)]
pub enum Compress {
    /// As in the source, byte for byte.
    #[default]
    AsStored,
    /// Without compression.
    Identity,
    /// One zstd frame of this level for each blob.
    Zstd(i32),
}

impl fmt::Display for Compress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsStored => f.write_str("as-stored"),
            Self::Identity => f.write_str("identity"),
            Self::Zstd(level) => write!(f, "zstd:{level}"),
        }
    }
}

/// A text that names no encoding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of as-stored, identity, zstd, zstd:1 to zstd:22")]
pub struct UnknownCompress(String);

impl FromStr for Compress {
    type Err = UnknownCompress;

    fn from_str(text: &str) -> Result<Self, UnknownCompress> {
        let unknown = || UnknownCompress(text.to_owned());
        match text {
            "as-stored" => Ok(Self::AsStored),
            "identity" => Ok(Self::Identity),
            "zstd" => Ok(Self::Zstd(LEVEL_DEFAULT)),
            _ => {
                let level = text.strip_prefix("zstd:").and_then(|level| level.parse().ok());
                level.filter(|&level| level_is_valid(level)).map(Self::Zstd).ok_or_else(unknown)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_parsed_from_their_names() {
        assert_eq!("zstd".parse(), Ok(Compress::Zstd(3)));
        assert_eq!("zstd:22".parse(), Ok(Compress::Zstd(22)));
        for wrong in ["zstd:0", "zstd:23", "zstd:", "gzip", ""] {
            assert!(wrong.parse::<Compress>().is_err(), "{wrong}");
        }
    }
}
