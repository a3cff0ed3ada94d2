//! Objects made up for tests and measurements, the same for the same options everywhere.
//!
//! Everything about an object comes from one stream of bytes that its number and the seed choose, so a part of a store
//! can be made without the rest.

pub mod write;

use std::fmt;
use std::str::FromStr;

use super::format::digest::{CAS_PREFIX, Content};
use super::format::frame::{Compressor, LEVEL_DEFAULT};
use super::format::generation::{Era, KeptObject};
use super::format::layout::Layout;
use super::format::record::Encoding;
use crate::migration::Error;

/// Contents are not shorter, so that no two of a store are equal.
pub const CONTENT_BYTES_MIN: u64 = 32;
/// Contents are not longer: each is made in memory.
pub const CONTENT_BYTES_MAX: u64 = 1 << 32;

/// Letters of a content that is text: zstd makes half of it.
const LETTERS: &[u8; 16] = b"etaoin shrdlu.,\n";

/// Which eras the objects of a store are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// The documented flat layout: v0.2 in another place.
    Flat,
    /// One.
    Of(Era),
    /// All of them: what upgrades and downgrades leave in one tree.
    Mixed,
}

impl Generation {
    /// Their names on the command line and in reports.
    pub const NAMES: [&'static str; 7] = ["v0.2", "flat", "v0.5", "v0.7", "v1.3-noindex", "v2", "mixed"];

    /// The eras of its objects.
    pub fn eras(&self) -> &[Era] {
        match self {
            Self::Flat => &[Era::V0_2],
            Self::Of(era) => std::slice::from_ref(era),
            Self::Mixed => &Era::ALL,
        }
    }

    /// The layout that belongs to it.
    pub fn layout(self) -> Layout {
        if self == Self::Flat { Layout::Flat } else { Layout::AbCd }
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Flat => "flat",
            Self::Of(era) => era.name(),
            Self::Mixed => "mixed",
        })
    }
}

impl FromStr for Generation {
    type Err = UnknownGeneration;

    fn from_str(name: &str) -> Result<Self, UnknownGeneration> {
        let eras = Era::ALL.into_iter().map(Self::Of);
        let mut known = eras.chain([Self::Flat, Self::Mixed]);
        known.find(|generation| generation.to_string() == name).ok_or(UnknownGeneration(name.into()))
    }
}

impl serde::Serialize for Generation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A text that names no [`Generation`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown generation '{0}', expected one of {list}", list = Generation::NAMES.join(", "))]
pub struct UnknownGeneration(String);

/// What to make.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GenerateOptions {
    /// Contents, all different.
    pub objects: u64,
    /// Length of the shortest possible content, at least [`CONTENT_BYTES_MIN`].
    pub size_bytes_min: u64,
    /// Length of the longest possible content, at most [`CONTENT_BYTES_MAX`]. Between the two, each doubling of the
    /// length is as likely as any other.
    pub size_bytes_max: u64,
    /// Chooses everything that is not fixed by the other options.
    pub seed: u64,
    /// The eras of the objects, spread evenly.
    pub generation: Generation,
    /// Where they are.
    pub layout: Layout,
    /// Share of zstd among the objects of eras that had it, 0 to 1.
    pub zstd_share: f64,
    /// Share of contents that are there twice, under keys of two algorithms, 0 to 1.
    pub duplicate_share: f64,
    /// When the first object was stored, in Unix seconds, for eras that kept it; each content is a second younger than
    /// the one before.
    pub created_at: u64,
}

impl GenerateOptions {
    /// Refuses what no store can be made of.
    ///
    /// # Errors
    /// [`Error::Usage`] with what does not fit.
    pub fn check(&self) -> Result<(), Error> {
        let sizes = CONTENT_BYTES_MIN..=self.size_bytes_max.min(CONTENT_BYTES_MAX);
        let eras = self.generation.eras();
        let (what, next) = if !sizes.contains(&self.size_bytes_min) || self.size_bytes_max > CONTENT_BYTES_MAX {
            (
                format!("no content has from {} to {} bytes", self.size_bytes_min, self.size_bytes_max),
                format!("choose sizes from {CONTENT_BYTES_MIN} to {CONTENT_BYTES_MAX}, the smaller one first"),
            )
        } else if let Some(share) = [self.zstd_share, self.duplicate_share].iter().find(|s| !(0.0..=1.0).contains(*s)) {
            (format!("{share} is no share"), "choose a number from 0 to 1".to_owned())
        } else if self.zstd_share > 0.0 && !eras.iter().any(|era| era.compresses()) {
            (format!("stores of generation {} held no zstd", self.generation), "choose a later generation".to_owned())
        } else if self.duplicate_share > 0.0 && eras.len() == 1 {
            let what = format!("in stores of generation {} a content has one key", self.generation);
            (what, "choose generation mixed".to_owned())
        } else {
            return Ok(());
        };
        Err(Error::Usage { what, next })
    }
}

