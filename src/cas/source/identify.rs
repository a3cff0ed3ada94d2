//! Finds out which algorithm made an object's name, by hashing the object (docs/source-requiem.md, "Identification").
//!
//! The stored bytes are tried with every algorithm, then the decoded bytes if they may be zstd. The order of the trials
//! only matters for speed: no two of these digests of a content are equal.

use std::io::Read;

use super::bytes::{Bytes, BytesReader, ReadFault};
use super::reader::INLINE_BYTES_MAX;
use crate::cas::format::digest::{CAS_PREFIX, Content, ContentHasher, Digests};
use crate::cas::format::encoding::Encoding;
use crate::cas::format::frame::{DecodeError, decode, looks_like_zstd};
use crate::cas::format::key::{Algorithm, Key};

/// Bytes that one read returns.
const WINDOW_BYTES: usize = 1 << 20;

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identified {
    /// The algorithm by which the name is the key of the content.
    pub algorithm: Algorithm,
    /// Whether the content is the stored bytes or the decoded ones.
    pub encoding: Encoding,
    /// The v2 key of the content.
    pub new_key: Key,
    /// Length of the content.
    pub original_size: u64,
}

/// Buffers of an identification, kept from object to object.
pub struct Scratch {
    /// The algorithm of the last object, which is tried first for the next: most stores are of one generation.
    pub algorithm: Algorithm,
    /// Decoded content after the prefix of v2 keys, unless it is too large.
    pub decoded: Vec<u8>,
    /// Buffer of the decoder.
    frame: Vec<u8>,
}

impl Default for Scratch {
    fn default() -> Self {
        Self { algorithm: Algorithm::Cas, decoded: Vec::new(), frame: Vec::new() }
    }
}

/// The result of an identification.
pub struct Identification {
    /// What the object is, or the digests that were found, in words.
    pub identified: Result<Identified, String>,
    /// BLAKE3 of the stored bytes.
    pub stored_hash: Key,
}

/// Identifies an object in memory. If its content had to be decoded and is not longer than [`INLINE_BYTES_MAX`], it is
/// left in [`Scratch::decoded`].
pub fn identify(stored: Content<'_>, name: Key, hint: Option<Encoding>, scratch: &mut Scratch) -> Identification {
    let stored_hash = stored.key(Algorithm::Blake3);
    let key = |algorithm| if algorithm == Algorithm::Blake3 { stored_hash } else { stored.key(algorithm) };
    let as_stored = |algorithm| {
        let new_key = if algorithm == Algorithm::Cas { name } else { key(Algorithm::Cas) };
        let original_size = stored.bytes().len() as u64;
        Identified { algorithm, encoding: Encoding::Identity, new_key, original_size }
    };
    let first = scratch.algorithm;
    if key(first) == name {
        return Identification { identified: Ok(as_stored(first)), stored_hash };
    }
    // The first algorithm is tried on the decoded bytes before the others are tried on the stored ones: it is the
    // likely one.
    let may_be_zstd = hint == Some(Encoding::Zstd) || looks_like_zstd(stored.bytes());
    let decoded = may_be_zstd.then(|| decode_in_memory(stored.bytes(), scratch));
    let found = decoded.as_ref().and_then(|decoded| decoded.as_ref().ok()?.identify(name, first, &scratch.decoded));
    let others = || Algorithm::ALL.into_iter().filter(|&algorithm| algorithm != first);
    let found = found.or_else(|| others().find(|&algorithm| key(algorithm) == name).map(as_stored));
    if let Some(identified) = found {
        scratch.algorithm = identified.algorithm;
        return Identification { identified: Ok(identified), stored_hash };
    }
    let text = unidentified_text(key, decoded.and_then(Result::err));
    Identification { identified: Err(text), stored_hash }
}

/// Identifies an object that is read in pieces from start to end, several times if necessary.
pub fn identify_streamed(
    stored: &dyn Bytes,
    name: Key,
    hint: Option<Encoding>,
    scratch: &mut Scratch,
) -> Result<Identification, ReadFault> {
    // One pass for the hash of the stored bytes, the new key and the likely old key. The other algorithms need a second
    // pass, for which few objects have a reason.
    let quick = [Algorithm::Blake3, Algorithm::Cas, scratch.algorithm];
    let mut digests = hash_stored(stored, &quick)?;
    let stored_hash = digests.get(Algorithm::Blake3).expect("it was requested");
    let may_be_zstd = hint == Some(Encoding::Zstd) || starts_as_zstd(stored)?;
    let mut decoded = None;
    if digests.algorithm_of(name).is_none() && may_be_zstd {
        decoded = Some(hash_decoded(stored, scratch)?);
    }
    let in_decoded = decoded.as_ref().and_then(|decoded| {
        let decoded = decoded.as_ref().ok()?;
        Some((decoded.algorithm_of(name)?, Encoding::Zstd, decoded))
    });
    if digests.algorithm_of(name).is_none() && in_decoded.is_none() {
        digests = hash_stored(stored, &Algorithm::ALL)?;
    }
    let in_stored = digests.algorithm_of(name).map(|algorithm| (algorithm, Encoding::Identity, &digests));
    let identified = match in_stored.or(in_decoded) {
        Some((algorithm, encoding, digests)) => {
            scratch.algorithm = algorithm;
            let new_key = digests.get(Algorithm::Cas).expect("it was requested");
            Ok(Identified { algorithm, encoding, new_key, original_size: digests.len_bytes })
        }
        None => {
            let key = |algorithm| digests.get(algorithm).expect("all were requested");
            Err(unidentified_text(key, decoded.and_then(Result::err)))
        }
    };
    Ok(Identification { identified, stored_hash })
}

