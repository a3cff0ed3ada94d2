//! Generates spaces for tests and benchmarks: logs in the real format, the same for the same options on every machine.
//!
//! Every record depends on the seed and its own number alone, so a part of a space can be made without the rest.

// For tests, here and outside of the crate.
#[cfg(any(test, feature = "internals"))]
pub mod samples;
pub mod write;

use std::ops::Range;

use uuid::Uuid;

use super::log::bincode_reader::EMBEDDING_BYTES;
use super::log::decay::DecayFunction;
use super::log::episode::Episode;
use super::log::provenance::Provenance;
use super::log::timestamp::Timestamp;
use super::log::wal::{EntryKind, append_record_with, wal_file_name};

/// Bytes after which a chunk is handed over; it is longer by less than one record.
const CHUNK_BYTES: usize = 1 << 20;

/// Record numbers fit this many bits, so that ids made from them stay distinct.
const INDEX_BITS: u32 = 62;

/// What to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GenerateOptions {
    /// Episodes in all files together; each has an id of its own. Below 2^62.
    pub nodes: u64,
    /// Chooses everything that is not fixed by the other options.
    pub seed: u64,
    /// Log files; 0 counts as 1. Episodes are spread evenly, in order.
    pub files: u32,
}

/// What was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Generated {
    /// Records in all files.
    pub records: u64,
    /// Bytes in all files.
    pub bytes: u64,
}

impl GenerateOptions {
    /// Returns how many files there are.
    pub fn file_count(&self) -> u32 {
        self.files.max(1)
    }

    /// Returns the name of a file, from 0; names ascend with the number.
    pub fn file_name(&self, file: u32) -> String {
        wal_file_name(self.first_second() + 60 * u64::from(file))
    }

    /// Returns the numbers of the episodes in a file.
    pub fn episodes_of(&self, file: u32) -> Range<u64> {
        let bound = |file: u32| {
            let share = u128::from(self.nodes) * u128::from(file) / u128::from(self.file_count());
            u64::try_from(share).expect("a share is not larger than the whole")
        };
        bound(file)..bound(file + 1)
    }

    /// When the first file was opened, in seconds since the Unix epoch: in 2024.
    fn first_second(&self) -> u64 {
        1_704_067_200 + Rng::of(self.seed, u64::MAX).below(20_000_000)
    }
}

/// Takes the number of a file and the next bytes of it.
pub type Sink<'a, E> = dyn FnMut(u32, &[u8]) -> Result<(), E> + 'a;

/// Makes the whole space and hands it to `sink` in chunks of about 1 MiB, with the number of the file that each one
/// belongs to. Files come one after the other; each gets at least one chunk, if only an empty one.
///
/// Sequence numbers start at 0 in each file. No record holds anything that is to be refused or noted.
///
/// # Errors
///
/// The first error of `sink`, at once.
///
/// # Panics
///
/// When 2^62 nodes or more are asked for.
pub fn generate<E>(options: &GenerateOptions, sink: &mut Sink<'_, E>) -> Result<Generated, E> {
    assert!(options.nodes >> INDEX_BITS == 0, "more nodes than distinct ids");
    let mut made = Generated::default();
    let mut chunk = Vec::with_capacity(CHUNK_BYTES + 8192);
    let opened_ns = options.first_second() * 1_000_000_000;
    for file in 0..options.file_count() {
        let mut handed_over = false;
        for (sequence, index) in options.episodes_of(file).enumerate() {
            let timestamp_ns = opened_ns
                .wrapping_add(index.wrapping_mul(1_000_000))
                .wrapping_add(mix(options.seed ^ index) % 1_000_000);
            append_record_with(&mut chunk, sequence as u64, timestamp_ns, EntryKind::Store.entry_type(), |out| {
                generated_episode(options.seed, index).encode_into(out);
            });
            made.records += 1;
            if chunk.len() >= CHUNK_BYTES {
                made.bytes += chunk.len() as u64;
                sink(file, &chunk)?;
                chunk.clear();
                handed_over = true;
            }
        }
        if !(handed_over && chunk.is_empty()) {
            made.bytes += chunk.len() as u64;
            sink(file, &chunk)?;
            chunk.clear();
        }
    }
    Ok(made)
}

