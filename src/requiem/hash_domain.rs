//! Digests of what is not an object of a store (spec/requiem.md A1): BLAKE3 of a prefix and a payload, joined plainly,
//! without a separator, a length or a key.

use std::fmt;

use crate::cas::format::key::Key;

/// What a digest is of; the prefix keeps digests of different things apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Domain {
    /// Capability fingerprint.
    Capability,
    /// Content of an object: its key.
    Cas,
    /// Cost receipt.
    Cost,
    /// Link of the event chain.
    Event,
    /// Engine fingerprint: the text of the ABI, hash and store versions, `2|1|2`.
    Fingerprint,
    /// Plan hash and run id.
    Plan,
    /// Policy decision.
    Policy,
    /// Receipt.
    Receipt,
    /// `request_digest`: canonical request.
    Request,
    /// `result_digest`: canonical result.
    Result,
    /// Snapshot.
    Snapshot,
}

impl Domain {
    /// All of them, by prefix.
    pub const ALL: [Self; 11] = [
        Self::Capability,
        Self::Cas,
        Self::Cost,
        Self::Event,
        Self::Fingerprint,
        Self::Plan,
        Self::Policy,
        Self::Receipt,
        Self::Request,
        Self::Result,
        Self::Snapshot,
    ];

    /// What stands before the payload, its colon included.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Capability => "cap:",
            Self::Cas => "cas:",
            Self::Cost => "cost:",
            Self::Event => "evt:",
            Self::Fingerprint => "fgrp:",
            Self::Plan => "plan:",
            Self::Policy => "pol:",
            Self::Receipt => "rcpt:",
            Self::Request => "req:",
            Self::Result => "res:",
            Self::Snapshot => "snap:",
        }
    }

    /// The domain of that prefix, its colon included.
    pub fn from_prefix(prefix: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|domain| domain.prefix() == prefix)
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.prefix())
    }
}

/// The digest of `payload` in `domain`.
pub fn digest(domain: Domain, payload: &[u8]) -> Key {
    let mut hasher = blake3::Hasher::new();
    hasher.update(domain.prefix().as_bytes()).update(payload);
    Key(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cas::format::digest::{blake3_key, key_of};
    use crate::cas::format::key::Algorithm;

    #[test]
    fn domains_are_ordered_by_prefix_and_found_by_it() {
        assert!(Domain::ALL.map(Domain::prefix).is_sorted());
        assert!(Domain::ALL.is_sorted());
        for domain in Domain::ALL {
            assert_eq!(Domain::from_prefix(domain.prefix()), Some(domain));
        }
        assert_eq!((Domain::from_prefix("req"), Domain::from_prefix("")), (None, None));
    }

    #[test]
    fn a_digest_is_that_of_prefix_and_payload_joined() {
        for domain in Domain::ALL {
            let joined = format!("{domain}payload");
            assert_eq!(digest(domain, b"payload"), blake3_key(joined.as_bytes()));
        }
        assert_eq!(digest(Domain::Cas, b"hello"), key_of(Algorithm::Cas, b"hello"));
    }
}