/// Returns the digests of the stored bytes, and why they cannot be decoded.
fn unidentified_text(key: impl Fn(Algorithm) -> Key, fault: Option<String>) -> String {
    let keys = Algorithm::ALL.map(|algorithm| format!("{algorithm} {}", key(algorithm)));
    format!("{}{}", keys.join(", "), fault.map_or(String::new(), |what| format!("; {what}")))
}

/// Content that was decoded in memory, or its digests if it is too large for that.
enum Decoded {
    Kept,
    Hashed(Digests),
}

impl Decoded {
    fn identify(&self, name: Key, first: Algorithm, kept: &[u8]) -> Option<Identified> {
        let (algorithm, new_key, original_size) = match self {
            Self::Kept => {
                let content = Content::behind_prefix(kept);
                let others = Algorithm::ALL.into_iter().filter(|&algorithm| algorithm != first);
                let mut order = std::iter::once(first).chain(others);
                let algorithm = order.find(|&algorithm| content.key(algorithm) == name)?;
                let new_key = if algorithm == Algorithm::Cas { name } else { content.key(Algorithm::Cas) };
                (algorithm, new_key, content.bytes().len() as u64)
            }
            Self::Hashed(digests) => {
                (digests.algorithm_of(name)?, digests.get(Algorithm::Cas).expect("it was requested"), digests.len_bytes)
            }
        };
        Some(Identified { algorithm, encoding: Encoding::Zstd, new_key, original_size })
    }
}

fn decode_in_memory(stored: &[u8], scratch: &mut Scratch) -> Result<Decoded, String> {
    let Scratch { decoded, frame, .. } = scratch;
    decoded.clear();
    decoded.extend_from_slice(&CAS_PREFIX);
    let mut hasher: Option<ContentHasher> = None;
    let sink = |piece: &[u8]| {
        if let Some(hasher) = &mut hasher {
            hasher.update(piece);
        } else if (decoded.len() + piece.len()) as u64 <= INLINE_BYTES_MAX {
            decoded.extend_from_slice(piece);
        } else {
            let begun = hasher.insert(ContentHasher::new(&Algorithm::ALL));
            begun.update(&decoded[CAS_PREFIX.len()..]);
            begun.update(piece);
        }
        Ok::<_, std::convert::Infallible>(())
    };
    match decode(stored, frame, sink) {
        Ok(_) => Ok(hasher.map_or(Decoded::Kept, |hasher| Decoded::Hashed(hasher.finish()))),
        Err(error) => Err(error.to_string()),
    }
}

/// Returns the digests of bytes that are read in pieces from start to end.
pub fn hash_stored(stored: &dyn Bytes, algorithms: &[Algorithm]) -> Result<Digests, ReadFault> {
    let mut hasher = ContentHasher::new(algorithms);
    let len_bytes = stored.len_bytes()?;
    let mut buffer = vec![0; WINDOW_BYTES.min(usize::try_from(len_bytes).unwrap_or(WINDOW_BYTES))];
    let mut offset = 0;
    while offset < len_bytes {
        // The first piece is shorter by the prefix of v2 keys, so that prefix and piece fill a window. Later pieces
        // then begin at the bounds of BLAKE3's subtrees.
        let shorter = if offset == 0 { CAS_PREFIX.len() } else { 0 };
        let left = usize::try_from(len_bytes - offset).unwrap_or(usize::MAX);
        let piece = buffer.len().saturating_sub(shorter).clamp(1, left);
        stored.read_exact_at(offset, &mut buffer[..piece])?;
        hasher.update(&buffer[..piece]);
        offset += piece as u64;
    }
    Ok(hasher.finish())
}

fn starts_as_zstd(stored: &dyn Bytes) -> Result<bool, ReadFault> {
    let mut magic = [0; 4];
    if stored.len_bytes()? < magic.len() as u64 {
        return Ok(false);
    }
    stored.read_exact_at(0, &mut magic)?;
    Ok(looks_like_zstd(&magic))
}

/// Returns the digests of the decoded content; the inner error says why it cannot be decoded.
fn hash_decoded(stored: &dyn Bytes, scratch: &mut Scratch) -> Result<Result<Digests, String>, ReadFault> {
    let mut hasher = ContentHasher::new(&Algorithm::ALL);
    let mut reader = BytesReader::new(stored)?;
    let decoded = decode_with(&mut reader, &mut scratch.frame, |piece| hasher.update(piece));
    match (decoded, reader.fault) {
        (_, Some(fault)) => Err(fault),
        (Ok(()), None) => Ok(Ok(hasher.finish())),
        (Err(what), None) => Ok(Err(what)),
    }
}

fn decode_with(reader: &mut impl Read, frame: &mut Vec<u8>, mut sink: impl FnMut(&[u8])) -> Result<(), String> {
    let result = decode(reader, frame, |piece| {
        sink(piece);
        Ok::<_, std::convert::Infallible>(())
    });
    result.map(|_| ()).map_err(|error: DecodeError<_>| error.to_string())
}
