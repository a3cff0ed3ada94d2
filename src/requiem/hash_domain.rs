//! Digests of things that are not objects of a store (docs/source-requiem.md, "Digests"): BLAKE3 of a prefix and a
//! payload, concatenated without a separator, a length or a key.

use std::fmt;

use crate::cas::format::key::Key;

/// What a digest is made of. The prefix keeps digests of different things apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Domain {
    /// A capability fingerprint.
    Capability,
    /// The content of an object. The digest is its key.
    Cas,
    /// A cost receipt.
    Cost,
    /// A link of the event chain.
    Event,
    /// An engine fingerprint: the text of the ABI, hash and store versions, `2|1|2`.
    Fingerprint,
    /// A plan hash or a run id.
    Plan,
    /// A policy decision.
    Policy,
    /// A receipt.
    Receipt,
    /// A canonical request: `request_digest`.
    Request,
    /// A canonical result: `result_digest`.
    Result,
    /// A snapshot.
    Snapshot,
}

impl Domain {
    /// All domains, sorted by prefix.
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

    /// Returns the text before the payload, with its colon.
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

    /// Returns the domain with that prefix, which includes the colon.
    pub fn from_prefix(prefix: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|domain| domain.prefix() == prefix)
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.prefix())
    }
}

/// Returns the digest of `payload` in `domain`.
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
    fn a_digest_is_made_of_prefix_and_payload_joined() {
        for domain in Domain::ALL {
            let joined = format!("{domain}payload");
            assert_eq!(digest(domain, b"payload"), blake3_key(joined.as_bytes()));
        }
        assert_eq!(digest(Domain::Cas, b"hello"), key_of(Algorithm::Cas, b"hello"));
    }
}
