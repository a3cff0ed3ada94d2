//! The payload of a memory update: record type 2.

use super::bincode_reader::{Cursor, DecodeError, EMBEDDING_BYTES, RangeCheck, has_non_finite, put};
use super::episode::{confidence, judge, time};
use super::provenance::{Provenance, ProvenanceView};
use super::timestamp::TimeView;

/// A memory read where it lies in its payload (docs/source-engram.md, "Memory"). Every f32 is a bit pattern.
///
/// Engram's live activation is not part of the encoding: after decoding it is 0, whatever `activation_value_bits` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryView<'a> {
    /// The record's id: any text, also empty.
    pub id: &'a str,
    /// 768 little-endian f32.
    pub embedding: &'a [u8; EMBEDDING_BYTES],
    /// Offset of the embedding's first byte in the payload.
    pub embedding_offset: usize,
    /// The stored activation, as bits.
    pub activation_value_bits: u32,
    /// Confidence, as bits.
    pub confidence_bits: u32,
    /// When the memory was last accessed.
    pub last_access: TimeView<'a>,
    /// How often it was accessed.
    pub access_count: u64,
    /// When it was created.
    pub created_at: TimeView<'a>,
    /// Decay per hour, as bits.
    pub decay_rate_bits: u32,
    /// Its text; an empty one is not the same as none.
    pub content: Option<&'a str>,
    /// Where the embedding comes from.
    pub provenance: Option<ProvenanceView<'a>>,
    /// Bytes of the payload that were decoded; what follows is kept as it is.
    pub used_len_bytes: usize,
    /// The first value that Engram refuses, kept because of [`RangeCheck::Keep`].
    pub out_of_range: Option<DecodeError>,
}

impl<'a> MemoryView<'a> {
    /// Reads a payload front to back without an allocation; errors as for an episode.
    #[inline]
    pub fn parse(payload: &'a [u8], check: RangeCheck) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(payload);
        let mut refused = None;
        let id = cursor.str()?;
        let embedding = cursor.embedding()?;
        let embedding_offset = cursor.position() - EMBEDDING_BYTES;
        let activation_value_bits = cursor.u32()?;
        let confidence_bits = confidence(&mut cursor, "confidence", &mut refused)?;
        let last_access = time(&mut cursor)?;
        let access_count = cursor.u64()?;
        let created_at = time(&mut cursor)?;
        let decay_rate_bits = cursor.u32()?;
        let content = cursor.option_str()?;
        let provenance = ProvenanceView::parse_option(&mut cursor, &mut refused)?;
        let out_of_range = judge(refused, check)?;
        Ok(Self {
            id,
            embedding,
            embedding_offset,
            activation_value_bits,
            confidence_bits,
            last_access,
            access_count,
            created_at,
            decay_rate_bits,
            content,
            provenance,
            used_len_bytes: cursor.position(),
            out_of_range,
        })
    }

    /// Returns whether the provenance's metadata has a key twice; Engram reads the last value.
    pub fn has_repeated_key(&self) -> bool {
        self.provenance.is_some_and(|provenance| provenance.metadata.has_repeated_key())
    }

    /// Returns whether the embedding holds a NaN or an infinity.
    #[inline]
    pub fn has_non_finite_embedding(&self) -> bool {
        has_non_finite(self.embedding)
    }

    /// Returns whether a timestamp is not in the form that Engram writes.
    pub fn has_foreign_timestamp(&self) -> bool {
        !(self.last_access.writer_form && self.created_at.writer_form)
    }

    /// Returns an owned copy, without the bytes that follow the decoded value.
    pub fn to_owned(self) -> Memory {
        Memory {
            id: self.id.to_owned(),
            embedding: Box::new(*self.embedding),
            activation_value_bits: self.activation_value_bits,
            confidence_bits: self.confidence_bits,
            last_access: self.last_access.text.to_owned(),
            access_count: self.access_count,
            created_at: self.created_at.text.to_owned(),
            decay_rate_bits: self.decay_rate_bits,
            content: self.content.map(str::to_owned),
            provenance: self.provenance.map(|provenance| provenance.to_owned()),
        }
    }
}

/// An owned memory: the fields of [`MemoryView`], timestamps as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// The record's id.
    pub id: String,
    /// 768 little-endian f32.
    pub embedding: Box<[u8; EMBEDDING_BYTES]>,
    /// The stored activation, as bits.
    pub activation_value_bits: u32,
    /// Confidence, as bits.
    pub confidence_bits: u32,
    /// When the memory was last accessed, as text.
    pub last_access: String,
    /// How often it was accessed.
    pub access_count: u64,
    /// When it was created, as text.
    pub created_at: String,
    /// Decay per hour, as bits.
    pub decay_rate_bits: u32,
    /// Its text.
    pub content: Option<String>,
    /// Where the embedding comes from.
    pub provenance: Option<Provenance>,
}

impl Memory {
    /// Returns the payload of a record, exact to the bit. Nothing is checked: a value that Engram refuses is written
    /// too.
    pub fn encode(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(EMBEDDING_BYTES + 512);
        self.encode_into(&mut payload);
        payload
    }

    /// Appends what [`Memory::encode`] gives.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        put::str(out, &self.id);
        put::embedding(out, &self.embedding);
        put::u32(out, self.activation_value_bits);
        put::u32(out, self.confidence_bits);
        put::str(out, &self.last_access);
        put::u64(out, self.access_count);
        put::str(out, &self.created_at);
        put::u32(out, self.decay_rate_bits);
        put::option(out, self.content.as_deref(), put::str);
        put::option(out, self.provenance.as_ref(), |out, provenance| provenance.encode_into(out));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::generate::samples::{any_memory, memory};
    use proptest::prelude::*;

    #[test]
    fn the_last_option_byte_is_required() {
        let payload = memory("id").encode();
        assert!(MemoryView::parse(&payload, RangeCheck::Enforce).is_ok());
        assert!(MemoryView::parse(&payload[..payload.len() - 1], RangeCheck::Enforce).is_err());
    }

    #[test]
    fn a_refused_confidence_differs_from_a_broken_record() {
        let payload = Memory { confidence_bits: f32::NAN.to_bits(), ..memory("id") }.encode();
        assert!(MemoryView::parse(&payload, RangeCheck::Enforce).unwrap_err().is_out_of_range());
        let kept = MemoryView::parse(&payload, RangeCheck::Keep).unwrap();
        assert_eq!(kept.confidence_bits, f32::NAN.to_bits());
        assert!(kept.out_of_range.is_some());
    }

    proptest! {
        #[test]
        fn a_memory_survives_its_encoding(memory in any_memory()) {
            let payload = memory.encode();
            let view = MemoryView::parse(&payload, RangeCheck::Keep).unwrap();
            prop_assert_eq!(view.used_len_bytes, payload.len());
            prop_assert_eq!(view.embedding, &payload[view.embedding_offset..][..EMBEDDING_BYTES]);
            prop_assert_eq!(view.to_owned(), memory);
        }

        #[test]
        fn damaged_payloads_never_panic(memory in any_memory(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut payload = memory.encode();
            let at = at.index(payload.len());
            payload[at] = byte;
            let _ = MemoryView::parse(&payload, RangeCheck::Keep);
            let _ = MemoryView::parse(&payload[..at], RangeCheck::Keep);
        }
    }
}