/// Returns one episode of a generated space, by its number. Its id is unlike that of any other number below 2^62.
pub fn generated_episode(seed: u64, index: u64) -> Episode {
    let rng = &mut Rng::of(seed, index);
    let when = rng.time();
    Episode {
        id: id(rng, seed, index),
        when: when.to_writer_form(),
        where_location: rng.one_in(3).then(|| rng.phrase(1..4)),
        who: rng.one_in(3).then(|| (0..rng.below(4)).map(|_| rng.pick(&NAMES).to_owned()).collect()),
        what: rng.phrase(0..41),
        embedding: embedding(rng),
        provenance: rng.one_in(8).then(|| provenance(rng)),
        encoding_confidence_bits: rng.confidence(),
        vividness_confidence_bits: rng.confidence(),
        reliability_confidence_bits: rng.confidence(),
        last_recall: Timestamp { seconds: when.seconds + rng.below(5_000_000) as i64, ..rng.time() }.to_writer_form(),
        recall_count: rng.below(50) as u32,
        decay_rate_bits: (rng.unit() * 0.5).to_bits(),
        decay_function: rng.one_in(3).then(|| decay(rng)),
        metadata: if rng.one_in(4) { metadata(rng) } else { Vec::new() },
    }
}

fn id(rng: &mut Rng, seed: u64, index: u64) -> String {
    match rng.below(12) {
        0..=2 => uuid(rng, seed, index).hyphenated().to_string(),
        3 => format!("{:X}", uuid(rng, seed, index).hyphenated()),
        4 => uuid(rng, seed, index).simple().to_string(),
        5 => uuid(rng, seed, index).braced().to_string(),
        6 => uuid(rng, seed, index).urn().to_string(),
        7 => format!("episode_{index:06}"),
        8 => format!("mem-{}-{index}", rng.below(1000)),
        9 => format!("ns/kind:{}/ünïcödé-{index}", rng.below(9)),
        10 => format!("{}/記憶/{index}", rng.pick(&NAMES)),
        _ => index.to_string(),
    }
}

/// Returns a version 4 UUID whose last 62 bits differ from index to index.
fn uuid(rng: &mut Rng, seed: u64, index: u64) -> Uuid {
    const MASK: u64 = (1 << INDEX_BITS) - 1;
    // Multiplication by an odd number and a shifted xor can both be undone, so no two indexes meet.
    let spread = (index ^ seed & MASK).wrapping_mul(0x9E37_79B9_7F4A_7C15) & MASK;
    let unique = (spread ^ spread >> 31).wrapping_mul(0xBF58_476D_1CE4_E5B9) & MASK;
    let high = rng.next() & !0xF000 | 0x4000;
    Uuid::from_u64_pair(high, 1 << 63 | unique)
}

/// 768 values with a length of about 1.
fn embedding(rng: &mut Rng) -> Box<[u8; EMBEDDING_BYTES]> {
    // Evenly spread within ±1/16: the expected square of each is 1/768.
    let value = |bits: u32| (f32::from_bits(0x3F80_0000 | bits >> 9) - 1.5) * 0.125;
    let mut bytes = Box::new([0; EMBEDDING_BYTES]);
    for pair in bytes.as_chunks_mut::<8>().0 {
        let random = rng.next();
        pair[..4].copy_from_slice(&value(random as u32).to_le_bytes());
        pair[4..].copy_from_slice(&value((random >> 32) as u32).to_le_bytes());
    }
    bytes
}

