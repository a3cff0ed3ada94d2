//! The payload of a stored episode: record type 1, and any type that Engram does not know.

pub use super::bincode_reader::RangeCheck;
use super::bincode_reader::{Cursor, DecodeError, DecodeProblem, EMBEDDING_BYTES, OutOfRange, has_non_finite, put};
use super::decay::DecayFunction;
use super::payload_lists::{PairList, StrList};
use super::provenance::{Provenance, ProvenanceView};
use super::timestamp::TimeView;

/// An episode read where it lies in its payload (docs/source-engram.md, "Episode"). Every f32 is a bit pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpisodeView<'a> {
    /// The record's id: any text, also empty.
    pub id: &'a str,
    /// When the episode happened.
    pub when: TimeView<'a>,
    /// Where it happened.
    pub where_location: Option<&'a str>,
    /// Who took part; an empty list is not the same as none.
    pub who: Option<StrList<'a>>,
    /// What happened.
    pub what: &'a str,
    /// 768 little-endian f32.
    pub embedding: &'a [u8; EMBEDDING_BYTES],
    /// Offset of the embedding's first byte in the payload.
    pub embedding_offset: usize,
    /// Where the embedding comes from.
    pub provenance: Option<ProvenanceView<'a>>,
    /// Confidence of the encoding, as bits; the node's confidence and strength come from it.
    pub encoding_confidence_bits: u32,
    /// Confidence of the details, as bits.
    pub vividness_confidence_bits: u32,
    /// Confidence of the facts, as bits.
    pub reliability_confidence_bits: u32,
    /// When the episode was last recalled.
    pub last_recall: TimeView<'a>,
    /// How often it was recalled.
    pub recall_count: u32,
    /// Decay rate, as bits.
    pub decay_rate_bits: u32,
    /// How its strength fades.
    pub decay_function: Option<DecayFunction>,
    /// Anything else.
    pub metadata: PairList<'a>,
    /// Bytes of the payload that were decoded; what follows is kept as it is.
    pub used_len_bytes: usize,
    /// The first value that Engram refuses, kept because of [`RangeCheck::Keep`].
    pub out_of_range: Option<DecodeError>,
}

impl<'a> EpisodeView<'a> {
    /// Reads a payload front to back without an allocation.
    ///
    /// # Errors
    ///
    /// The first structural problem; if there is none and `check` is [`RangeCheck::Enforce`], the first value that Engram
    /// refuses, for which [`DecodeError::is_out_of_range`] holds.
    #[inline]
    pub fn parse(payload: &'a [u8], check: RangeCheck) -> Result<Self, DecodeError> {
        let mut cursor = Cursor::new(payload);
        let mut refused = None;
        let id = cursor.str()?;
        let when = time(&mut cursor)?;
        let where_location = cursor.option_str()?;
        let who = if cursor.option()? { Some(StrList::parse(&mut cursor)?) } else { None };
        let what = cursor.str()?;
        let embedding = cursor.embedding()?;
        let embedding_offset = cursor.position() - EMBEDDING_BYTES;
        let provenance = ProvenanceView::parse_option(&mut cursor, &mut refused)?;
        let encoding_confidence_bits = confidence(&mut cursor, "encoding_confidence", &mut refused)?;
        let vividness_confidence_bits = confidence(&mut cursor, "vividness_confidence", &mut refused)?;
        let reliability_confidence_bits = confidence(&mut cursor, "reliability_confidence", &mut refused)?;
        let last_recall = time(&mut cursor)?;
        let recall_count = cursor.u32()?;
        let decay_rate_bits = cursor.u32()?;
        let decay_function = DecayFunction::parse_option(&mut cursor)?;
        let metadata = PairList::parse(&mut cursor)?;
        let out_of_range = judge(refused, check)?;
        Ok(Self {
            id,
            when,
            where_location,
            who,
            what,
            embedding,
            embedding_offset,
            provenance,
            encoding_confidence_bits,
            vividness_confidence_bits,
            reliability_confidence_bits,
            last_recall,
            recall_count,
            decay_rate_bits,
            decay_function,
            metadata,
            used_len_bytes: cursor.position(),
            out_of_range,
        })
    }

    /// Returns whether a metadata map, the record's or its provenance's, has a key twice; Engram reads the last value.
    pub fn has_repeated_key(&self) -> bool {
        self.metadata.has_repeated_key()
            || self.provenance.is_some_and(|provenance| provenance.metadata.has_repeated_key())
    }

    /// Returns whether the embedding holds a NaN or an infinity.
    #[inline]
    pub fn has_non_finite_embedding(&self) -> bool {
        has_non_finite(self.embedding)
    }

    /// Returns whether a timestamp is not in the form that Engram writes.
    pub fn has_foreign_timestamp(&self) -> bool {
        !(self.when.writer_form && self.last_recall.writer_form)
    }

    /// Returns an owned copy, without the bytes that follow the decoded value.
    pub fn to_owned(self) -> Episode {
        Episode {
            id: self.id.to_owned(),
            when: self.when.text.to_owned(),
            where_location: self.where_location.map(str::to_owned),
            who: self.who.map(|who| who.to_vec()),
            what: self.what.to_owned(),
            embedding: Box::new(*self.embedding),
            provenance: self.provenance.map(|provenance| provenance.to_owned()),
            encoding_confidence_bits: self.encoding_confidence_bits,
            vividness_confidence_bits: self.vividness_confidence_bits,
            reliability_confidence_bits: self.reliability_confidence_bits,
            last_recall: self.last_recall.text.to_owned(),
            recall_count: self.recall_count,
            decay_rate_bits: self.decay_rate_bits,
            decay_function: self.decay_function,
            metadata: self.metadata.to_vec(),
        }
    }
}

