//! What this program can do for a store, under the names that the reference's `health` uses (docs/source-requiem.md,
//! "Tools around a store").

use serde::Serialize;

use crate::cas::format::digest::key_of;
use crate::cas::format::encoding::Encoding;
use crate::cas::format::key::Algorithm;

/// Known keys of the content `hello` (docs/source-requiem.md, "Hash vectors"). A broken primitive gives others.
const HELLO: [(Algorithm, &str); 4] = [
    (Algorithm::Blake2s, "19213bacc58dee6dbde3ceb9a47cbb330b3d86f8cca8997eb00be456f140ca25"),
    (Algorithm::Blake3, "ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f"),
    (Algorithm::Cas, "888c953ef5078f3680b54066bbb320e65bfee61773f13a8813b211a8001fb12d"),
    (Algorithm::Sha256, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"),
];

/// The members that the reference prints, and what else can be said about this program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Health {
    /// The digest of new keys.
    pub hash_primitive: &'static str,
    /// Where the code of the digest comes from.
    pub hash_backend: &'static str,
    /// Version of the construction.
    pub hash_version: &'static str,
    /// True if every algorithm gives the known digests.
    pub hash_available: bool,
    /// True if another digest replaces BLAKE3, which haul never does.
    pub compat_warning: bool,
    /// The layout that is written.
    pub cas_version: &'static str,
    /// The encodings that are read and written.
    pub compression_capabilities: [&'static str; 2],
    /// The algorithms whose keys are recognised.
    pub key_algorithms: [&'static str; 4],
}

/// Tests every primitive and describes them.
pub fn health() -> Health {
    let works = |(algorithm, key): &(Algorithm, &str)| key_of(*algorithm, b"hello").to_string() == *key;
    Health {
        hash_primitive: "blake3",
        hash_backend: "crate",
        hash_version: "1",
        hash_available: HELLO.iter().all(works),
        compat_warning: false,
        cas_version: "v2",
        compression_capabilities: [Encoding::Identity.name(), Encoding::Zstd.name()],
        key_algorithms: Algorithm::ALL.map(Algorithm::name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_primitive_works() {
        assert!(health().hash_available);
    }
}
