//! Hashes every vector at once, in pieces, and on several threads.

use std::collections::BTreeMap;

use serde::Serialize;

use super::vector::{Function, Vector};
use crate::cas::format::digest::{CAS_PREFIX, Content, ContentHasher};
use crate::cas::format::key::{Algorithm, Key};
use crate::requiem::hash_domain::digest;

/// Lengths of pieces: below, at and above the 64-byte block and the 1,024-byte chunk of BLAKE3. A streaming hasher
/// fails at these borders if at all.
const PIECES_BYTES: [usize; 6] = [3, 61, 64, 1021, 1025, 4099];
/// Threads that hash at the same time.
const THREADS: usize = 4;

/// What was hashed, and which digests are wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HashReport {
    /// Number of vectors.
    pub vectors: u64,
    /// Number of digests that were made.
    pub digests: DigestsByPath,
    /// Vectors by the function: an algorithm without a prefix, or a prefix.
    pub functions: BTreeMap<String, u64>,
    /// Digests that differ from the expected ones.
    pub mismatches: Vec<Mismatch>,
}

/// Digests by the way in which the bytes reached the hash.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DigestsByPath {
    /// In one buffer.
    pub one_shot: u64,
    /// In pieces, once for each of several lengths.
    pub streaming: u64,
    /// Both, on several threads at the same time.
    pub parallel: u64,
}

/// A digest that differs from the expected one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// The name of the vector.
    pub vector: String,
    /// How the digest is made.
    pub function: String,
    /// The expected digest.
    pub expected: Key,
    /// The digest that was made.
    pub found: Key,
    /// The paths that made it.
    pub paths: Vec<String>,
}

/// Wrong digests: index of the vector and the digest that was made, with a bit for each path that made it.
type Wrong = BTreeMap<(usize, Key), u16>;

/// The bit of the first streaming path. The bit before it is the path in one buffer.
const STREAMING_BIT: usize = 1;
/// The bit of the first path on several threads. The paths are the same as on one thread.
const PARALLEL_BIT: usize = STREAMING_BIT + PIECES_BYTES.len();

/// Makes every digest by every path.
pub fn run(vectors: &[Vector]) -> HashReport {
    let mut functions = BTreeMap::new();
    for vector in vectors {
        *functions.entry(vector.function.to_string()).or_default() += 1;
    }
    let mut wrong = wrong_from(vectors, 0);
    for ((index, found), paths) in on_threads(vectors) {
        *wrong.entry((index, found)).or_default() |= paths << PARALLEL_BIT;
    }
    let one_shot = vectors.len() as u64;
    let streaming = one_shot * PIECES_BYTES.len() as u64;
    let digests = DigestsByPath { one_shot, streaming, parallel: (one_shot + streaming) * THREADS as u64 };
    let mismatch = |((index, found), paths)| mismatch(&vectors[index], found, paths);
    HashReport { vectors: one_shot, digests, functions, mismatches: wrong.into_iter().map(mismatch).collect() }
}

/// Makes every digest on every thread. The threads begin at different vectors, so that different lengths are hashed at
/// the same time.
fn on_threads(vectors: &[Vector]) -> Wrong {
    let mut wrong = Wrong::new();
    std::thread::scope(|scope| {
        let starts = (0..THREADS).map(|thread| vectors.len() * thread / THREADS);
        let threads: Vec<_> = starts.map(|start| scope.spawn(move || wrong_from(vectors, start))).collect();
        for thread in threads {
            for (which, paths) in thread.join().expect("hashing does not panic") {
                *wrong.entry(which).or_default() |= paths;
            }
        }
    });
    wrong
}

