//! Generates objects for tests and measurements, the same for the same options everywhere.
//!
//! Everything about an object comes from one stream of bytes that its number and the seed choose, so a part of a store
//! can be made without the rest.

pub mod write;

use std::fmt;
use std::str::FromStr;

use super::format::digest::{CAS_PREFIX, Content};
use super::format::encoding::Encoding;
use super::format::frame::{Compressor, LEVEL_DEFAULT};
use super::format::generation::{EncodedObject, Generation};
use super::format::layout::Layout;
use crate::migration::Error;

/// Length of the shortest content. Shorter contents could be equal by chance.
pub const CONTENT_BYTES_MIN: u64 = 32;
/// Length of the longest content. Each is made in memory.
pub const CONTENT_BYTES_MAX: u64 = 1 << 32;

/// Letters of a content that is text. zstd compresses it to about half.
const LETTERS: &[u8; 16] = b"etaoin shrdlu.,\n";

/// The generations of the objects in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GenerationMix {
    /// The documented flat layout: v0.2 in another layout.
    Flat,
    /// One generation.
    Of(Generation),
    /// All generations: what upgrades and downgrades leave in one directory.
    Mixed,
}

impl GenerationMix {
    /// The names on the command line and in reports.
    pub const NAMES: [&'static str; 7] = ["v0.2", "flat", "v0.5", "v0.7", "v1.3-noindex", "v2", "mixed"];

    /// Returns the generations of the objects.
    pub fn members(&self) -> &[Generation] {
        match self {
            Self::Flat => &[Generation::V0_2],
            Self::Of(generation) => std::slice::from_ref(generation),
            Self::Mixed => &Generation::ALL,
        }
    }

    /// Returns the default layout.
    pub fn layout(self) -> Layout {
        if self == Self::Flat { Layout::Flat } else { Layout::AbCd }
    }
}

impl fmt::Display for GenerationMix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Flat => "flat",
            Self::Of(generation) => generation.name(),
            Self::Mixed => "mixed",
        })
    }
}

impl FromStr for GenerationMix {
    type Err = UnknownGenerationMix;

    fn from_str(name: &str) -> Result<Self, UnknownGenerationMix> {
        let members = Generation::ALL.into_iter().map(Self::Of);
        let mut known = members.chain([Self::Flat, Self::Mixed]);
        known.find(|generation| generation.to_string() == name).ok_or(UnknownGenerationMix(name.into()))
    }
}

impl serde::Serialize for GenerationMix {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A text that is not the name of a [`GenerationMix`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown generation '{0}', expected one of {list}", list = GenerationMix::NAMES.join(", "))]
pub struct UnknownGenerationMix(String);

/// What is generated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GenerateOptions {
    /// Number of contents, all different.
    pub objects: u64,
    /// Length of the shortest possible content, at least [`CONTENT_BYTES_MIN`].
    pub size_bytes_min: u64,
    /// Length of the longest possible content, at most [`CONTENT_BYTES_MAX`]. Between the two, each doubling of the
    /// length is equally likely.
    pub size_bytes_max: u64,
    /// Decides everything that the other options leave open.
    pub seed: u64,
    /// The generations of the objects, evenly distributed.
    pub generation: GenerationMix,
    /// Where the objects are.
    pub layout: Layout,
    /// Share of zstd among the objects of generations that had it, 0 to 1.
    pub zstd_share: f64,
    /// Share of contents that occur twice, with keys of two algorithms, 0 to 1.
    pub duplicate_share: f64,
    /// When the first object was stored, in Unix time, for generations that recorded it; each content is a second
    /// younger than the one before.
    pub created_at: u64,
}

impl GenerateOptions {
    /// Checks that a store can be made with these options.
    ///
    /// # Errors
    /// [`Error::Usage`] with the option that does not fit.
    pub fn check(&self) -> Result<(), Error> {
        let sizes = CONTENT_BYTES_MIN..=self.size_bytes_max.min(CONTENT_BYTES_MAX);
        let members = self.generation.members();
        let (what, next) = if !sizes.contains(&self.size_bytes_min) || self.size_bytes_max > CONTENT_BYTES_MAX {
            (
                format!("no content has from {} to {} bytes", self.size_bytes_min, self.size_bytes_max),
                format!("choose sizes from {CONTENT_BYTES_MIN} to {CONTENT_BYTES_MAX}, the smaller one first"),
            )
        } else if let Some(share) = [self.zstd_share, self.duplicate_share].iter().find(|s| !(0.0..=1.0).contains(*s)) {
            (format!("{share} is not a share"), "choose a number from 0 to 1".to_owned())
        } else if self.zstd_share > 0.0 && !members.iter().any(|generation| generation.compresses()) {
            (format!("stores of generation {} had no zstd", self.generation), "choose a later generation".to_owned())
        } else if self.duplicate_share > 0.0 && members.len() == 1 {
            let what = format!("in stores of generation {} a content has one key", self.generation);
            (what, "choose generation mixed".to_owned())
        } else {
            return Ok(());
        };
        Err(Error::Usage { what, next })
    }
}

/// A generated object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeObject {
    /// The generation of the object.
    pub generation: Generation,
    /// How its blob is encoded.
    pub encoding: Encoding,
    /// Length of its content.
    pub content_bytes: u64,
    /// Key, blob and sidecar.
    pub encoded: EncodedObject,
}

