//! The dual memory node: what a record of the log becomes.

use uuid::Uuid;

use crate::space::log::bincode_reader::{
    Cursor, DecodeError, DecodeProblem, EMBEDDING_VALUES, embedding_bytes, embedding_values, put,
};
use crate::space::log::episode::{EpisodeView, time};
use crate::space::log::memory::{Memory, MemoryView};
use crate::space::log::node_id::node_id;
use crate::space::log::timestamp::Timestamp;

/// Decay per hour of every memory that Engram makes itself: 0.1 as bits.
const MEMORY_DECAY_RATE: u32 = 0x3DCC_CCCD;

/// A node of the dual-memory store, with the fields of Engram's own (docs/source-engram.md, "Node types").
///
/// Equality is by bits: a NaN equals itself and −0.0 differs from 0.0.
#[derive(Debug, Clone)]
pub struct DualMemoryNode {
    /// The node's id, derived from the record's.
    pub id: Uuid,
    /// An episode, or a concept formed from several.
    pub node_type: MemoryNodeType,
    /// The embedding, bit by bit.
    pub embedding: Box<[f32; EMBEDDING_VALUES]>,
    /// How active the node is, from 0 to 1.
    pub activation: f32,
    /// How certain the memory is, from 0 to 1.
    pub confidence: f32,
    /// When it was last recalled or accessed.
    pub last_access: Timestamp,
    /// When it happened or was created.
    pub created_at: Timestamp,
}

/// What kind of memory a node is. Equality is by bits.
#[derive(Debug, Clone)]
pub enum MemoryNodeType {
    /// One remembered episode.
    Episode {
        /// The record's id, verbatim.
        episode_id: String,
        /// From 0, decayed, to 1, active; not clamped.
        strength: f32,
        /// From 0, a pure episode, to 1, ready to become part of a concept.
        consolidation_score: f32,
    },
    /// A concept formed from several episodes.
    Concept {
        /// Equal to the node's embedding when the concept is formed.
        centroid: Box<[f32; EMBEDDING_VALUES]>,
        /// From 0, diffuse, to 1, tight; not clamped.
        coherence: f32,
        /// Episodes that contribute.
        instance_count: u32,
        /// When it was formed. Only the point in time is kept; it is encoded in the form that Engram writes.
        formation_time: Timestamp,
    },
}

/// A memory as Engram holds it: its fields and the live activation, which no encoding contains.
#[derive(Debug, Clone)]
pub struct LiveMemory {
    /// The encoded fields.
    pub memory: Memory,
    /// The live activation, from 0 to 1.
    pub activation: f32,
}

/// Clamps to [0, 1] as Engram does: NaN and −0.0 stay as they are.
pub const fn clamp_unit(value: f32) -> f32 {
    if value < 0.0 {
        0.0
    } else if value > 1.0 {
        1.0
    } else {
        value
    }
}

impl DualMemoryNode {
    /// Returns the node of a stored episode (docs/source-engram.md, "Field mapping"): strength and activation are the
    /// clamped encoding confidence, the times are the episode's own.
    pub fn from_episode(episode: &EpisodeView<'_>) -> Self {
        Self::from_episode_with_strength(episode, clamp_unit(f32::from_bits(episode.encoding_confidence_bits)))
    }

    /// Returns the node of a stored episode with another strength, taken as it is.
    pub fn from_episode_with_strength(episode: &EpisodeView<'_>, strength: f32) -> Self {
        Self {
            id: node_id(episode.id),
            node_type: episode_type(episode.id, strength),
            embedding: embedding_values(episode.embedding),
            activation: strength,
            confidence: f32::from_bits(episode.encoding_confidence_bits),
            last_access: episode.last_recall.time,
            created_at: episode.when.time,
        }
    }

    /// Returns the node of a memory update that is imported (docs/source-engram.md, "Field mapping"). It is an episode
    /// without strength, as for Engram after decoding the record.
    pub fn from_memory(memory: &MemoryView<'_>) -> Self {
        Self::from_memory_with_activation(memory, 0.0)
    }

    /// Returns the node of a memory whose live activation is known, taken as it is.
    pub fn from_memory_with_activation(memory: &MemoryView<'_>, activation: f32) -> Self {
        Self {
            id: node_id(memory.id),
            node_type: episode_type(memory.id, activation),
            embedding: embedding_values(memory.embedding),
            activation,
            confidence: f32::from_bits(memory.confidence_bits),
            last_access: memory.last_access.time,
            created_at: memory.created_at.time,
        }
    }

