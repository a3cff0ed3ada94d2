//! How many objects have old keys of each algorithm.

use serde::Serialize;

use super::format::key::Algorithm;

/// The number of objects by the algorithm of their old keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AlgorithmCounts {
    /// BLAKE2s-256.
    pub blake2s: u64,
    /// BLAKE3 without a prefix.
    pub blake3: u64,
    /// BLAKE3 behind `cas:`.
    pub cas: u64,
    /// SHA-256.
    pub sha256: u64,
}

impl From<[u64; 4]> for AlgorithmCounts {
    fn from(counts: [u64; 4]) -> Self {
        let count = |algorithm: Algorithm| counts[algorithm as usize];
        Self {
            blake2s: count(Algorithm::Blake2s),
            blake3: count(Algorithm::Blake3),
            cas: count(Algorithm::Cas),
            sha256: count(Algorithm::Sha256),
        }
    }
}
