//! A checked cursor over a payload in the encoding of bincode 1.3 with its default functions.
//!
//! Fixed-width little-endian integers, `u64` lengths and counts, one byte for an option, `u32` for an enum variant
//! (docs/source-engram.md, "Payload encoding"). Nothing here allocates, and every length is compared with the bytes
//! that are left before it is used.

use thiserror::Error;

use super::timestamp::TimestampError;

/// Values of an embedding.
pub const EMBEDDING_VALUES: usize = 768;

/// Bytes of an embedding: 768 little-endian f32.
pub const EMBEDDING_BYTES: usize = 4 * EMBEDDING_VALUES;

/// Why a payload does not decode, and where in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{what} at byte {offset} of the payload")]
pub struct DecodeError {
    /// Offset of the offending field from the start of the payload.
    pub offset: u64,
    /// What is wrong with it.
    pub what: DecodeProblem,
}

impl DecodeError {
    /// Returns whether the payload is sound in structure and only a value is one that Engram refuses: the policy
    /// `out-of-range` applies, not `undecodable`.
    pub const fn is_out_of_range(&self) -> bool {
        matches!(self.what, DecodeProblem::OutOfRange(_))
    }
}

/// What is wrong with a field of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DecodeProblem {
    /// A field, or what its length or count announces, goes past the end of the payload.
    #[error("{needed} bytes needed where {left} are left")]
    Truncated {
        /// Bytes that the field takes at least.
        needed: u64,
        /// Bytes that are left.
        left: u64,
    },
    /// A string is not UTF-8.
    #[error("text is not UTF-8")]
    InvalidUtf8,
    /// The byte before an optional value is neither 0 nor 1.
    #[error("option byte {0}")]
    OptionByte(u8),
    /// An enum has no variant of this number.
    #[error("unknown variant {0}")]
    Variant(u32),
    /// An embedding does not have 768 values.
    #[error("embedding of {0} values")]
    EmbeddingCount(u64),
    /// A timestamp that Engram's reader rejects.
    #[error("timestamp: {0}")]
    Timestamp(TimestampError),
    /// Sound in structure, but refused by Engram's value checks.
    #[error("{0}")]
    OutOfRange(OutOfRange),
}

/// A value that Engram refuses to read although it is well-formed (docs/source-engram.md, "Provenance" and "Value
/// ranges").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OutOfRange {
    /// A confidence that is NaN or outside of [0, 1].
    #[error("{field} {} outside [0, 1]", f32::from_bits(*bits))]
    Confidence {
        /// Name of the field.
        field: &'static str,
        /// Bit pattern of the f32.
        bits: u32,
    },
    /// Seconds of a provenance that do not fit a signed integer.
    #[error("provenance creation time of {0} seconds")]
    ProvenanceSeconds(u64),
}

/// What a parser does with a value that Engram's checks refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeCheck {
    /// It is an error, reported only when the whole payload is sound in structure.
    Enforce,
    /// The exact bits are kept and the first such value is named in the view.
    Keep,
}

/// Reads the primitives of a payload front to back.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    /// Starts at the first byte of `bytes`.
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Returns the bytes read so far.
    #[inline]
    pub const fn position(&self) -> usize {
        self.position
    }

    /// Returns the bytes that are left.
    #[inline]
    pub const fn left(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// Returns the bytes from `start`, a position passed earlier, to here.
    #[inline]
    pub fn since(&self, start: usize) -> &'a [u8] {
        &self.bytes[start..self.position]
    }

    /// Returns an error about the field that starts at `offset`.
    #[cold]
    pub fn error(offset: usize, what: DecodeProblem) -> DecodeError {
        DecodeError { offset: offset as u64, what }
    }

    #[cold]
    fn truncated(&self, needed: u64) -> DecodeError {
        Self::error(self.position, DecodeProblem::Truncated { needed, left: self.left() as u64 })
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], DecodeError> {
        match self.bytes[self.position..].first_chunk::<N>() {
            Some(array) => {
                self.position += N;
                Ok(array)
            }
            None => Err(self.truncated(N as u64)),
        }
    }

    /// Returns one byte.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|byte| byte[0])
    }

    /// Returns a `u32`, an enum's variant, or the bits of an f32.
    #[inline]
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(|bytes| u32::from_le_bytes(*bytes))
    }

    /// Returns a `u64`.
    #[inline]
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(|bytes| u64::from_le_bytes(*bytes))
    }

    /// Returns a count of items that take `item_bytes_min` bytes each at least; refused when they cannot fit what is
    /// left.
    #[inline]
    pub fn count(&mut self, item_bytes_min: u64) -> Result<u64, DecodeError> {
        let count = self.u64()?;
        match count.checked_mul(item_bytes_min) {
            Some(needed) if needed <= self.left() as u64 => Ok(count),
            needed => Err(self.truncated(needed.unwrap_or(u64::MAX))),
        }
    }

    /// Returns a string: its length in bytes, then UTF-8.
    #[inline]
    pub fn str(&mut self) -> Result<&'a str, DecodeError> {
        let start = self.position;
        let len = self.count(1)? as usize;
        let bytes = &self.bytes[self.position..self.position + len];
        let text = simdutf8::basic::from_utf8(bytes).map_err(|_| Self::error(start, DecodeProblem::InvalidUtf8))?;
        self.position += len;
        Ok(text)
    }

    /// Returns whether an optional value follows.
    #[inline]
    pub fn option(&mut self) -> Result<bool, DecodeError> {
        let at = self.position;
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Self::error(at, DecodeProblem::OptionByte(other))),
        }
    }

    /// Returns an optional string.
    #[inline]
    pub fn option_str(&mut self) -> Result<Option<&'a str>, DecodeError> {
        if self.option()? { self.str().map(Some) } else { Ok(None) }
    }

    /// Returns an optional `u32`, or the bits of an optional f32.
    #[inline]
    pub fn option_u32(&mut self) -> Result<Option<u32>, DecodeError> {
        if self.option()? { self.u32().map(Some) } else { Ok(None) }
    }

    /// Returns an embedding: the count 768, then its bytes, borrowed. They lie at `position() - EMBEDDING_BYTES`
    /// afterwards.
    #[inline]
    pub fn embedding(&mut self) -> Result<&'a [u8; EMBEDDING_BYTES], DecodeError> {
        let at = self.position;
        match self.u64()? {
            768 => self.array(),
            count => Err(Self::error(at, DecodeProblem::EmbeddingCount(count))),
        }
    }
}