    /// Returns the memory that Engram makes of the node alone (docs/source-engram.md, "Conversion back to Engram"): id,
    /// embedding, confidence, times and clamped activation; everything else has its default.
    pub fn to_memory(&self) -> LiveMemory {
        let id = match &self.node_type {
            MemoryNodeType::Episode { episode_id, .. } => episode_id.clone(),
            MemoryNodeType::Concept { .. } => self.id.to_string(),
        };
        let memory = Memory {
            id,
            embedding: embedding_bytes(&self.embedding),
            activation_value_bits: 0,
            confidence_bits: self.confidence.to_bits(),
            last_access: self.last_access.to_writer_form(),
            access_count: 0,
            created_at: self.created_at.to_writer_form(),
            decay_rate_bits: MEMORY_DECAY_RATE,
            content: None,
            provenance: None,
        };
        LiveMemory { memory, activation: clamp_unit(self.activation) }
    }
}

/// Returns the memory that Engram holds after it has replayed a stored episode (docs/source-engram.md, "Conversion back
/// to Engram").
#[cfg(any(test, feature = "internals"))]
pub fn memory_after_replay(episode: &EpisodeView<'_>) -> LiveMemory {
    let memory = Memory {
        id: episode.id.to_owned(),
        embedding: Box::new(*episode.embedding),
        activation_value_bits: 0,
        confidence_bits: episode.encoding_confidence_bits,
        last_access: episode.last_recall.time.to_writer_form(),
        access_count: u64::from(episode.recall_count),
        created_at: episode.when.time.to_writer_form(),
        decay_rate_bits: MEMORY_DECAY_RATE,
        content: Some(episode.what.to_owned()),
        provenance: episode.provenance.map(|provenance| provenance.to_owned()),
    };
    LiveMemory { memory, activation: clamp_unit(f32::from_bits(episode.encoding_confidence_bits)) }
}

fn episode_type(id: &str, strength: f32) -> MemoryNodeType {
    MemoryNodeType::Episode { episode_id: id.to_owned(), strength, consolidation_score: 0.0 }
}

impl MemoryNodeType {
    /// Reads what [`MemoryNodeType::encode`] writes and stops behind it.
    ///
    /// # Errors
    ///
    /// [`DecodeProblem::Variant`] for a variant other than 0 and 1, and whatever is wrong with a field.
    pub fn decode(cursor: &mut Cursor<'_>) -> Result<Self, DecodeError> {
        let at = cursor.position();
        Ok(match cursor.u32()? {
            0 => Self::Episode {
                episode_id: cursor.str()?.to_owned(),
                strength: f32::from_bits(cursor.u32()?),
                consolidation_score: f32::from_bits(cursor.u32()?),
            },
            1 => Self::Concept {
                centroid: embedding_values(cursor.embedding()?),
                coherence: f32::from_bits(cursor.u32()?),
                instance_count: cursor.u32()?,
                formation_time: time(cursor)?.time,
            },
            other => return Err(Cursor::error(at, DecodeProblem::Variant(other))),
        })
    }

    /// Engram's encoding of the type (docs/source-engram.md, "Node types"): the variant, then its fields.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Episode { episode_id, strength, consolidation_score } => {
                put::u32(&mut out, 0);
                put::str(&mut out, episode_id);
                put::u32(&mut out, strength.to_bits());
                put::u32(&mut out, consolidation_score.to_bits());
            }
            Self::Concept { centroid, coherence, instance_count, formation_time } => {
                put::u32(&mut out, 1);
                put::embedding(&mut out, &embedding_bytes(centroid));
                put::u32(&mut out, coherence.to_bits());
                put::u32(&mut out, *instance_count);
                put::str(&mut out, &formation_time.to_writer_form());
            }
        }
        out
    }
}

fn same_bits(one: &[f32], other: &[f32]) -> bool {
    one.iter().map(|value| value.to_bits()).eq(other.iter().map(|value| value.to_bits()))
}

impl PartialEq for MemoryNodeType {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Episode { episode_id, strength, consolidation_score },
                Self::Episode { episode_id: other_id, strength: other_strength, consolidation_score: other_score },
            ) => {
                episode_id == other_id
                    && same_bits(&[*strength, *consolidation_score], &[*other_strength, *other_score])
            }
            (
                Self::Concept { centroid, coherence, instance_count, formation_time },
                Self::Concept {
                    centroid: other_centroid,
                    coherence: other_coherence,
                    instance_count: other_count,
                    formation_time: other_time,
                },
            ) => {
                same_bits(&**centroid, &**other_centroid)
                    && coherence.to_bits() == other_coherence.to_bits()
                    && instance_count == other_count
                    && formation_time == other_time
            }
            _ => false,
        }
    }
}

impl Eq for MemoryNodeType {}

impl PartialEq for DualMemoryNode {
    fn eq(&self, other: &Self) -> bool {
        (self.id, self.last_access, self.created_at) == (other.id, other.last_access, other.created_at)
            && self.node_type == other.node_type
            && same_bits(&[self.activation, self.confidence], &[other.activation, other.confidence])
            && same_bits(&*self.embedding, &*other.embedding)
    }
}

impl Eq for DualMemoryNode {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::space::generate::samples::{any_episode, any_memory, episode};
    use crate::space::log::bincode_reader::RangeCheck;
    use crate::space::log::episode::Episode;
    use proptest::prelude::*;