/// Returns whether two episodes are identical in the sense of docs/source-engram.md, "Replay order and duplicates":
/// Engram decodes both to equal fields.
///
/// Timestamps are compared as points in time, f32 by their bits and metadata as maps, in which the last value of a
/// repeated key counts. Bytes after the decoded value are no field.
pub fn same_fields(one: &EpisodeView<'_>, other: &EpisodeView<'_>) -> bool {
    one.id == other.id
        && one.when.time == other.when.time
        && one.where_location == other.where_location
        && one.who == other.who
        && one.what == other.what
        && one.embedding == other.embedding
        && same_provenance(&one.provenance, &other.provenance)
        && one.encoding_confidence_bits == other.encoding_confidence_bits
        && one.vividness_confidence_bits == other.vividness_confidence_bits
        && one.reliability_confidence_bits == other.reliability_confidence_bits
        && one.last_recall.time == other.last_recall.time
        && one.recall_count == other.recall_count
        && one.decay_rate_bits == other.decay_rate_bits
        && one.decay_function == other.decay_function
        && one.metadata.same_map(&other.metadata)
}

pub(crate) fn same_provenance(one: &Option<ProvenanceView<'_>>, other: &Option<ProvenanceView<'_>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.same_fields(other),
        (None, None) => true,
        _ => false,
    }
}

/// Returns a timestamp that Engram's reader accepts.
#[inline]
pub(crate) fn time<'a>(cursor: &mut Cursor<'a>) -> Result<TimeView<'a>, DecodeError> {
    let at = cursor.position();
    TimeView::parse(cursor.str()?).map_err(|error| Cursor::error(at, DecodeProblem::Timestamp(error)))
}

/// Returns the bits of a confidence. One that Engram refuses is put into `refused` if that is empty.
#[inline]
pub(crate) fn confidence(
    cursor: &mut Cursor<'_>,
    field: &'static str,
    refused: &mut Option<DecodeError>,
) -> Result<u32, DecodeError> {
    let at = cursor.position();
    let bits = cursor.u32()?;
    if !(0.0..=1.0).contains(&f32::from_bits(bits)) {
        let what = DecodeProblem::OutOfRange(OutOfRange::Confidence { field, bits });
        refused.get_or_insert(Cursor::error(at, what));
    }
    Ok(bits)
}

/// Decides about a refused value, once the whole payload has proved sound.
#[inline]
pub(crate) fn judge(refused: Option<DecodeError>, check: RangeCheck) -> Result<Option<DecodeError>, DecodeError> {
    match (refused, check) {
        (Some(error), RangeCheck::Enforce) => Err(error),
        (refused, _) => Ok(refused),
    }
}

/// An owned episode: the fields of [`EpisodeView`], timestamps as text, maps as the pairs written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Episode {
    /// The record's id.
    pub id: String,
    /// When the episode happened, as text.
    pub when: String,
    /// Where it happened.
    pub where_location: Option<String>,
    /// Who took part.
    pub who: Option<Vec<String>>,
    /// What happened.
    pub what: String,
    /// 768 little-endian f32.
    pub embedding: Box<[u8; EMBEDDING_BYTES]>,
    /// Where the embedding comes from.
    pub provenance: Option<Provenance>,
    /// Confidence of the encoding, as bits.
    pub encoding_confidence_bits: u32,
    /// Confidence of the details, as bits.
    pub vividness_confidence_bits: u32,
    /// Confidence of the facts, as bits.
    pub reliability_confidence_bits: u32,
    /// When it was last recalled, as text.
    pub last_recall: String,
    /// How often it was recalled.
    pub recall_count: u32,
    /// Decay rate, as bits.
    pub decay_rate_bits: u32,
    /// How its strength fades.
    pub decay_function: Option<DecayFunction>,
    /// Anything else, in the order written.
    pub metadata: Vec<(String, String)>,
}

impl Episode {
    /// Returns the payload of a record, exact to the bit. Nothing is checked: a value that Engram refuses is written
    /// too.
    pub fn encode(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(EMBEDDING_BYTES + 512);
        self.encode_into(&mut payload);
        payload
    }

    /// Appends what [`Episode::encode`] gives.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        put::str(out, &self.id);
        put::str(out, &self.when);
        put::option(out, self.where_location.as_deref(), put::str);
        put::option(out, self.who.as_deref(), put::strings);
        put::str(out, &self.what);
        put::embedding(out, &self.embedding);
        put::option(out, self.provenance.as_ref(), |out, provenance| provenance.encode_into(out));
        put::u32(out, self.encoding_confidence_bits);
        put::u32(out, self.vividness_confidence_bits);
        put::u32(out, self.reliability_confidence_bits);
        put::str(out, &self.last_recall);
        put::u32(out, self.recall_count);
        put::u32(out, self.decay_rate_bits);
        put::option(out, self.decay_function, |out, decay| decay.encode_into(out));
        put::pairs(out, &self.metadata);
    }
}

#[cfg(test)]
mod tests;