/// Generates objects by their numbers. Buffers are kept from one object to the next.
#[derive(Default)]
pub struct ObjectMaker {
    prefixed: Vec<u8>,
    compressor: Compressor,
}

impl ObjectMaker {
    /// Returns the object of content `number`, and a second one if the content occurs twice.
    ///
    /// # Panics
    /// If the options do not pass their [`check`](GenerateOptions::check).
    pub fn make(&mut self, options: &GenerateOptions, number: u64) -> (MadeObject, Option<MadeObject>) {
        let mut stream = Stream::of(options.seed, number);
        let size_bytes = stream.log_uniform(options.size_bytes_min, options.size_bytes_max);
        let first = Choice::of(&mut stream, options.generation.members(), options);
        let second = stream.happens(options.duplicate_share).then(|| {
            let mut others = options.generation.members().to_vec();
            others.retain(|generation| generation.algorithm() != first.generation.algorithm());
            Choice::of(&mut stream, &others, options)
        });
        self.fill_content(stream, size_bytes);
        let created_at = options.created_at.saturating_add(number);
        (self.encode(first, created_at), second.map(|second| self.encode(second, created_at)))
    }

    fn fill_content(&mut self, mut stream: Stream, size_bytes: u64) {
        let is_text = stream.happens(0.5);
        self.prefixed.clear();
        self.prefixed.extend_from_slice(&CAS_PREFIX);
        self.prefixed.resize(CAS_PREFIX.len() + size_bytes as usize, 0);
        let content = &mut self.prefixed[CAS_PREFIX.len()..];
        stream.0.fill(content);
        if is_text {
            content.iter_mut().for_each(|byte| *byte = LETTERS[usize::from(*byte % 16)]);
        }
    }

    fn encode(&mut self, choice: Choice, created_at: u64) -> MadeObject {
        let content = Content::behind_prefix(&self.prefixed);
        let zstd = (choice.encoding == Encoding::Zstd).then(|| {
            let mut frame = Vec::new();
            self.compressor.compress(content.bytes(), LEVEL_DEFAULT, &mut frame);
            frame
        });
        MadeObject {
            generation: choice.generation,
            encoding: choice.encoding,
            content_bytes: content.bytes().len() as u64,
            encoded: choice.generation.encode(content, zstd, created_at),
        }
    }
}

#[derive(Clone, Copy)]
struct Choice {
    generation: Generation,
    encoding: Encoding,
}

impl Choice {
    fn of(stream: &mut Stream, members: &[Generation], options: &GenerateOptions) -> Self {
        let generation = members[stream.below(members.len() as u64) as usize];
        let zstd = stream.happens(options.zstd_share) && generation.compresses();
        Self { generation, encoding: if zstd { Encoding::Zstd } else { Encoding::Identity } }
    }
}

/// The bytes that decide everything about one object.
struct Stream(blake3::OutputReader);

impl Stream {
    fn of(seed: u64, number: u64) -> Self {
        let mut key = [0; blake3::KEY_LEN];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        Self(blake3::Hasher::new_keyed(&key).update(&number.to_le_bytes()).finalize_xof())
    }