/// An object that was made up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeObject {
    /// Whose form it has.
    pub era: Era,
    /// How its blob stands for its content.
    pub encoding: Encoding,
    /// Length of its content.
    pub content_bytes: u64,
    /// Key, blob and sidecar.
    pub kept: KeptObject,
}

/// Makes objects, each by its number; buffers stay from one to the next.
#[derive(Default)]
pub struct ObjectMaker {
    prefixed: Vec<u8>,
    compressor: Compressor,
}

impl ObjectMaker {
    /// The object of content `number`, and a second one if the content is there twice.
    ///
    /// # Panics
    /// If the options do not pass their [`check`](GenerateOptions::check).
    pub fn make(&mut self, options: &GenerateOptions, number: u64) -> (MadeObject, Option<MadeObject>) {
        let mut stream = Stream::of(options.seed, number);
        let size_bytes = stream.log_uniform(options.size_bytes_min, options.size_bytes_max);
        let first = Choice::of(&mut stream, options.generation.eras(), options);
        let second = stream.happens(options.duplicate_share).then(|| {
            let mut others = options.generation.eras().to_vec();
            others.retain(|era| era.algorithm() != first.era.algorithm());
            Choice::of(&mut stream, &others, options)
        });
        self.fill_content(stream, size_bytes);
        let created_at = options.created_at.saturating_add(number);
        (self.keep(first, created_at), second.map(|second| self.keep(second, created_at)))
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

    fn keep(&mut self, choice: Choice, created_at: u64) -> MadeObject {
        let content = Content::behind_prefix(&self.prefixed);
        let zstd = (choice.encoding == Encoding::Zstd).then(|| {
            let mut frame = Vec::new();
            self.compressor.compress(content.bytes(), LEVEL_DEFAULT, &mut frame);
            frame
        });
        MadeObject {
            era: choice.era,
            encoding: choice.encoding,
            content_bytes: content.bytes().len() as u64,
            kept: choice.era.keep(content, zstd, created_at),
        }
    }
}

#[derive(Clone, Copy)]
struct Choice {
    era: Era,
    encoding: Encoding,
}

impl Choice {
    fn of(stream: &mut Stream, eras: &[Era], options: &GenerateOptions) -> Self {
        let era = eras[stream.below(eras.len() as u64) as usize];
        let zstd = stream.happens(options.zstd_share) && era.compresses();
        Self { era, encoding: if zstd { Encoding::Zstd } else { Encoding::Identity } }
    }
}

/// The bytes that everything about one object comes from.
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

    /// A number below `end`, which is small enough that the slight preference for small ones does not matter.
    fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// True in this share of cases.
    fn happens(&mut self, share: f64) -> bool {
        const STEPS: u64 = 1 << 53;
        (self.below(STEPS) as f64) < share * STEPS as f64
    }