    fn decode(bytes: &[u8]) -> Result<MemoryNodeType, DecodeError> {
        MemoryNodeType::decode(&mut Cursor::new(bytes))
    }

    #[test]
    fn clamping_leaves_nan_and_negative_zero() {
        for (value, clamped) in [(-0.5, 0.0), (1.5, 1.0), (-0.0, -0.0), (0.25, 0.25), (f32::INFINITY, 1.0_f32)] {
            assert_eq!(f32::to_bits(clamp_unit(value)), clamped.to_bits());
        }
        assert_eq!(clamp_unit(f32::from_bits(0xFFA0_0001)).to_bits(), 0xFFA0_0001);
    }

    #[test]
    fn an_episode_becomes_a_node_with_its_own_times() {
        let kept = Episode { encoding_confidence_bits: 0x8000_0000, ..episode("episode_000123") };
        let payload = kept.encode();
        let view = EpisodeView::parse(&payload, RangeCheck::Enforce).unwrap();
        let node = DualMemoryNode::from_episode(&view);
        assert_eq!(node.id.to_string(), "6b1165e6-2ff4-5aa1-84ba-aacf6131db8a");
        assert_eq!((node.activation.to_bits(), node.confidence.to_bits()), (0x8000_0000, 0x8000_0000));
        assert_eq!((node.created_at, node.last_access), (view.when.time, view.last_recall.time));
        let MemoryNodeType::Episode { episode_id, strength, consolidation_score } = &node.node_type else {
            panic!("an episode becomes an episode");
        };
        assert_eq!((episode_id.as_str(), strength.to_bits(), consolidation_score.to_bits()), (view.id, 0x8000_0000, 0));

        let back = node.to_memory();
        assert_eq!((back.memory.content.as_deref(), back.memory.access_count), (None, 0));
        let replayed = memory_after_replay(&view);
        assert_eq!(replayed.memory.content.as_deref(), Some(""));
        assert_eq!(replayed.activation.to_bits(), back.activation.to_bits());
        assert_eq!(Memory { content: None, ..replayed.memory }, back.memory);
    }

    #[test]
    fn sizes_are_those_of_the_table() {
        let concept = |nanos| MemoryNodeType::Concept {
            centroid: Box::new([f32::NAN; EMBEDDING_VALUES]),
            coherence: 3.5,
            instance_count: u32::MAX,
            formation_time: Timestamp { seconds: 0, nanos },
        };
        for (nanos, size) in [(0, 3_120), (5_000_000, 3_124), (5_000, 3_127), (5, 3_130)] {
            let encoded = concept(nanos).encode();
            assert_eq!(encoded.len(), size);
            assert_eq!(decode(&encoded).unwrap(), concept(nanos));
            assert!(decode(&encoded[..size - 1]).is_err());
        }
        assert_eq!(episode_type("ab", f32::NAN).encode().len(), 22);
        assert_eq!(decode(&[2, 0, 0, 0]).unwrap_err().what, DecodeProblem::Variant(2));
    }

    #[test]
    fn a_concept_goes_by_its_node_id() {
        let payload = episode("x").encode();
        let mut node = DualMemoryNode::from_episode(&EpisodeView::parse(&payload, RangeCheck::Enforce).unwrap());
        node.activation = 1.5;
        node.node_type = MemoryNodeType::Concept {
            centroid: node.embedding.clone(),
            coherence: 0.5,
            instance_count: 1,
            formation_time: node.created_at,
        };
        let live = node.to_memory();
        assert_eq!((live.memory.id, live.activation), (node.id.to_string(), 1.0));
    }

    proptest! {
        #[test]
        fn a_node_keeps_the_bits(episode in any_episode()) {
            let payload = episode.encode();
            let view = EpisodeView::parse(&payload, RangeCheck::Keep).unwrap();
            let node = DualMemoryNode::from_episode(&view);
            prop_assert_eq!(embedding_bytes(&node.embedding), episode.embedding);
            prop_assert_eq!(node.confidence.to_bits(), episode.encoding_confidence_bits);
            prop_assert_eq!(decode(&node.node_type.encode()), Ok(node.node_type.clone()));
            let back = node.to_memory();
            let payload = back.memory.encode();
            let memory = MemoryView::parse(&payload, RangeCheck::Keep).unwrap();
            let again = DualMemoryNode::from_memory_with_activation(&memory, back.activation);
            prop_assert_eq!(again, node);
        }

        #[test]
        fn an_imported_memory_has_no_strength(memory in any_memory()) {
            let payload = memory.encode();
            let view = MemoryView::parse(&payload, RangeCheck::Keep).unwrap();
            let node = DualMemoryNode::from_memory(&view);
            prop_assert_eq!(&node.node_type, &episode_type(&memory.id, 0.0));
            prop_assert_eq!((node.activation.to_bits(), node.confidence.to_bits()), (0, memory.confidence_bits));
            prop_assert_eq!((node.created_at, node.last_access), (view.created_at.time, view.last_access.time));
        }
    }
}
