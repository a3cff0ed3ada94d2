//! What is verified: all objects, or a share of them.

use std::path::PathBuf;

use crate::cas::format::key::Key;
use crate::cas::options::MigrateOptions;
use crate::cas::source::inventory::{Entry, EntryKind};
use crate::migration::{Error, Sample, Sampled, Sampling, SortDirectory, Subset};
use crate::pipeline::StopToken;

/// What is verified. A share limits which objects are read; layout and index are always compared completely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyRequest {
    /// The share of the objects: by the first eight bytes of their keys as a big-endian number, so that an object stays
    /// in its share when others are added or removed.
    pub subset: Subset,
    /// A sample of the share.
    pub sample: Option<Sample>,
    /// A store that may have objects which the index lists and which are not here. It is not read: a blob must exist
    /// there with the right length.
    pub merged_into: Option<PathBuf>,
}

impl VerifyRequest {
    /// Everything.
    pub const WHOLE: Self = Self { subset: Subset::ALL, sample: None, merged_into: None };
}

/// The objects that are read.
pub struct Share {
    subset: Subset,
    sample: Option<Sampled>,
    /// Number of these objects.
    pub objects: u64,
    /// Bytes of their blobs; unknown for a sample.
    pub bytes: Option<u64>,
}

impl Share {
    /// Returns true if the object is read.
    pub fn covers(&self, key: Key) -> bool {
        self.subset.covers(number_of(key)) && self.sample.is_none_or(|sampled| sampled.covers(&key.0))
    }
}

/// Collects every object to find out which are read.
pub struct ShareBuilder {
    subset: Subset,
    sample: Option<(Sample, Sampling)>,
    objects: u64,
    bytes: u64,
}

impl ShareBuilder {
    /// Creates a builder for `request`.
    pub fn new(
        request: &VerifyRequest,
        sorts: &SortDirectory,
        options: &MigrateOptions,
        stop: &StopToken,
    ) -> Result<Self, Error> {
        let sample = match request.sample {
            None => None,
            Some(sample) => Some((sample, Sampling::new(sample, sorts, options.sort_memory_bytes(), stop)?)),
        };
        Ok(Self { subset: request.subset, sample, objects: 0, bytes: 0 })
    }

    /// Adds an object. One that is not a file in its place is not read in any case.
    pub fn push(&mut self, entry: &Entry) -> Result<(), Error> {
        let key = entry.location.key();
        if entry.kind != EntryKind::File || !entry.location.is_in_place() || !self.subset.covers(number_of(key)) {
            return Ok(());
        }
        self.objects += 1;
        self.bytes += entry.len_bytes;
        if let Some((_, sampling)) = &mut self.sample {
            sampling.push(&key.0)?;
        }
        Ok(())
    }

    /// Returns the share.
    pub fn finish(self) -> Result<Share, Error> {
        let whole = Share { subset: self.subset, sample: None, objects: self.objects, bytes: Some(self.bytes) };
        let Some((sample, sampling)) = self.sample else { return Ok(whole) };
        Ok(match sampling.finish()? {
            None => whole,
            sampled => Share { sample: sampled, objects: sample.records, bytes: None, ..whole },
        })
    }
}

fn number_of(key: Key) -> u64 {
    u64::from_be_bytes(*key.0.first_chunk().expect("a key has eight bytes"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cas::source::Location;
    use crate::durable::{Disk, RealDisk};

    fn entry(number: u64) -> Entry {
        let key = Key(*blake3::hash(&number.to_le_bytes()).as_bytes());
        let text = key.text();
        let shards = [[text[0], text[1]], [text[2], text[3]]];
        Entry::new(Location::new(&shards, &text).unwrap(), EntryKind::File, None)
    }

    fn share(request: &VerifyRequest, objects: u64) -> Share {
        let sorts = SortDirectory::temporary(&(Arc::new(RealDisk) as Arc<dyn Disk>)).unwrap();
        let mut builder = ShareBuilder::new(request, &sorts, &MigrateOptions::default(), &StopToken::new()).unwrap();
        (0..objects).for_each(|number| builder.push(&entry(number)).unwrap());
        builder.finish().unwrap()
    }

    fn covered(request: &VerifyRequest, objects: u64) -> Vec<u64> {
        let share = share(request, objects);
        let covered: Vec<_> = (0..objects).filter(|&number| share.covers(entry(number).location.key())).collect();
        assert_eq!(share.objects, covered.len() as u64);
        covered
    }

    #[test]
    fn shares_make_up_the_whole_and_objects_stay_in_theirs() {
        let parts = |objects| {
            (1..=3).map(move |part| {
                covered(&VerifyRequest { subset: Subset { part, of: 3 }, ..VerifyRequest::WHOLE }, objects)
            })
        };
        let mut all: Vec<_> = parts(100).flatten().collect();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
        for (few, many) in parts(50).zip(parts(100)) {
            assert!(few.iter().all(|number| many.contains(number)));
        }
    }

    #[test]
    fn a_sample_has_the_requested_size_and_depends_on_the_seed() {
        let sample = |objects, seed| {
            let request = VerifyRequest { sample: Some(Sample { records: objects, seed }), ..VerifyRequest::WHOLE };
            covered(&request, 100)
        };
        for objects in [0, 1, 10, 99, 100, 1000] {
            assert_eq!(sample(objects, 1).len() as u64, objects.min(100), "{objects}");
        }
        assert_eq!(sample(10, 1), sample(10, 1));
        assert_ne!(sample(10, 1), sample(10, 2));
    }

    #[test]
    fn a_name_without_a_file_in_its_place_is_not_counted() {
        let sorts = SortDirectory::temporary(&(Arc::new(RealDisk) as Arc<dyn Disk>)).unwrap();
        let mut builder =
            ShareBuilder::new(&VerifyRequest::WHOLE, &sorts, &MigrateOptions::default(), &StopToken::new()).unwrap();
        builder.push(&Entry { kind: EntryKind::Link, ..entry(1) }).unwrap();
        let flat = Location::new(&[], &entry(1).location.key().text()).unwrap();
        builder.push(&Entry { location: flat, ..entry(1) }).unwrap();
        assert_eq!(builder.finish().unwrap().objects, 0);
    }
}
