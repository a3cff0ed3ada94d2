//! A share of the records of a store, for a verification that is spread over machines or nights, and a random sample.

use std::fmt;
use std::str::FromStr;

use super::{Error, SortDirectory};
use crate::pipeline::{SortedRuns, StopToken};

/// Length of the rank of a record in a sample.
const RANK_BYTES: usize = 16;

/// A share: the records whose number leaves `part - 1` when divided by `of`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, bincode::Encode, bincode::Decode, serde::Serialize)]
pub struct Subset {
    /// Which share, from 1.
    pub part: u64,
    /// Of how many.
    pub of: u64,
}

impl Subset {
    /// Everything.
    pub const ALL: Self = Self { part: 1, of: 1 };

    /// True if the record of that number belongs to the share.
    pub fn covers(&self, number: u64) -> bool {
        number % self.of == self.part - 1
    }
}

impl fmt::Display for Subset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.part, self.of)
    }
}

impl FromStr for Subset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (part, of) = text.split_once('/')?;
            Some(Self { part: part.parse().ok()?, of: of.parse().ok()? })
        };
        parse()
            .filter(|subset| (1..=subset.of).contains(&subset.part))
            .ok_or_else(|| "expected n/t with 1 ≤ n ≤ t, as in 3/10".to_owned())
    }
}

/// A random sample of the records of a store. The same seed chooses the same records of the same store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, bincode::Encode, bincode::Decode)]
pub struct Sample {
    /// Size of the sample; a smaller store is read completely.
    #[serde(rename = "objects")]
    pub records: u64,
    /// Seed of the random choice.
    pub seed: u64,
}

/// The records of a sample: those with the lowest ranks, so it does not depend on the order in which they are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampled {
    seed: u64,
    /// The greatest rank in the sample.
    last: [u8; RANK_BYTES],
}

impl Sampled {
    /// Returns true if the record with this name is in the sample.
    pub fn covers(&self, name: &[u8]) -> bool {
        rank(self.seed, name) <= self.last
    }
}

/// Collects the names of records to find out which are in a sample.
pub struct Sampling {
    sample: Sample,
    found: u64,
    ranks: SortedRuns<RANK_BYTES>,
}

impl Sampling {
    /// Creates a choice that sorts within so much memory.
    pub fn new(sample: Sample, sorts: &SortDirectory, memory_bytes: u64, stop: &StopToken) -> Result<Self, Error> {
        let ranks = sorts.runs("sample", memory_bytes)?.stopped_by(stop);
        Ok(Self { sample, found: 0, ranks })
    }

    /// Adds the name of a record.
    pub fn push(&mut self, name: &[u8]) -> Result<(), Error> {
        self.found += 1;
        Ok(self.ranks.push(rank(self.sample.seed, name))?)
    }

    /// Returns the sample; `None` if all records are in it.
    pub fn finish(self) -> Result<Option<Sampled>, Error> {
        let Sample { records, seed } = self.sample;
        if records >= self.found {
            return Ok(None);
        }
        let mut ranks = self.ranks.finish()?;
        // The sample of no records: only one rank in 2^128 is not above it.
        let mut last = [0; RANK_BYTES];
        for _ in 0..records {
            last = ranks.next()?.expect("the sample is smaller than the store");
        }
        Ok(Some(Sampled { seed, last }))
    }
}

fn rank(seed: u64, name: &[u8]) -> [u8; RANK_BYTES] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes()).update(name);
    *hasher.finalize().as_bytes().first_chunk().expect("a digest has sixteen bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_its_size_in_any_order_and_depends_on_the_seed() {
        let sampled = |records, seed, names: &mut dyn Iterator<Item = u64>| -> Vec<u64> {
            let (sorts, stop) = (SortDirectory::in_memory(), StopToken::new());
            let mut sampling = Sampling::new(Sample { records, seed }, &sorts, 1 << 20, &stop).unwrap();
            names.for_each(|name| sampling.push(&name.to_le_bytes()).unwrap());
            let sampled = sampling.finish().unwrap();
            (0..60_u64).filter(|name| sampled.is_none_or(|sampled| sampled.covers(&name.to_le_bytes()))).collect()
        };
        for records in [0, 1, 10, 59, 60, 1000] {
            assert_eq!(sampled(records, 1, &mut (0..60)).len() as u64, records.min(60), "{records}");
        }
        assert_eq!(sampled(10, 1, &mut (0..60)), sampled(10, 1, &mut (0..60).rev()));
        assert_ne!(sampled(10, 1, &mut (0..60)), sampled(10, 2, &mut (0..60)));
    }

    #[test]
    fn shares_are_read_from_their_text() {
        let share: Subset = "3/10".parse().unwrap();
        assert_eq!((share, share.to_string()), (Subset { part: 3, of: 10 }, "3/10".to_owned()));
        for bad in ["0/1", "2/1", "1/0", "1", "a/b", "-1/2", ""] {
            assert!(bad.parse::<Subset>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn every_number_is_in_one_share() {
        for number in 0..20 {
            let covering = (1..=7).filter(|&part| Subset { part, of: 7 }.covers(number));
            assert_eq!(covering.count(), 1);
            assert!(Subset::ALL.covers(number));
        }
    }
}
