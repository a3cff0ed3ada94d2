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
use crate::pipeline::StopToken;

/// Bytes that one read returns.
const WINDOW_BYTES: usize = 1 << 20;
/// How many times as long as its blob a content is at most if no sidecar says how long it is.
const RATIO_MAX: u64 = 1_000;
/// A content up to this length is decoded whatever its ratio.
const UNKNOWN_CONTENT_BYTES_MIN: u64 = 64 << 20;

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

/// What a sidecar says of an object, and what ends its identification early.
#[derive(Clone, Copy)]
pub struct Expected<'a> {
    /// How the blob is encoded.
    pub encoding: Option<Encoding>,
    /// The length of its content.
    pub original_size: Option<u64>,
    /// Asked for at least every [`WINDOW_BYTES`].
    pub stop: &'a StopToken,
}

impl Expected<'_> {
    fn check(&self) -> Result<(), ReadFault> {
        if self.stop.is_requested() { Err(ReadFault::Stopped) } else { Ok(()) }
    }
}

/// Returns the most bytes that a blob of this length is decoded to.
///
/// A few stored bytes can stand for terabytes, so a blob is decoded as far as its sidecar says. Content that fits memory
/// is decoded whatever the sidecar says, because old sidecars are not always right. Without one, the ratio decides: data
/// that anyone keeps is rarely compressed to less than a thousandth, while frames can be shorter by a factor of 30,000.
pub fn content_bytes_max(original_size: Option<u64>, stored_bytes: u64) -> u64 {
    match original_size {
        Some(original_size) => original_size.max(INLINE_BYTES_MAX),
        None => stored_bytes.saturating_mul(RATIO_MAX).max(UNKNOWN_CONTENT_BYTES_MIN),
    }
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
///
/// # Errors
/// [`ReadFault::Stopped`] after a stop.
pub fn identify(
    stored: Content<'_>,
    name: Key,
    expected: Expected<'_>,
    scratch: &mut Scratch,
) -> Result<Identification, ReadFault> {
    let stored_hash = stored.key(Algorithm::Blake3);
    let key = |algorithm| if algorithm == Algorithm::Blake3 { stored_hash } else { stored.key(algorithm) };
    let as_stored = |algorithm| {
        let new_key = if algorithm == Algorithm::Cas { name } else { key(Algorithm::Cas) };
        let original_size = stored.bytes().len() as u64;
        Identified { algorithm, encoding: Encoding::Identity, new_key, original_size }
    };
    let first = scratch.algorithm;
    if key(first) == name {
        return Ok(Identification { identified: Ok(as_stored(first)), stored_hash });
    }
    // The first algorithm is tried on the decoded bytes before the others are tried on the stored ones: it is the
    // likely one.
    let may_be_zstd = expected.encoding == Some(Encoding::Zstd) || looks_like_zstd(stored.bytes());
    let decoded = may_be_zstd.then(|| decode_in_memory(stored.bytes(), expected, scratch)).transpose()?;
    let found = decoded.as_ref().and_then(|decoded| decoded.as_ref().ok()?.identify(name, first, &scratch.decoded));
    let others = || Algorithm::ALL.into_iter().filter(|&algorithm| algorithm != first);
    let found = found.or_else(|| others().find(|&algorithm| key(algorithm) == name).map(as_stored));
    if let Some(identified) = found {
        scratch.algorithm = identified.algorithm;
        return Ok(Identification { identified: Ok(identified), stored_hash });
    }
    let text = unidentified_text(key, decoded.and_then(Result::err));
    Ok(Identification { identified: Err(text), stored_hash })
}

/// Identifies an object that is read in pieces from start to end, several times if necessary.
pub fn identify_streamed(
    stored: &dyn Bytes,
    name: Key,
    expected: Expected<'_>,
    scratch: &mut Scratch,
) -> Result<Identification, ReadFault> {
    // One pass for the hash of the stored bytes, the new key and the likely old key. The other algorithms need a second
    // pass, for which few objects have a reason.
    let quick = [Algorithm::Blake3, Algorithm::Cas, scratch.algorithm];
    let mut digests = hash_stored(stored, &quick, expected.stop)?;
    let stored_hash = digests.get(Algorithm::Blake3).expect("it was requested");
    let may_be_zstd = expected.encoding == Some(Encoding::Zstd) || starts_as_zstd(stored)?;
    let mut decoded = None;
    if digests.algorithm_of(name).is_none() && may_be_zstd {
        decoded = Some(hash_decoded(stored, expected, scratch)?);
    }
    let in_decoded = decoded.as_ref().and_then(|decoded| {
        let decoded = decoded.as_ref().ok()?;
        Some((decoded.algorithm_of(name)?, Encoding::Zstd, decoded))
    });
    if digests.algorithm_of(name).is_none() && in_decoded.is_none() {
        digests = hash_stored(stored, &Algorithm::ALL, expected.stop)?;
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

/// The inner error says why the blob cannot be decoded.
fn decode_in_memory(
    stored: &[u8],
    expected: Expected<'_>,
    scratch: &mut Scratch,
) -> Result<Result<Decoded, String>, ReadFault> {
    let Scratch { decoded, frame, .. } = scratch;
    decoded.clear();
    decoded.extend_from_slice(&CAS_PREFIX);
    let mut hasher: Option<ContentHasher> = None;
    let result = decode_bounded(stored, stored.len() as u64, expected, frame, |piece| {
        if let Some(hasher) = &mut hasher {
            hasher.update(piece);
        } else if (decoded.len() + piece.len()) as u64 <= INLINE_BYTES_MAX {
            decoded.extend_from_slice(piece);
        } else {
            let begun = hasher.insert(ContentHasher::new(&Algorithm::ALL));
            begun.update(&decoded[CAS_PREFIX.len()..]);
            begun.update(piece);
        }
    })?;
    Ok(result.map(|()| hasher.map_or(Decoded::Kept, |hasher| Decoded::Hashed(hasher.finish()))))
}

/// Why decoding ends before the blob does.
enum DecodeEnd {
    Longer(u64),
    Stopped,
}

/// Decodes a blob of this length as far as it may be decoded. The inner error says why it cannot be decoded.
fn decode_bounded(
    stored: impl Read,
    stored_bytes: u64,
    expected: Expected<'_>,
    frame: &mut Vec<u8>,
    mut sink: impl FnMut(&[u8]),
) -> Result<Result<(), String>, ReadFault> {
    let (content_bytes_max, mut content_bytes) = (content_bytes_max(expected.original_size, stored_bytes), 0);
    let result = decode(stored, frame, |piece| {
        content_bytes += piece.len() as u64;
        if content_bytes > content_bytes_max {
            return Err(DecodeEnd::Longer(content_bytes_max));
        }
        expected.check().map_err(|_| DecodeEnd::Stopped)?;
        sink(piece);
        Ok(())
    });
    match result {
        Ok(_) => Ok(Ok(())),
        Err(DecodeError::Sink(DecodeEnd::Stopped)) => Err(ReadFault::Stopped),
        Err(DecodeError::Sink(DecodeEnd::Longer(max))) => Ok(Err(longer_text(max, expected))),
        Err(DecodeError::Io(error)) => Ok(Err(error.to_string())),
        Err(DecodeError::Frame { offset, what }) => Ok(Err(format!("zstd frame at offset {offset}: {what}"))),
    }
}

fn longer_text(content_bytes_max: u64, expected: Expected<'_>) -> String {
    match expected.original_size {
        Some(size) => format!("decoded, it is longer than the {size} bytes that its sidecar says"),
        None => format!("decoded, it is longer than {content_bytes_max} bytes, and no sidecar says that it may be"),
    }
}

/// Returns the digests of bytes that are read in pieces from start to end.
pub fn hash_stored(stored: &dyn Bytes, algorithms: &[Algorithm], stop: &StopToken) -> Result<Digests, ReadFault> {
    let mut hasher = ContentHasher::new(algorithms);
    let len_bytes = stored.len_bytes()?;
    let mut buffer = vec![0; WINDOW_BYTES.min(usize::try_from(len_bytes).unwrap_or(WINDOW_BYTES))];
    let mut offset = 0;
    while offset < len_bytes {
        if stop.is_requested() {
            return Err(ReadFault::Stopped);
        }
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
fn hash_decoded(
    stored: &dyn Bytes,
    expected: Expected<'_>,
    scratch: &mut Scratch,
) -> Result<Result<Digests, String>, ReadFault> {
    let mut hasher = ContentHasher::new(&Algorithm::ALL);
    let stored_bytes = stored.len_bytes()?;
    let mut reader = BytesReader::new(stored)?;
    let decoded = decode_bounded(&mut reader, stored_bytes, expected, &mut scratch.frame, |piece| hasher.update(piece));
    match reader.fault {
        Some(fault) => Err(fault),
        None => Ok(decoded?.map(|()| hasher.finish())),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// The most bytes between two looks at the token.
    const LOOK_BYTES: u64 = 8 << 20;

    /// Bytes of which all are read, and that ask for a stop on the way.
    struct Stopping {
        bytes: Vec<u8>,
        stop: StopToken,
        stop_at_bytes: u64,
        read_bytes: AtomicU64,
    }

    impl Bytes for Stopping {
        fn len_bytes(&self) -> Result<u64, ReadFault> {
            Ok(self.bytes.len() as u64)
        }

        fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ReadFault> {
            let read = self.read_bytes.fetch_add(buffer.len() as u64, Ordering::SeqCst) + buffer.len() as u64;
            if read >= self.stop_at_bytes {
                self.stop.request();
            }
            self.bytes.read_exact_at(offset, buffer)
        }
    }

    /// A frame of blocks that repeat one byte: 128 KiB of content in four bytes each.
    fn bomb(blocks: u32) -> Vec<u8> {
        let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0x00, 7 << 3];
        for block in 1..=blocks {
            let header = u32::from(block == blocks) | 1 << 1 | (128 << 10) << 3;
            frame.extend_from_slice(&header.to_le_bytes()[..3]);
            frame.push(0);
        }
        frame
    }

    fn expected(stop: &StopToken, original_size: Option<u64>) -> Expected<'_> {
        Expected { encoding: Some(Encoding::Zstd), original_size, stop }
    }

    #[test]
    fn a_stop_is_heard_inside_of_an_object() {
        for stop_at_bytes in [1, 10 << 20, 40 << 20] {
            let (bytes, read_bytes) = (vec![7; 32 << 20], AtomicU64::new(0));
            let stopping = Stopping { bytes, stop: StopToken::new(), stop_at_bytes, read_bytes };
            let stop = stopping.stop.clone();
            let result = identify_streamed(&stopping, Key([1; 32]), expected(&stop, None), &mut Scratch::default());
            assert!(matches!(result, Err(ReadFault::Stopped)), "{stop_at_bytes}");
            let after = stopping.read_bytes.load(Ordering::SeqCst) - stop_at_bytes;
            assert!(after <= LOOK_BYTES, "{after} bytes were read after the stop");
        }
    }

    #[test]
    fn a_stop_is_heard_while_a_blob_is_decoded() {
        let (stop, frame) = (StopToken::new(), bomb(8_000));
        let mut content_bytes = 0_u64;
        let result =
            decode_bounded(&frame[..], frame.len() as u64, expected(&stop, Some(1 << 40)), &mut Vec::new(), |piece| {
                content_bytes += piece.len() as u64;
                if content_bytes >= 20 << 20 {
                    stop.request();
                }
            });
        assert!(matches!(result, Err(ReadFault::Stopped)));
        assert!(content_bytes <= (20 << 20) + LOOK_BYTES, "{content_bytes}");
    }

    #[test]
    fn a_blob_is_decoded_as_far_as_its_sidecar_or_its_ratio_says() {
        let frame = bomb(8_000);
        for (original_size, limit_bytes) in
            [(Some(1_000), INLINE_BYTES_MAX), (Some(9 << 20), 9 << 20), (None, 64 << 20)]
        {
            let (stop, mut content_bytes) = (StopToken::new(), 0_u64);
            let stored_bytes = frame.len() as u64;
            let decoded =
                decode_bounded(&frame[..], stored_bytes, expected(&stop, original_size), &mut Vec::new(), |piece| {
                    content_bytes += piece.len() as u64;
                });
            assert!(decoded.unwrap().unwrap_err().contains("longer than"), "{original_size:?}");
            assert!(content_bytes <= limit_bytes, "{content_bytes} of {limit_bytes}");
        }
        let whole = bomb(16);
        let (stop, mut content_bytes) = (StopToken::new(), 0_u64);
        let add = |piece: &[u8]| content_bytes += piece.len() as u64;
        decode_bounded(&whole[..], 70, expected(&stop, Some(1)), &mut Vec::new(), add).unwrap().unwrap();
        assert_eq!(content_bytes, 2 << 20);
    }
}
