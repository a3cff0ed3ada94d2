//! A node as a document for people and scripts: every field, with exact bits and texts.

use serde::Serialize;

use super::node::{DualMemoryNode, MemoryNodeType};
use crate::space::log::bincode_reader::{DecodeError, EMBEDDING_BYTES, RangeCheck};
use crate::space::log::decay::DecayFunction;
use crate::space::log::episode::EpisodeView;
use crate::space::log::memory::MemoryView;
use crate::space::log::provenance::ProvenanceView;
use crate::space::log::timestamp::{TimeView, Timestamp};

/// Values of the embedding that are shown.
const EMBEDDING_VALUES_SHOWN: usize = 8;

/// An f32 as a number, null if it is not finite, and as its exact bits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FloatDocument {
    /// The value; JSON has no NaN and no infinity.
    pub value: serde_json::Value,
    /// The bits in hexadecimal.
    pub bits: String,
}

/// A point in time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TimeDocument {
    /// As Engram writes it.
    pub at: String,
    /// As the record has it.
    pub text: String,
}

/// An embedding, without most of its values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EmbeddingDocument {
    /// Values.
    pub values: usize,
    /// CRC-32C of the bytes, hexadecimal.
    pub crc32c: String,
    /// The first values.
    pub first: Vec<FloatDocument>,
}

/// Where an embedding comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProvenanceDocument {
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
    /// Quality.
    pub quality_score: Option<FloatDocument>,
    /// More about the model, in the order written.
    pub metadata: Vec<(String, String)>,
}

/// How the strength of an episode fades.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "function", rename_all = "kebab-case")]
pub enum DecayDocument {
    /// Variant 0.
    Exponential {
        /// Time constant in hours.
        tau_hours: FloatDocument,
    },
    /// Variant 1.
    PowerLaw {
        /// Exponent.
        beta: FloatDocument,
    },
    /// Variant 2.
    TwoComponent {
        /// Recalls after which the slow component applies.
        consolidation_threshold: u64,
    },
    /// Variant 3.
    Hybrid {
        /// Time constant of the early phase.
        short_term_tau: FloatDocument,
        /// Exponent of the late phase.
        long_term_beta: FloatDocument,
        /// Where the phases meet, in seconds.
        transition_point: u64,
    },
}

/// Where a record stands in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PositionDocument {
    /// Name of the log file.
    pub file: String,
    /// Offset of the record's header.
    pub offset: u64,
    /// Sequence number.
    pub sequence: u64,
    /// Entry type.
    pub entry_type: u32,
    /// Header time, nanoseconds since the Unix epoch.
    pub timestamp_ns: u64,
}

/// A node with all that its record holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeDocument {
    /// `wal`, or the name of the store that it was read from.
    pub format: String,
    /// Node id.
    pub id: String,
    /// `Episode`: the log holds nothing else.
    pub node_type: &'static str,
    /// The original string id.
    pub episode_id: String,
    /// The text; absent only in memories.
    pub content: Option<String>,
    /// Strength.
    pub strength: FloatDocument,
    /// Activation.
    pub activation: FloatDocument,
    /// Confidence.
    pub confidence: FloatDocument,
    /// Consolidation score.
    pub consolidation_score: FloatDocument,
    /// When it happened or was created.
    pub created_at: TimeDocument,
    /// When it was last recalled or accessed.
    pub last_access: TimeDocument,
    /// Recalls of an episode, accesses of a memory.
    pub access_count: u64,
    /// Decay rate of the record.
    pub decay_rate: FloatDocument,
    /// What only an episode has; in JSON its fields are on the same level as the others.
    #[serde(flatten)]
    pub episode: Option<EpisodeDocument>,
    /// The stored activation of a memory, which is not the live one.
    pub activation_value: Option<FloatDocument>,
    /// Where the embedding comes from.
    pub provenance: Option<ProvenanceDocument>,
    /// The embedding.
    pub embedding: EmbeddingDocument,
    /// Bytes after the decoded payload, which Engram ignores.
    pub trailing_bytes: u64,
    /// Where the record stands.
    pub source: PositionDocument,
}

/// The fields of an episode that a memory does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EpisodeDocument {
    /// Where it happened.
    #[serde(rename = "where")]
    pub where_location: Option<String>,
    /// Who took part; an empty list is not the same as none.
    pub who: Option<Vec<String>>,
    /// Confidence of the details.
    pub vividness_confidence: FloatDocument,
    /// Confidence of the facts.
    pub reliability_confidence: FloatDocument,
    /// How its strength fades.
    pub decay_function: Option<DecayDocument>,
    /// Anything else, in the order written, repeated keys included.
    pub metadata: Vec<(String, String)>,
}

