//! Episodes and memories for tests: plain ones, and arbitrary ones with every field in play.

use crate::space::log::bincode_reader::EMBEDDING_BYTES;
use crate::space::log::episode::Episode;
use crate::space::log::memory::Memory;

const WHEN: &str = "2024-01-02T03:04:05.123456Z";
const RECALL: &str = "2024-01-03T00:00:00.500Z";

/// Returns a plain episode of this id, with the defaults of Engram's own constructor and an embedding of its own.
pub fn episode(id: &str) -> Episode {
    let confidence = 0.75_f32.to_bits();
    Episode {
        id: id.to_owned(),
        when: WHEN.to_owned(),
        where_location: None,
        who: None,
        what: String::new(),
        embedding: embedding(id),
        provenance: None,
        encoding_confidence_bits: confidence,
        vividness_confidence_bits: confidence,
        reliability_confidence_bits: confidence,
        last_recall: RECALL.to_owned(),
        recall_count: 0,
        decay_rate_bits: 0.05_f32.to_bits(),
        decay_function: None,
        metadata: Vec::new(),
    }
}

/// Returns a plain memory of this id, with the defaults of Engram's own constructor and an embedding of its own.
pub fn memory(id: &str) -> Memory {
    Memory {
        id: id.to_owned(),
        embedding: embedding(id),
        activation_value_bits: 0,
        confidence_bits: 0.75_f32.to_bits(),
        last_access: RECALL.to_owned(),
        access_count: 0,
        created_at: WHEN.to_owned(),
        decay_rate_bits: 0.1_f32.to_bits(),
        content: None,
        provenance: None,
    }
}

/// Finite values that differ from id to id.
fn embedding(id: &str) -> Box<[u8; EMBEDDING_BYTES]> {
    let mut bytes = Box::new([0; EMBEDDING_BYTES]);
    let mut digest = blake3::Hasher::new();
    digest.update(id.as_bytes());
    digest.finalize_xof().fill(bytes.as_mut_slice());
    for value in bytes.as_chunks_mut::<4>().0 {
        // Sign and exponent of the smaller powers of two only.
        value[3] = value[3] & 0x80 | 0x3C;
    }
    bytes
}

#[cfg(test)]
pub use arbitrary::{any_episode, any_memory};

#[cfg(test)]
mod arbitrary {
    use super::*;
    use crate::space::log::decay::DecayFunction;
    use crate::space::log::provenance::Provenance;
    use crate::space::log::timestamp::Timestamp;
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    fn time() -> impl Strategy<Value = String> {
        let range = Timestamp::MIN.seconds..=Timestamp::MAX.seconds;
        prop_oneof![
            (range, 0_u32..1_000_000_000).prop_map(|(seconds, nanos)| Timestamp { seconds, nanos }.to_writer_form()),
            Just(" 2024-1-2 3:4:5 utc".to_owned()),
            Just("2024-01-02T03:04:05+02:00".to_owned()),
        ]
    }

    fn pairs() -> impl Strategy<Value = Vec<(String, String)>> {
        vec(("[ab\\PC]{0,2}", "\\PC{0,5}"), 0..5)
    }

    fn bytes() -> impl Strategy<Value = Box<[u8; EMBEDDING_BYTES]>> {
        (any::<u64>(), vec(any::<[u8; 4]>(), 4)).prop_map(|(seed, odd)| {
            let mut bytes = embedding(&seed.to_string());
            for (slot, value) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(odd) {
                *slot = value;
            }
            bytes
        })
    }

    fn provenance() -> impl Strategy<Value = Provenance> {
        (
            "\\PC{0,9}",
            "\\PC{0,5}",
            any::<u64>(),
            option::of("\\PC{0,3}"),
            any::<u64>(),
            option::of(any::<u32>()),
            pairs(),
        )
            .prop_map(
                |(model_name, model_version, dimension, language, created_at_secs, quality_score_bits, metadata)| {
                    Provenance {
                        model_name,
                        model_version,
                        dimension,
                        language,
                        created_at_secs,
                        quality_score_bits,
                        metadata,
                    }
                },
            )
    }

    fn decay() -> impl Strategy<Value = DecayFunction> {
        prop_oneof![
            any::<u32>().prop_map(|tau_hours_bits| DecayFunction::Exponential { tau_hours_bits }),
            any::<u32>().prop_map(|beta_bits| DecayFunction::PowerLaw { beta_bits }),
            any::<u64>().prop_map(|consolidation_threshold| DecayFunction::TwoComponent { consolidation_threshold }),
            any::<(u32, u32, u64)>().prop_map(|(short_term_tau_bits, long_term_beta_bits, transition_point)| {
                DecayFunction::Hybrid { short_term_tau_bits, long_term_beta_bits, transition_point }
            }),
        ]
    }

    /// Any episode whose payload is sound in structure, values that Engram refuses included.
    pub fn any_episode() -> impl Strategy<Value = Episode> {
        let texts = ("[a\\PC\\x00]{0,12}", option::of("\\PC{0,9}"), option::of(vec("\\PC{0,6}", 0..4)), "\\PC{0,60}");
        let rest = (bytes(), option::of(provenance()), any::<[u32; 5]>(), option::of(decay()), pairs());
        (texts, (time(), time()), rest).prop_map(|(texts, times, rest)| {
            let (id, where_location, who, what) = texts;
            let (embedding, provenance, numbers, decay_function, metadata) = rest;
            Episode {
                id,
                when: times.0,
                where_location,
                who,
                what,
                embedding,
                provenance,
                encoding_confidence_bits: numbers[0],
                vividness_confidence_bits: numbers[1],
                reliability_confidence_bits: numbers[2],
                last_recall: times.1,
                recall_count: numbers[3],
                decay_rate_bits: numbers[4],
                decay_function,
                metadata,
            }
        })
    }

    /// Any memory whose payload is sound in structure, values that Engram refuses included.
    pub fn any_memory() -> impl Strategy<Value = Memory> {
        let numbers = (any::<[u32; 3]>(), any::<u64>());
        ("\\PC{0,12}", bytes(), (time(), time()), numbers, option::of("\\PC{0,60}"), option::of(provenance())).prop_map(
            |(id, embedding, times, (numbers, access_count), content, provenance)| Memory {
                id,
                embedding,
                activation_value_bits: numbers[0],
                confidence_bits: numbers[1],
                last_access: times.0,
                access_count,
                created_at: times.1,
                decay_rate_bits: numbers[2],
                content,
                provenance,
            },
        )
    }
}
