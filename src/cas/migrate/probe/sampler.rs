//! Draws objects of a store at random while it is walked, in whatever order they come.

use std::collections::BinaryHeap;

use crate::cas::source::inventory::{Entry, EntryKind};

/// Objects that are kept to draw from: as many as the largest sample has.
const OBJECTS_KEPT_MAX: usize = 50_000;
/// The lot that decides which objects are kept.
const SEED: u64 = 0;

/// Objects of a walk from which samples are drawn: all of them, or those with the lowest ranks.
pub(super) struct Sampler {
    objects_max: usize,
    kept: BinaryHeap<Ranked>,
}

/// An object with its random rank.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Ranked {
    rank: [u8; 16],
    entry: Entry,
}

impl Ranked {
    fn new(seed: u64, entry: Entry) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("haul sample of objects, version 1");
        let digest = hasher.update(&seed.to_le_bytes()).update(&entry.location.bytes()).finalize();
        Self { rank: *digest.as_bytes().first_chunk().expect("16 of 32 bytes"), entry }
    }
}

impl Sampler {
    pub fn new() -> Self {
        Self { objects_max: OBJECTS_KEPT_MAX, kept: BinaryHeap::new() }
    }

    /// Takes an object, unless it is none that a migration reads.
    pub fn take(&mut self, entry: &Entry) {
        if entry.kind != EntryKind::File {
            return;
        }
        self.kept.push(Ranked::new(SEED, *entry));
        if self.kept.len() > self.objects_max {
            self.kept.pop();
        }
    }

    /// Draws `objects` of those that were kept, but no more than have `bytes_max` together: fewer then, whatever their
    /// lengths. They are in the order in which a migration reads them.
    pub fn draw(&self, objects: u64, seed: u64, bytes_max: u64) -> Vec<Entry> {
        let mut ranked: Vec<_> = self.kept.iter().map(|kept| Ranked::new(seed, kept.entry)).collect();
        ranked.sort_unstable();
        ranked.truncate(usize::try_from(objects).unwrap_or(usize::MAX));
        let (mut bytes, mut entries) = (0_u64, Vec::new());
        for Ranked { entry, .. } in ranked {
            bytes = bytes.saturating_add(entry.len_bytes);
            match bytes <= bytes_max {
                true => entries.push(entry),
                // One object is better than none.
                false if entries.is_empty() => bytes = 0,
                false => break,
            }
        }
        entries.sort_unstable_by_key(|entry| entry.location);
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cas::source::Location;

    fn entry(number: u16, len_bytes: u64) -> Entry {
        let location = Location::new(&[], format!("{number:064x}").as_bytes()).unwrap();
        Entry { len_bytes, ..Entry::new(location, EntryKind::File, None) }
    }

    fn sampler(objects_max: usize, entries: impl Iterator<Item = Entry>) -> Sampler {
        let mut sampler = Sampler { objects_max, ..Sampler::new() };
        entries.for_each(|entry| sampler.take(&entry));
        sampler
    }

    #[test]
    fn a_sample_is_the_same_in_whatever_order_objects_come_and_another_one_for_another_seed() {
        let draw = |numbers: &mut dyn Iterator<Item = u16>, seed| {
            sampler(50, numbers.map(|number| entry(number, 1))).draw(10, seed, u64::MAX)
        };
        let sample = draw(&mut (0..200), 1);
        assert_eq!(sample.len(), 10);
        assert_eq!(draw(&mut (0..200).rev(), 1), sample);
        assert_ne!(draw(&mut (0..200), 2), sample);
        assert!(sample.is_sorted_by_key(|entry| entry.location));
        assert_ne!(sample, (0..10).map(|number| entry(number, 1)).collect::<Vec<_>>());
        assert_eq!(draw(&mut (0..5), 1).len(), 5);
    }

    #[test]
    fn a_sample_is_of_the_whole_walk() {
        let sample = sampler(100, (0..1_000).map(|number| entry(number, 1))).draw(50, 7, u64::MAX);
        for half in [0..500, 500..1_000] {
            let drawn = half.clone().filter(|number| sample.contains(&entry(*number, 1))).count();
            assert!(drawn > 10, "{drawn} of {half:?}");
        }
    }

    #[test]
    fn a_sample_is_bounded_in_bytes_and_has_only_files() {
        let links = (100..200).map(|number| Entry { kind: EntryKind::Link, ..entry(number, 1) });
        let sampler = sampler(1_000, (0..100).map(|number| entry(number, 20)).chain(links));
        assert_eq!(sampler.draw(1_000, 1, u64::MAX).len(), 100);
        assert_eq!(sampler.draw(1_000, 1, 79).len(), 3);
        assert_eq!(sampler.draw(1_000, 1, 19).len(), 0);
        assert_eq!(sampler.draw(0, 1, 100).len(), 0);
    }

    #[test]
    fn an_object_that_is_too_large_does_not_keep_all_others_away() {
        let sampler = sampler(10, [entry(1, 1_000), entry(2, 5), entry(3, 5)].into_iter());
        for seed in 0..20 {
            assert!(!sampler.draw(3, seed, 100).is_empty());
        }
    }
}
