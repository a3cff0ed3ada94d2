//! Hashes every vector at once, in pieces, and on several threads.

use std::collections::BTreeMap;

use serde::Serialize;

use super::vector::{Function, Vector};
use crate::cas::format::digest::{CAS_PREFIX, Content, ContentHasher};
use crate::cas::format::key::{Algorithm, Key};
use crate::requiem::hash_domain::digest;

/// Lengths of pieces: below, at and beside the block of 64 bytes and the chunk of 1024.
const PIECES_BYTES: [usize; 6] = [3, 61, 64, 1021, 1025, 4099];
/// Threads that hash at the same time.
const THREADS: usize = 4;

/// What was hashed, and what came out wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HashReport {
    /// How many digests were given.
    pub vectors: u64,
    /// How many were made.
    pub digests: DigestsByPath,
    /// Vectors by how the digest is made: an algorithm without a prefix, or a prefix.
    pub functions: BTreeMap<String, u64>,
    /// What came out otherwise than given.
    pub mismatches: Vec<Mismatch>,
}

/// Digests by how the bytes came to the hash.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DigestsByPath {
    /// In one buffer.
    pub one_shot: u64,
    /// In pieces, for each of several lengths of them.
    pub streaming: u64,
    /// Both, on several threads at the same time.
    pub parallel: u64,
}

/// A digest that came out otherwise than given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// Which vector.
    pub vector: String,
    /// How the digest is made.
    pub function: String,
    /// What was given.
    pub expected: Key,
    /// What came out.
    pub found: Key,
    /// By which paths it came out.
    pub paths: Vec<String>,
}

/// Wrong digests: of which vector, what came out, and a bit for each path by which it did.
type Wrong = BTreeMap<(usize, Key), u16>;

/// The bit of the first path by pieces; before it stands that in one buffer.
const STREAMING_BIT: usize = 1;
/// The bit of the first path on several threads; they are the same as on one.
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

/// Every thread makes every digest; they begin at different ones, so that different lengths meet.
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

/// Makes every digest, beginning with that of the vector at `start`.
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
    hasher.finish().get(algorithm).expect("it was asked for")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requiem::hash_vectors::built_in;

    #[test]
    fn every_built_in_vector_comes_out_by_every_path() {
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