fn provenance(rng: &mut Rng) -> Provenance {
    Provenance {
        model_name: rng.pick(&["text-embed-small", "multilingual-768", "modèle-é"]).to_owned(),
        model_version: format!("{}.{}", rng.below(4), rng.below(10)),
        dimension: 768,
        language: rng.one_in(2).then(|| rng.pick(&["en", "de", "ja", "ar"]).to_owned()),
        created_at_secs: 1_600_000_000 + rng.below(100_000_000),
        quality_score_bits: rng.one_in(2).then(|| rng.unit().to_bits()),
        metadata: if rng.one_in(3) { metadata(rng) } else { Vec::new() },
    }
}

fn decay(rng: &mut Rng) -> DecayFunction {
    match rng.below(4) {
        0 => DecayFunction::Exponential { tau_hours_bits: (rng.unit() * 48.0).to_bits() },
        1 => DecayFunction::PowerLaw { beta_bits: rng.unit().to_bits() },
        2 => DecayFunction::TwoComponent { consolidation_threshold: rng.below(10) },
        _ => DecayFunction::Hybrid {
            short_term_tau_bits: (rng.unit() * 4.0).to_bits(),
            long_term_beta_bits: rng.unit().to_bits(),
            transition_point: rng.below(100_000),
        },
    }
}

/// Up to four pairs with distinct keys.
fn metadata(rng: &mut Rng) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for key in ["source", "channel", "言語", "tag"] {
        if rng.one_in(2) {
            pairs.push((key.to_owned(), rng.phrase(0..3)));
        }
    }
    pairs
}

const NAMES: [&str; 6] = ["alice", "bob", "Zoë", "Олег", "さくら", "نور"];

const WORDS: [&str; 24] = [
    "the",
    "sea",
    "hat",
    "we",
    "of",
    "blue",
    "train",
    "across",
    "gut",
    "Küche",
    "été",
    "mañana",
    "дорога",
    "ветер",
    "дом",
    "海辺",
    "約束",
    "雨",
    "ذاكرة",
    "صباح",
    "बारिश",
    "🧠",
    "κύμα",
    "a",
];

/// Makes numbers one after the other: splitmix64.
struct Rng(u64);

impl Rng {
    fn of(seed: u64, index: u64) -> Self {
        Self(mix(mix(seed).wrapping_add(index)))
    }

    #[inline]
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// Returns a number below `end`, which is small enough that the slight preference for small ones does not matter.
    fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// From 0 up to, but not including, 1.
    fn unit(&mut self) -> f32 {
        f32::from_bits(0x3F80_0000 | (self.next() >> 41) as u32) - 1.0
    }

    /// Exactly 0 and exactly 1 in one of ten cases each.
    fn confidence(&mut self) -> u32 {
        match self.below(10) {
            0 => 0.0_f32,
            1 => 1.0,
            _ => self.unit(),
        }
        .to_bits()
    }

