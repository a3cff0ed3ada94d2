//! How a blob represents its content.

use std::fmt;

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