/// Makes every digest, beginning with the vector at `start`.
fn wrong_from(vectors: &[Vector], start: usize) -> Wrong {
    let mut wrong = Wrong::new();
    let mut prefixed = Vec::new();
    for index in (start..vectors.len()).chain(0..start) {
        let Vector { input, function, expected, .. } = &vectors[index];
        prefixed.clear();
        prefixed.extend_from_slice(&CAS_PREFIX);
        input.push_to(&mut prefixed);
        let content = Content::behind_prefix(&prefixed);
        let mut compare = |found, bit| {
            if found != *expected {
                *wrong.entry((index, found)).or_default() |= 1_u16 << bit;
            }
        };
        compare(one_shot(*function, content), 0);
        for (piece, piece_bytes) in PIECES_BYTES.into_iter().enumerate() {
            compare(streamed(*function, content, piece_bytes), STREAMING_BIT + piece);
        }
    }
    wrong
}

fn mismatch(vector: &Vector, found: Key, paths: u16) -> Mismatch {
    let name = |bit| match bit {
        0 => "one-shot".to_owned(),
        streaming => format!("streaming in pieces of {} bytes", PIECES_BYTES[streaming - STREAMING_BIT]),
    };
    let is_set = |bit: &usize| paths >> bit & 1 == 1;
    let alone = (0..PARALLEL_BIT).filter(is_set).map(name);
    let parallel = (PARALLEL_BIT..2 * PARALLEL_BIT).filter(is_set).map(|bit| bit - PARALLEL_BIT);
    Mismatch {
        vector: vector.name.clone(),
        function: vector.function.to_string(),
        expected: vector.expected,
        found,
        paths: alone.chain(parallel.map(|bit| format!("parallel, {}", name(bit)))).collect(),
    }
}

fn one_shot(function: Function, content: Content<'_>) -> Key {
    match function {
        Function::Key(algorithm) => content.key(algorithm),
        Function::Domain(domain) => digest(domain, content.bytes()),
    }
}

fn streamed(function: Function, content: Content<'_>, piece_bytes: usize) -> Key {
    let (algorithm, prefix) = match function {
        Function::Key(algorithm) => (algorithm, ""),
        Function::Domain(domain) => (Algorithm::Blake3, domain.prefix()),
    };
    let mut hasher = ContentHasher::new(&[algorithm]);
    hasher.update(prefix.as_bytes());
    content.bytes().chunks(piece_bytes).for_each(|piece| hasher.update(piece));
    hasher.finish().get(algorithm).expect("it was requested")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requiem::hash_vectors::built_in;

    #[test]
    fn every_path_makes_every_built_in_digest() {
        let vectors = built_in();
        let report = run(&vectors);
        assert_eq!(report.mismatches, []);
        // 3 texts by 14 functions, 32 patterns by 4, 2 blobs by 2, 2 requests, 1 result.
        assert_eq!(report.vectors, 3 * 14 + 32 * 4 + 2 * 2 + 3);
        let expected = DigestsByPath { one_shot: 177, streaming: 177 * 6, parallel: 177 * 7 * 4 };
        assert_eq!(report.digests, expected);
        assert_eq!(report.functions.len(), 14);
        assert_eq!(report.functions.values().sum::<u64>(), report.vectors);
        assert_eq!((report.functions["cas:"], report.functions["req:"], report.functions["snap:"]), (37, 5, 3));
    }

    #[test]
    fn one_wrong_bit_is_found_by_every_path() {
        let mut vectors = built_in();
        vectors[100].expected.0[31] ^= 1;
        let report = run(&vectors);
        let [mismatch] = &report.mismatches[..] else { panic!("{:?}", report.mismatches) };
        assert_eq!((&mismatch.vector, mismatch.expected), (&vectors[100].name, vectors[100].expected));
        assert_eq!(mismatch.found.0[..31], mismatch.expected.0[..31]);
        assert_eq!(mismatch.paths.len(), 2 * 7);
        assert_eq!(mismatch.paths[..2], ["one-shot", "streaming in pieces of 3 bytes"]);
        assert_eq!(mismatch.paths[6..8], ["streaming in pieces of 4099 bytes", "parallel, one-shot"]);
    }
}