    fn next(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// Returns a number below `end`. The slight preference for small numbers does not matter, because `end` is small.
    fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// Returns true in this share of cases.
    fn happens(&mut self, share: f64) -> bool {
        const STEPS: u64 = 1 << 53;
        (self.below(STEPS) as f64) < share * STEPS as f64
    }

    /// Returns a number from `min` to `max` whose logarithm is evenly distributed. It uses integers only: logarithms of
    /// floating-point numbers differ between systems.
    fn log_uniform(&mut self, min: u64, max: u64) -> u64 {
        let octaves = u64::from((max / min).ilog2()) + 1;
        loop {
            let low = min << self.below(octaves);
            let width = if octaves == 1 { max - min + 1 } else { low };
            let size = low + self.below(width);
            // Even within the octave, then thinned to a share that falls as the size grows.
            if size <= max && self.below(size) < low {
                return size;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use super::super::format::digest::ContentHasher;
    use super::super::format::key::Algorithm;
    use super::*;

    fn options(generation: GenerationMix) -> GenerateOptions {
        GenerateOptions {
            objects: 0,
            size_bytes_min: 32,
            size_bytes_max: 5_000,
            seed: 7,
            generation,
            layout: generation.layout(),
            zstd_share: 0.0,
            duplicate_share: 0.0,
            created_at: 1_000,
        }
    }

    fn generations() -> impl Iterator<Item = GenerationMix> {
        GenerationMix::NAMES.into_iter().map(|name| name.parse().expect("a generation"))
    }

    fn content(object: &MadeObject) -> Vec<u8> {
        match object.encoding {
            Encoding::Identity => object.encoded.blob.clone(),
            Encoding::Zstd => zstd::decode_all(&object.encoded.blob[..]).expect("frames"),
        }
    }

    fn name_is_right(object: &MadeObject) -> bool {
        let mut hasher = ContentHasher::new(&Algorithm::ALL);
        hasher.update(&content(object));
        hasher.finish().algorithm_of(object.encoded.key) == Some(object.generation.algorithm())
    }

    #[test]
    fn every_object_is_named_by_its_content() {
        let mut maker = ObjectMaker::default();
        for generation in generations() {
            let options = options(generation);
            for number in 0..100 {
                let (object, second) = maker.make(&options, number);
                assert!(generation.members().contains(&object.generation) && second.is_none());
                assert!(name_is_right(&object), "{generation}, {number}");
                assert_eq!(object.encoded.blob.len() as u64, object.content_bytes);
                assert_eq!(object.encoding, Encoding::Identity);
            }
        }
    }

    #[test]
    fn a_mixed_store_has_every_generation_encoding_and_pair_of_algorithms() {
        let options = GenerateOptions { zstd_share: 0.5, duplicate_share: 0.5, ..options(GenerationMix::Mixed) };
        let mut maker = ObjectMaker::default();
        let (mut kinds, mut pairs, mut twice) = (HashSet::new(), HashSet::new(), 0);
        for number in 0..1_000 {
            let (first, second) = maker.make(&options, number);
            assert!(name_is_right(&first), "{number}");
            kinds.insert((first.generation, first.encoding));
            if let Some(second) = second {
                assert!(name_is_right(&second), "{number}");
                assert_eq!(content(&first), content(&second));
                pairs.insert((first.generation.algorithm(), second.generation.algorithm()));
                twice += 1;
            }
        }
        assert_eq!(kinds.len(), 9, "v0.2 has no zstd");
        assert_eq!(pairs.len(), 12, "never the same algorithm twice");
        assert!((430..570).contains(&twice), "{twice}");
    }

    #[test]
    fn shares_of_none_and_all_are_exact() {
        let mut maker = ObjectMaker::default();
        let all = GenerateOptions { zstd_share: 1.0, ..options(GenerationMix::Of(Generation::V2)) };
        for number in 0..200 {
            assert_eq!(maker.make(&all, number).0.encoding, Encoding::Zstd);
            let all_twice = GenerateOptions { duplicate_share: 1.0, ..options(GenerationMix::Mixed) };
            assert!(maker.make(&all_twice, number).1.is_some());
        }
    }

    #[test]
    fn frames_are_those_of_the_reference() {
        let mut maker = ObjectMaker { prefixed: CAS_PREFIX.to_vec(), ..ObjectMaker::default() };
        let empty = maker.encode(Choice { generation: Generation::V2, encoding: Encoding::Zstd }, 0);
        assert_eq!(empty.encoded.blob, *b"\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00");
    }

    #[test]
    fn each_content_is_a_second_younger() {
        let mut maker = ObjectMaker::default();
        let sidecar = |object: MadeObject| String::from_utf8(object.encoded.sidecar.expect("a sidecar")).expect("text");
        let dated = sidecar(maker.make(&options(GenerationMix::Of(Generation::V2)), 3).0);
        assert!(dated.ends_with(r#","created_at":1003}"#), "{dated}");
        let last = GenerateOptions { created_at: u64::MAX, ..options(GenerationMix::Of(Generation::V2)) };
        assert!(sidecar(maker.make(&last, 3).0).ends_with(&format!(r#":{}}}"#, u64::MAX)));
    }

    #[test]
    fn contents_differ_and_some_compress() {
        let mut maker = ObjectMaker::default();
        let least = GenerateOptions {
            size_bytes_max: CONTENT_BYTES_MIN,
            zstd_share: 1.0,
            ..options(GenerationMix::Of(Generation::V2))
        };
        let keys: HashSet<_> = (0..10_000).map(|number| maker.make(&least, number).0.encoded.key).collect();
        assert_eq!(keys.len(), 10_000);
        let large = GenerateOptions { size_bytes_min: 5_000, ..least };
        let large = GenerateOptions { size_bytes_max: 5_000, ..large };
        let halved = (0..100).filter(|&number| maker.make(&large, number).0.encoded.blob.len() < 3_000).count();
        assert!((30..70).contains(&halved), "{halved}");
    }

    #[test]
    fn lengths_are_distributed_over_the_doublings() {
        let mut stream = Stream::of(1, 2);
        let mut octaves = [0_u32; 8];
        for _ in 0..8_000 {
            octaves[(stream.log_uniform(64, 64 << 8) / 64).ilog2().min(7) as usize] += 1;
        }
        assert!(octaves.iter().all(|count| (880..1_120).contains(count)), "{octaves:?}");
        let halves = (0..2_000).filter(|_| stream.log_uniform(1_000, 4_000) < 2_000).count();
        assert!((900..1_100).contains(&halves), "{halves}");
        let reached: BTreeSet<_> = (0..500).map(|_| stream.log_uniform(100, 105)).collect();
        assert!(reached.into_iter().eq(100..=105));
        assert_eq!(stream.log_uniform(1 << 20, 1 << 20), 1 << 20);
        assert_eq!(stream.log_uniform(CONTENT_BYTES_MAX, CONTENT_BYTES_MAX), CONTENT_BYTES_MAX);
    }

    #[test]
    fn options_that_fit_no_store_are_refused() {
        let fine = options(GenerationMix::Mixed);
        let dated = options(GenerationMix::Of(Generation::V0_7));
        for (refused, says) in [
            (GenerateOptions { size_bytes_min: 31, ..fine }, "from 31 to 5000 bytes"),
            (GenerateOptions { size_bytes_min: 5_001, ..fine }, "from 5001 to 5000 bytes"),
            (GenerateOptions { size_bytes_max: CONTENT_BYTES_MAX + 1, ..fine }, "no content"),
            (GenerateOptions { zstd_share: 1.1, ..fine }, "1.1 is not a share"),
            (GenerateOptions { duplicate_share: f64::NAN, ..fine }, "NaN is not a share"),
            (GenerateOptions { zstd_share: 0.1, ..options(GenerationMix::Flat) }, "had no zstd"),
            (GenerateOptions { zstd_share: 0.1, ..options(GenerationMix::Of(Generation::V0_2)) }, "had no zstd"),
            (GenerateOptions { duplicate_share: 0.1, ..dated }, "a content has one key"),
        ] {
            let error = refused.check().expect_err(says);
            assert!(error.to_string().contains(says), "{error}");
        }
        for generation in generations() {
            options(generation).check().expect("nothing to refuse");
        }
    }

    #[test]
    fn generations_are_read_as_they_are_printed() {
        for (generation, name) in generations().zip(GenerationMix::NAMES) {
            assert_eq!(generation.to_string(), name);
            assert_eq!(serde_json::to_value(generation).expect("plain data"), name);
        }
        let error = "v1".parse::<GenerationMix>().unwrap_err();
        assert!(error.to_string().starts_with("unknown generation 'v1', expected one of v0.2, flat"), "{error}");
    }

    #[test]
    fn the_same_options_make_the_same_object_everywhere() {
        let mut maker = ObjectMaker::default();
        let key = maker.make(&options(GenerationMix::Of(Generation::V0_2)), 0).0.encoded.key;
        assert_eq!(&key.to_string()[..16], "538ad86d4e63b4e8");
        assert_ne!(key, maker.make(&options(GenerationMix::Of(Generation::V0_2)), 1).0.encoded.key);
        let other = GenerateOptions { seed: 8, ..options(GenerationMix::Of(Generation::V0_2)) };
        assert_ne!(key, maker.make(&other, 0).0.encoded.key);
    }
}