    /// A number from `min` to `max` whose logarithm is evenly spread. In integers alone: logarithms of floating point
    /// numbers differ from system to system.
    fn log_uniform(&mut self, min: u64, max: u64) -> u64 {
        let octaves = u64::from((max / min).ilog2()) + 1;
        loop {
            let low = min << self.below(octaves);
            let width = if octaves == 1 { max - min + 1 } else { low };
            let size = low + self.below(width);
            // Even spread within the octave, thinned to a share that falls as the size grows.
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

    fn options(generation: Generation) -> GenerateOptions {
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

    fn generations() -> impl Iterator<Item = Generation> {
        Generation::NAMES.into_iter().map(|name| name.parse().expect("a generation"))
    }

    fn content(object: &MadeObject) -> Vec<u8> {
        match object.encoding {
            Encoding::Identity => object.kept.blob.clone(),
            Encoding::Zstd => zstd::decode_all(&object.kept.blob[..]).expect("frames"),
        }
    }

    fn name_is_right(object: &MadeObject) -> bool {
        let mut hasher = ContentHasher::new(&Algorithm::ALL);
        hasher.update(&content(object));
        hasher.finish().algorithm_of(object.kept.key) == Some(object.era.algorithm())
    }

    #[test]
    fn every_object_is_named_by_its_content() {
        let mut maker = ObjectMaker::default();
        for generation in generations() {
            let options = options(generation);
            for number in 0..100 {
                let (object, second) = maker.make(&options, number);
                assert!(generation.eras().contains(&object.era) && second.is_none());
                assert!(name_is_right(&object), "{generation}, {number}");
                assert_eq!(object.kept.blob.len() as u64, object.content_bytes);
                assert_eq!(object.encoding, Encoding::Identity);
            }
        }
    }

    #[test]
    fn a_mixed_store_has_every_era_encoding_and_pair_of_algorithms() {
        let options = GenerateOptions { zstd_share: 0.5, duplicate_share: 0.5, ..options(Generation::Mixed) };
        let mut maker = ObjectMaker::default();
        let (mut kinds, mut pairs, mut twice) = (HashSet::new(), HashSet::new(), 0);
        for number in 0..1_000 {
            let (first, second) = maker.make(&options, number);
            assert!(name_is_right(&first), "{number}");
            kinds.insert((first.era, first.encoding));
            if let Some(second) = second {
                assert!(name_is_right(&second), "{number}");
                assert_eq!(content(&first), content(&second));
                pairs.insert((first.era.algorithm(), second.era.algorithm()));
                twice += 1;
            }
        }
        assert_eq!(kinds.len(), 9, "v0.2 has no zstd");
        assert_eq!(pairs.len(), 12, "never the same algorithm twice");
        assert!((430..570).contains(&twice), "{twice}");
    }

    #[test]
    fn shares_of_nothing_and_all_are_exact() {
        let mut maker = ObjectMaker::default();
        let all = GenerateOptions { zstd_share: 1.0, ..options(Generation::Of(Era::V2)) };
        for number in 0..200 {
            assert_eq!(maker.make(&all, number).0.encoding, Encoding::Zstd);
            let all_twice = GenerateOptions { duplicate_share: 1.0, ..options(Generation::Mixed) };
            assert!(maker.make(&all_twice, number).1.is_some());
        }
    }

    #[test]
    fn frames_are_those_of_the_reference() {
        let mut maker = ObjectMaker { prefixed: CAS_PREFIX.to_vec(), ..ObjectMaker::default() };
        let empty = maker.keep(Choice { era: Era::V2, encoding: Encoding::Zstd }, 0);
        assert_eq!(empty.kept.blob, *b"\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00");
    }

    #[test]
    fn each_content_is_a_second_younger() {
        let mut maker = ObjectMaker::default();
        let sidecar = |object: MadeObject| String::from_utf8(object.kept.sidecar.expect("a sidecar")).expect("text");
        let dated = sidecar(maker.make(&options(Generation::Of(Era::V2)), 3).0);
        assert!(dated.ends_with(r#","created_at":1003}"#), "{dated}");
        let last = GenerateOptions { created_at: u64::MAX, ..options(Generation::Of(Era::V2)) };
        assert!(sidecar(maker.make(&last, 3).0).ends_with(&format!(r#":{}}}"#, u64::MAX)));
    }

    #[test]
    fn contents_differ_and_some_compress() {
        let mut maker = ObjectMaker::default();
        let least =
            GenerateOptions { size_bytes_max: CONTENT_BYTES_MIN, zstd_share: 1.0, ..options(Generation::Of(Era::V2)) };
        let keys: HashSet<_> = (0..10_000).map(|number| maker.make(&least, number).0.kept.key).collect();
        assert_eq!(keys.len(), 10_000);
        let large = GenerateOptions { size_bytes_min: 5_000, ..least };
        let large = GenerateOptions { size_bytes_max: 5_000, ..large };
        let halved = (0..100).filter(|&number| maker.make(&large, number).0.kept.blob.len() < 3_000).count();
        assert!((30..70).contains(&halved), "{halved}");
    }

    #[test]
    fn lengths_are_spread_over_the_doublings() {
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
        let fine = options(Generation::Mixed);
        let dated = options(Generation::Of(Era::V0_7));
        for (refused, says) in [
            (GenerateOptions { size_bytes_min: 31, ..fine }, "from 31 to 5000 bytes"),
            (GenerateOptions { size_bytes_min: 5_001, ..fine }, "from 5001 to 5000 bytes"),
            (GenerateOptions { size_bytes_max: CONTENT_BYTES_MAX + 1, ..fine }, "no content"),
            (GenerateOptions { zstd_share: 1.1, ..fine }, "1.1 is no share"),
            (GenerateOptions { duplicate_share: f64::NAN, ..fine }, "NaN is no share"),
            (GenerateOptions { zstd_share: 0.1, ..options(Generation::Flat) }, "held no zstd"),
            (GenerateOptions { zstd_share: 0.1, ..options(Generation::Of(Era::V0_2)) }, "held no zstd"),
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
        for (generation, name) in generations().zip(Generation::NAMES) {
            assert_eq!(generation.to_string(), name);
            assert_eq!(serde_json::to_value(generation).expect("plain data"), name);
        }
        let error = "v1".parse::<Generation>().unwrap_err();
        assert!(error.to_string().starts_with("unknown generation 'v1', expected one of v0.2, flat"), "{error}");
    }

    #[test]
    fn the_same_options_make_the_same_object_everywhere() {
        let mut maker = ObjectMaker::default();
        let key = maker.make(&options(Generation::Of(Era::V0_2)), 0).0.kept.key;
        assert_eq!(&key.to_string()[..16], "538ad86d4e63b4e8");
        assert_ne!(key, maker.make(&options(Generation::Of(Era::V0_2)), 1).0.kept.key);
        let other = GenerateOptions { seed: 8, ..options(Generation::Of(Era::V0_2)) };
        assert_ne!(key, maker.make(&other, 0).0.kept.key);
    }
}