    fn pick(&mut self, from: &[&'static str]) -> &'static str {
        from[self.below(from.len() as u64) as usize]
    }

    fn phrase(&mut self, words: Range<u64>) -> String {
        let count = words.start + self.below(words.end - words.start);
        let mut text = String::new();
        for index in 0..count {
            if index > 0 {
                text.push(' ');
            }
            text.push_str(self.pick(&WORDS));
        }
        text
    }

    /// In 2023 or 2024, with 0, 3, 6 or 9 digits of a second in equal shares.
    fn time(&mut self) -> Timestamp {
        let seconds = 1_672_531_200 + self.below(60_000_000) as i64;
        let nanos = match self.below(4) {
            0 => 0,
            1 => (1 + self.below(999)) * 1_000_000,
            2 => (self.below(999_999) / 1_000 * 1_000 + 1 + self.below(999)) * 1_000,
            _ => self.below(999_999) * 1_000 + 1 + self.below(999),
        };
        Timestamp { seconds, nanos: nanos as u32 }
    }
}

#[inline]
fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ value >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ value >> 31
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::convert::Infallible;

    use super::super::log::bincode_reader::RangeCheck;
    use super::super::log::episode::EpisodeView;
    use super::super::log::node_id::{node_id, spells_uuid};
    use super::super::log::wal::{HEADER_BYTES, WalHeader, is_wal_name};
    use super::*;

    fn files(options: &GenerateOptions) -> Vec<Vec<u8>> {
        let mut files = vec![Vec::new(); options.file_count() as usize];
        let made = generate(options, &mut |file, chunk: &[u8]| {
            files[file as usize].extend_from_slice(chunk);
            Ok::<(), Infallible>(())
        });
        let Ok(made) = made;
        assert_eq!(made.records, options.nodes);
        assert_eq!(made.bytes, files.iter().map(|file| file.len() as u64).sum::<u64>());
        files
    }

    #[test]
    fn a_generated_space_is_sound_and_varied() {
        let options = GenerateOptions { nodes: 3_000, seed: 7, files: 3 };
        let mut ids = HashSet::new();
        let mut node_ids = HashSet::new();
        let (mut bytes, mut empty, mut digits) = (0, 0, HashSet::new());
        for (number, file) in files(&options).iter().enumerate() {
            assert!(is_wal_name(options.file_name(number as u32).as_ref()));
            let mut rest = file.as_slice();
            let mut sequence = 0;
            while let Some((head, tail)) = rest.split_first_chunk::<HEADER_BYTES>() {
                let header = WalHeader::parse(head).unwrap();
                let (payload, tail) = tail.split_at(header.payload_len_bytes as usize);
                assert!(header.payload_matches(payload));
                assert_eq!((header.sequence, header.kind()), (sequence, EntryKind::Store));
                let view = EpisodeView::parse(payload, RangeCheck::Enforce).unwrap();
                assert!(!(view.has_repeated_key() || view.has_non_finite_embedding() || view.has_foreign_timestamp()));
                assert_eq!(view.used_len_bytes, payload.len());
                assert_eq!(view.to_owned().encode(), payload);
                assert!(ids.insert(view.id.to_owned()), "{} twice", view.id);
                assert!(node_ids.insert(node_id(view.id)));
                empty += u32::from(view.what.is_empty());
                digits.insert(view.when.text.len());
                sequence += 1;
                rest = tail;
            }
            assert!(rest.is_empty());
            assert_eq!(sequence, 1_000);
            bytes += file.len();
        }
        assert!((3_400..3_500).contains(&(bytes / 3_000)), "{} bytes a record", bytes / 3_000);
        assert!(empty > 0 && digits == HashSet::from([20, 24, 27, 30]));
        let spelt = ids.iter().filter(|id| spells_uuid(id)).count();
        assert!((1_500..2_000).contains(&spelt), "{spelt} ids spell a UUID");
    }

    #[test]
    fn embeddings_have_a_length_of_about_one() {
        for index in 0..50 {
            let episode = generated_episode(1, index);
            let square: f32 =
                super::super::log::bincode_reader::embedding_values(&episode.embedding).iter().map(|v| v * v).sum();
            assert!((0.85..1.15).contains(&square), "{square}");
        }
    }

    #[test]
    fn the_same_options_make_the_same_space() {
        let options = GenerateOptions { nodes: 40, seed: 1, files: 2 };
        assert_eq!(files(&options), files(&options));
        assert_ne!(files(&options), files(&GenerateOptions { seed: 2, ..options }));
        let digest = blake3::hash(&files(&options).concat()).to_hex();
        assert_eq!(&digest[..16], "85ff68133f6c3900");
    }

    #[test]
    fn files_may_be_empty_and_errors_end_it() {
        let options = GenerateOptions { nodes: 2, seed: 0, files: 3 };
        let sizes: Vec<_> = files(&options).iter().map(Vec::is_empty).collect();
        assert_eq!(sizes, [true, false, false]);
        assert_eq!(files(&GenerateOptions { nodes: 0, seed: 0, files: 0 }), [Vec::<u8>::new()]);
        let mut calls = 0;
        let result = generate(&options, &mut |_, _: &[u8]| {
            calls += 1;
            Err("full")
        });
        assert_eq!((result, calls), (Err("full"), 1));
    }
}
