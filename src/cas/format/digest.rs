//! Digests of content by every algorithm that ever made a key (docs/source-requiem.md, "Digests"): in one call for
//! content in memory, piece by piece for larger content.

use blake2::{Blake2s256, Digest};
use sha2::Sha256;

use super::key::{Algorithm, Key};

/// The bytes before the content in the input of a v2 key.
pub const CAS_PREFIX: [u8; 4] = *b"cas:";

/// Returns BLAKE3 of `bytes` without a prefix: `stored_blob_hash`, and the key of v0.7.
pub fn blake3_key(bytes: &[u8]) -> Key {
    Key(*blake3::hash(bytes).as_bytes())
}

/// Content in memory, after [`CAS_PREFIX`] in one buffer. BLAKE3 then hashes both as one run of whole chunks; a
/// separate prefix would shift every chunk by four bytes and keep BLAKE3 from its parallel code.
#[derive(Debug, Clone, Copy)]
pub struct Content<'a>(&'a [u8]);

impl<'a> Content<'a> {
    /// Returns the content after the prefix.
    ///
    /// # Panics
    /// If `prefixed` does not begin with [`CAS_PREFIX`].
    pub fn behind_prefix(prefixed: &'a [u8]) -> Self {
        assert!(prefixed.starts_with(&CAS_PREFIX), "content is loaded after its prefix");
        Self(prefixed)
    }

    /// Returns the content without the prefix.
    pub fn bytes(self) -> &'a [u8] {
        &self.0[CAS_PREFIX.len()..]
    }

    /// Returns the key by `algorithm`.
    pub fn key(self, algorithm: Algorithm) -> Key {
        match algorithm {
            Algorithm::Blake2s => Key(Blake2s256::digest(self.bytes()).into()),
            Algorithm::Blake3 => blake3_key(self.bytes()),
            Algorithm::Cas => blake3_key(self.0),
            Algorithm::Sha256 => Key(Sha256::digest(self.bytes()).into()),
        }
    }
}

/// Returns the key of `content` by `algorithm`, for content that is not in a buffer after a prefix.
pub fn key_of(algorithm: Algorithm, content: &[u8]) -> Key {
    let mut hasher = ContentHasher::new(&[algorithm]);
    hasher.update(content);
    hasher.finish().get(algorithm).expect("it was requested")
}

/// Hashes content that comes in pieces.
pub struct ContentHasher {
    blake2s: Option<Blake2s256>,
    blake3: Option<blake3::Hasher>,
    cas: Option<blake3::Hasher>,
    sha256: Option<Sha256>,
    len_bytes: u64,
}

impl ContentHasher {
    /// Creates a hasher that makes keys by these algorithms and no other.
    pub fn new(algorithms: &[Algorithm]) -> Self {
        let wants = |algorithm| algorithms.contains(&algorithm);
        let mut cas = blake3::Hasher::new();
        cas.update(&CAS_PREFIX);
        Self {
            blake2s: wants(Algorithm::Blake2s).then(Blake2s256::new),
            blake3: wants(Algorithm::Blake3).then(blake3::Hasher::new),
            cas: wants(Algorithm::Cas).then_some(cas),
            sha256: wants(Algorithm::Sha256).then(Sha256::new),
            len_bytes: 0,
        }
    }

    /// Hashes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        if let Some(hasher) = &mut self.blake2s {
            hasher.update(piece);
        }
        if let Some(hasher) = &mut self.blake3 {
            hasher.update(piece);
        }
        if let Some(hasher) = &mut self.cas {
            hasher.update(piece);
        }
        if let Some(hasher) = &mut self.sha256 {
            hasher.update(piece);
        }
        self.len_bytes += piece.len() as u64;
    }

    /// Returns the digests of all pieces.
    pub fn finish(self) -> Digests {
        let mut keys = [None; Algorithm::ALL.len()];
        keys[Algorithm::Blake2s as usize] = self.blake2s.map(|hasher| Key(hasher.finalize().into()));
        keys[Algorithm::Blake3 as usize] = self.blake3.map(|hasher| Key(*hasher.finalize().as_bytes()));
        keys[Algorithm::Cas as usize] = self.cas.map(|hasher| Key(*hasher.finalize().as_bytes()));
        keys[Algorithm::Sha256 as usize] = self.sha256.map(|hasher| Key(hasher.finalize().into()));
        Digests { keys, len_bytes: self.len_bytes }
    }
}

/// Digests of one content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digests {
    keys: [Option<Key>; Algorithm::ALL.len()],
    /// Length of the content.
    pub len_bytes: u64,
}

impl Digests {
    /// Returns the key by `algorithm`, if the hasher was asked for it.
    pub fn get(&self, algorithm: Algorithm) -> Option<Key> {
        self.keys[algorithm as usize]
    }

    /// Returns the algorithm by which `name` is the key of this content.
    pub fn algorithm_of(&self, name: Key) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|&algorithm| self.get(algorithm) == Some(name))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hex(text: &str) -> Key {
        Key::parse(text.as_bytes()).expect("a key")
    }

    #[test]
    fn hello_has_the_known_keys() {
        let content = Content::behind_prefix(b"cas:hello");
        let expected = [
            (Algorithm::Sha256, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"),
            (Algorithm::Blake2s, "19213bacc58dee6dbde3ceb9a47cbb330b3d86f8cca8997eb00be456f140ca25"),
            (Algorithm::Blake3, "ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f"),
            (Algorithm::Cas, "888c953ef5078f3680b54066bbb320e65bfee61773f13a8813b211a8001fb12d"),
        ];
        for (algorithm, key) in expected {
            assert_eq!(content.key(algorithm), hex(key), "{algorithm}");
        }
    }

    #[test]
    fn an_old_key_is_unique_only_together_with_its_algorithm() {
        assert_eq!(key_of(Algorithm::Blake3, b"cas:hello"), key_of(Algorithm::Cas, b"hello"));
    }

    proptest! {
        #[test]
        fn pieces_have_the_digest_of_the_whole(content: Vec<u8>, cuts in proptest::collection::vec(0_usize..100, 0..5)) {
            let mut hasher = ContentHasher::new(&Algorithm::ALL);
            let mut rest = content.as_slice();
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                hasher.update(piece);
                rest = after;
            }
            hasher.update(rest);
            let digests = hasher.finish();
            let prefixed = [&CAS_PREFIX[..], &content].concat();
            for algorithm in Algorithm::ALL {
                let key = Content::behind_prefix(&prefixed).key(algorithm);
                prop_assert_eq!(digests.get(algorithm), Some(key));
                prop_assert_eq!(key_of(algorithm, &content), key);
                prop_assert_eq!(digests.algorithm_of(key), Some(algorithm));
            }
            prop_assert_eq!(digests.len_bytes, content.len() as u64);
        }
    }
}
