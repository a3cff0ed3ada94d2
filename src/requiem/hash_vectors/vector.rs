//! One digest, and what it is made of.

use std::fmt;
use std::sync::Arc;

use crate::cas::format::key::{Algorithm, Key};
use crate::requiem::hash_domain::Domain;

/// A digest that must be the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vector {
    /// What is hashed, for people.
    pub name: String,
    /// What is hashed, without a prefix.
    pub input: Input,
    /// How it is hashed.
    pub function: Function,
    /// The digest that must be the result.
    pub expected: Key,
}

/// The input of a hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// These bytes.
    Bytes(Arc<[u8]>),
    /// Bytes of which byte `i` is `i mod 251`.
    Pattern {
        /// How many bytes.
        len_bytes: u32,
    },
}

impl Input {
    /// Appends the bytes.
    pub fn push_to(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Bytes(input) => bytes.extend_from_slice(input),
            Self::Pattern { len_bytes } => bytes.extend((0..*len_bytes).map(|index| (index % 251) as u8)),
        }
    }
}

/// How a digest is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Function {
    /// As the key of an object.
    Key(Algorithm),
    /// In a domain; never [`Domain::Cas`], which is the key by [`Algorithm::Cas`].
    Domain(Domain),
}

impl From<Algorithm> for Function {
    fn from(algorithm: Algorithm) -> Self {
        Self::Key(algorithm)
    }
}

impl From<Domain> for Function {
    fn from(domain: Domain) -> Self {
        if domain == Domain::Cas { Self::Key(Algorithm::Cas) } else { Self::Domain(domain) }
    }
}

impl fmt::Display for Function {
    /// Writes the name of an algorithm without a prefix, else the prefix.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(Algorithm::Cas) => Domain::Cas.fmt(f),
            Self::Key(algorithm) => algorithm.fmt(f),
            Self::Domain(domain) => domain.fmt(f),
        }
    }
}