/// Writes the primitives that [`Cursor`] reads.
pub(crate) mod put {
    pub fn u32(out: &mut Vec<u8>, value: u32) {
        out.extend_from_slice(&value.to_le_bytes());
    }

    pub fn u64(out: &mut Vec<u8>, value: u64) {
        out.extend_from_slice(&value.to_le_bytes());
    }

    pub fn str(out: &mut Vec<u8>, text: &str) {
        u64(out, text.len() as u64);
        out.extend_from_slice(text.as_bytes());
    }

    pub fn option<T>(out: &mut Vec<u8>, value: Option<T>, write: impl FnOnce(&mut Vec<u8>, T)) {
        out.push(u8::from(value.is_some()));
        if let Some(value) = value {
            write(out, value);
        }
    }

    pub fn embedding(out: &mut Vec<u8>, bytes: &[u8; super::EMBEDDING_BYTES]) {
        u64(out, super::EMBEDDING_VALUES as u64);
        out.extend_from_slice(bytes);
    }

    pub fn strings(out: &mut Vec<u8>, items: &[String]) {
        u64(out, items.len() as u64);
        for item in items {
            str(out, item);
        }
    }

    pub fn pairs(out: &mut Vec<u8>, pairs: &[(String, String)]) {
        u64(out, pairs.len() as u64);
        for (key, value) in pairs {
            str(out, key);
            str(out, value);
        }
    }
}

/// Returns whether an embedding holds a NaN or an infinity.
#[inline]
pub fn has_non_finite(embedding: &[u8; EMBEDDING_BYTES]) -> bool {
    const EXPONENT: u32 = 0x7F80_0000;
    let (values, _) = embedding.as_chunks::<4>();
    values.iter().fold(false, |found, value| found | (u32::from_le_bytes(*value) & EXPONENT == EXPONENT))
}

/// Returns the values of an embedding, bit by bit.
pub fn embedding_values(bytes: &[u8; EMBEDDING_BYTES]) -> Box<[f32; EMBEDDING_VALUES]> {
    let mut values = Box::new([0.0; EMBEDDING_VALUES]);
    for (value, bytes) in values.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *value = f32::from_le_bytes(*bytes);
    }
    values
}

/// Returns the bytes of an embedding, bit by bit.
pub fn embedding_bytes(values: &[f32; EMBEDDING_VALUES]) -> Box<[u8; EMBEDDING_BYTES]> {
    let mut bytes = Box::new([0; EMBEDDING_BYTES]);
    for (bytes, value) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(values) {
        *bytes = value.to_le_bytes();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_checked_before_it_is_used() {
        let mut absurd = u64::MAX.to_le_bytes().to_vec();
        absurd.extend_from_slice(b"abc");
        let error = Cursor::new(&absurd).str().unwrap_err();
        assert_eq!(error, DecodeError { offset: 8, what: DecodeProblem::Truncated { needed: u64::MAX, left: 3 } });
        let error = Cursor::new(&absurd).count(16).unwrap_err();
        assert!(matches!(error.what, DecodeProblem::Truncated { needed: u64::MAX, left: 3 }));
    }

    #[test]
    fn problems_name_the_start_of_their_field() {
        let mut cursor = Cursor::new(&[1, 0, 0, 0, 0, 0, 0, 0, 0xFF, 2]);
        let error = cursor.str().unwrap_err();
        assert_eq!((error.offset, error.what), (0, DecodeProblem::InvalidUtf8));
        let mut cursor = Cursor::new(&[0, 1, 2]);
        assert_eq!(cursor.option(), Ok(false));
        assert_eq!(cursor.option(), Ok(true));
        let error = cursor.option().unwrap_err();
        assert_eq!((error.offset, error.what), (2, DecodeProblem::OptionByte(2)));
        assert_eq!(cursor.u32().unwrap_err().what, DecodeProblem::Truncated { needed: 4, left: 0 });
    }

    #[test]
    fn embeddings_keep_their_bits() {
        let mut bytes = Box::new([0; EMBEDDING_BYTES]);
        let odd = [0x7FA0_0001_u32, 0xFFC0_1234, 0x8000_0000, 1, 0x7F80_0000];
        for (slot, bits) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(odd) {
            *slot = bits.to_le_bytes();
        }
        assert_eq!(embedding_bytes(&embedding_values(&bytes)), bytes);
        assert!(has_non_finite(&bytes));
        bytes[..20].fill(0x7E);
        assert!(!has_non_finite(&bytes));
        bytes[EMBEDDING_BYTES - 2..].copy_from_slice(&[0x80, 0xFF]);
        assert!(has_non_finite(&bytes));
    }
}