impl NodeDocument {
    /// Returns the document of a node made from an episode.
    pub fn of_episode(
        format: String,
        node: &DualMemoryNode,
        payload: &[u8],
        source: PositionDocument,
    ) -> Result<Self, DecodeError> {
        let view = EpisodeView::parse(payload, RangeCheck::Keep)?;
        Ok(Self {
            content: Some(view.what.to_owned()),
            created_at: time(node.created_at, &view.when),
            last_access: time(node.last_access, &view.last_recall),
            access_count: u64::from(view.recall_count),
            decay_rate: float(view.decay_rate_bits),
            episode: Some(EpisodeDocument {
                where_location: view.where_location.map(str::to_owned),
                who: view.who.map(|who| who.to_vec()),
                vividness_confidence: float(view.vividness_confidence_bits),
                reliability_confidence: float(view.reliability_confidence_bits),
                decay_function: view.decay_function.map(decay),
                metadata: view.metadata.to_vec(),
            }),
            provenance: view.provenance.as_ref().map(provenance),
            embedding: embedding(view.embedding),
            trailing_bytes: (payload.len() - view.used_len_bytes) as u64,
            ..Self::of_node(format, node, source)
        })
    }

    /// Returns the document of a node made from a memory.
    pub fn of_memory(
        format: String,
        node: &DualMemoryNode,
        payload: &[u8],
        source: PositionDocument,
    ) -> Result<Self, DecodeError> {
        let view = MemoryView::parse(payload, RangeCheck::Keep)?;
        Ok(Self {
            content: view.content.map(str::to_owned),
            created_at: time(node.created_at, &view.created_at),
            last_access: time(node.last_access, &view.last_access),
            access_count: view.access_count,
            decay_rate: float(view.decay_rate_bits),
            activation_value: Some(float(view.activation_value_bits)),
            provenance: view.provenance.as_ref().map(provenance),
            embedding: embedding(view.embedding),
            trailing_bytes: (payload.len() - view.used_len_bytes) as u64,
            ..Self::of_node(format, node, source)
        })
    }

    fn of_node(format: String, node: &DualMemoryNode, source: PositionDocument) -> Self {
        let (episode_id, strength, consolidation_score) = match &node.node_type {
            MemoryNodeType::Episode { episode_id, strength, consolidation_score } => {
                (episode_id.clone(), *strength, *consolidation_score)
            }
            MemoryNodeType::Concept { coherence, .. } => (node.id.to_string(), *coherence, 0.0),
        };
        let no_time = TimeDocument { at: String::new(), text: String::new() };
        Self {
            format,
            id: node.id.to_string(),
            node_type: "Episode",
            episode_id,
            content: None,
            strength: float(strength.to_bits()),
            activation: float(node.activation.to_bits()),
            confidence: float(node.confidence.to_bits()),
            consolidation_score: float(consolidation_score.to_bits()),
            created_at: no_time.clone(),
            last_access: no_time,
            access_count: 0,
            decay_rate: float(0),
            episode: None,
            activation_value: None,
            provenance: None,
            embedding: EmbeddingDocument { values: 0, crc32c: String::new(), first: Vec::new() },
            trailing_bytes: 0,
            source,
        }
    }
}

fn float(bits: u32) -> FloatDocument {
    let value = f32::from_bits(bits);
    FloatDocument {
        value: if value.is_finite() { serde_json::json!(value) } else { serde_json::Value::Null },
        bits: format!("{bits:08x}"),
    }
}

fn time(at: Timestamp, view: &TimeView<'_>) -> TimeDocument {
    TimeDocument { at: at.to_writer_form(), text: view.text.to_owned() }
}

fn embedding(bytes: &[u8; EMBEDDING_BYTES]) -> EmbeddingDocument {
    let values = bytes.as_chunks::<4>().0;
    EmbeddingDocument {
        values: values.len(),
        crc32c: format!("{:08x}", crc32c::crc32c(bytes)),
        first: values[..EMBEDDING_VALUES_SHOWN].iter().map(|value| float(u32::from_le_bytes(*value))).collect(),
    }
}

fn provenance(view: &ProvenanceView<'_>) -> ProvenanceDocument {
    ProvenanceDocument {
        model_name: view.model_name.to_owned(),
        model_version: view.model_version.to_owned(),
        dimension: view.dimension,
        language: view.language.map(str::to_owned),
        created_at_secs: view.created_at_secs,
        quality_score: view.quality_score_bits.map(float),
        metadata: view.metadata.to_vec(),
    }
}

fn decay(function: DecayFunction) -> DecayDocument {
    match function {
        DecayFunction::Exponential { tau_hours_bits } => {
            DecayDocument::Exponential { tau_hours: float(tau_hours_bits) }
        }
        DecayFunction::PowerLaw { beta_bits } => DecayDocument::PowerLaw { beta: float(beta_bits) },
        DecayFunction::TwoComponent { consolidation_threshold } => {
            DecayDocument::TwoComponent { consolidation_threshold }
        }
        DecayFunction::Hybrid { short_term_tau_bits, long_term_beta_bits, transition_point } => DecayDocument::Hybrid {
            short_term_tau: float(short_term_tau_bits),
            long_term_beta: float(long_term_beta_bits),
            transition_point,
        },
    }
}
