//! Where an embedding comes from: the model and when it ran.

use super::bincode_reader::{Cursor, DecodeError, DecodeProblem, OutOfRange, put};
use super::payload_lists::PairList;

/// A provenance inside a payload (docs/source-engram.md, "Provenance").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProvenanceView<'a> {
    /// Name of the model.
    pub model_name: &'a str,
    /// Version of the model.
    pub model_version: &'a str,
    /// Values of the model's embeddings.
    pub dimension: u64,
    /// Language of the text.
    pub language: Option<&'a str>,
    /// Seconds since the Unix epoch. Above `i64::MAX` Engram cannot read the record.
    pub created_at_secs: u64,
    /// Bits of an f32, any of them.
    pub quality_score_bits: Option<u32>,
    /// More about the model.
    pub metadata: PairList<'a>,
}

/// An owned [`ProvenanceView`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// Name of the model.
    pub model_name: String,
    /// Version of the model.
    pub model_version: String,
    /// Values of the model's embeddings.
    pub dimension: u64,
    /// Language of the text.
    pub language: Option<String>,
    /// Seconds since the Unix epoch.
    pub created_at_secs: u64,
    /// Bits of an f32, any of them.
    pub quality_score_bits: Option<u32>,
    /// More about the model, in the order written.
    pub metadata: Vec<(String, String)>,
}

impl<'a> ProvenanceView<'a> {
    /// Reads an optional provenance. A creation time that Engram refuses is put into `refused` if that is empty.
    #[inline]
    pub fn parse_option(
        cursor: &mut Cursor<'a>,
        refused: &mut Option<DecodeError>,
    ) -> Result<Option<Self>, DecodeError> {
        if !cursor.option()? {
            return Ok(None);
        }
        let model_name = cursor.str()?;
        let model_version = cursor.str()?;
        let dimension = cursor.u64()?;
        let language = cursor.option_str()?;
        let at = cursor.position();
        let created_at_secs = cursor.u64()?;
        if i64::try_from(created_at_secs).is_err() {
            let what = DecodeProblem::OutOfRange(OutOfRange::ProvenanceSeconds(created_at_secs));
            refused.get_or_insert(Cursor::error(at, what));
        }
        let quality_score_bits = cursor.option_u32()?;
        let metadata = PairList::parse(cursor)?;
        Ok(Some(Self { model_name, model_version, dimension, language, created_at_secs, quality_score_bits, metadata }))
    }

    /// Returns an owned copy.
    pub fn to_owned(self) -> Provenance {
        Provenance {
            model_name: self.model_name.to_owned(),
            model_version: self.model_version.to_owned(),
            dimension: self.dimension,
            language: self.language.map(str::to_owned),
            created_at_secs: self.created_at_secs,
            quality_score_bits: self.quality_score_bits,
            metadata: self.metadata.to_vec(),
        }
    }

    /// Returns whether both decode to equal fields; see [`PairList::same_map`] for the metadata.
    pub fn same_fields(&self, other: &Self) -> bool {
        let Self { model_name, model_version, dimension, language, created_at_secs, quality_score_bits, metadata } =
            self;
        (model_name, model_version, dimension, language)
            == (&other.model_name, &other.model_version, &other.dimension, &other.language)
            && (created_at_secs, quality_score_bits) == (&other.created_at_secs, &other.quality_score_bits)
            && metadata.same_map(&other.metadata)
    }
}

impl Provenance {
    /// Appends the encoding, exact to the bit.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        put::str(out, &self.model_name);
        put::str(out, &self.model_version);
        put::u64(out, self.dimension);
        put::option(out, self.language.as_deref(), put::str);
        put::u64(out, self.created_at_secs);
        put::option(out, self.quality_score_bits, put::u32);
        put::pairs(out, &self.metadata);
    }
}
