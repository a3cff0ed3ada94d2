//! How the bytes of a blob stand for its content.

use std::fmt;

/// How the bytes of a blob stand for the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Encoding {
    /// They are the content.
    Identity = 0,
    /// They are zstd frames of it.
    Zstd = 1,
}

impl Encoding {
    /// Its name in sidecars.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Zstd => "zstd",
        }
    }

    /// The encoding of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Identity, Self::Zstd].into_iter().find(|encoding| encoding.name() == name)
    }

    /// The encoding that is stored as `number`.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Identity, Self::Zstd].get(usize::from(number)).copied()
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
