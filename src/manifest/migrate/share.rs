//! A share of the manifests of a tree, by their paths: each has a number of its own, so it stays in its share when others
//! are added or removed.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use crate::durable::ReadRoot;
use crate::manifest::run_options::MigrateOptions;
use crate::manifest::tree::scan::{Found, Scan};
use crate::migration::{Error, Sample, Sampled, Sampling, SortDirectory, Subset};
use crate::pipeline::StopToken;

/// The memory of the sort of ranks.
const SORT_BYTES: u64 = 4 << 20;

/// A share of the manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathShare {
    subset: Subset,
    sample: Option<Sampled>,
}

impl PathShare {
    /// All manifests.
    pub const ALL: Self = Self { subset: Subset::ALL, sample: None };

    /// Finds out which manifests of a tree are in the sample, if there is one. Returns `None` if a stop is requested.
    pub fn find(
        (subset, sample): (Subset, Option<Sample>),
        root: &Arc<dyn ReadRoot>,
        options: &MigrateOptions,
        (sorts, stop): (&SortDirectory, &StopToken),
    ) -> Result<Option<Self>, Error> {
        let whole = Self { subset, sample: None };
        let Some(sample) = sample else { return Ok(Some(whole)) };
        let mut sampling = Sampling::new(sample, sorts, SORT_BYTES, stop)?;
        for entry in Scan::start(root.clone(), options.layout, Vec::new())? {
            if stop.is_requested() {
                return Ok(None);
            }
            let is_candidate = matches!(entry.found, Found::Manifest) && whole.covers(&entry.path);
            if is_candidate && options.selection.may_be_of_job(&entry.path) {
                sampling.push(entry.path.as_os_str().as_bytes())?;
            }
        }
        Ok(Some(Self { sample: sampling.finish()?, ..whole }))
    }

    /// Returns true if all manifests are in the share.
    pub fn is_all(&self) -> bool {
        *self == Self::ALL
    }

    /// Returns true if the manifest is in the share.
    pub fn covers(&self, file: &Path) -> bool {
        let number = || {
            let digest = blake3::hash(file.as_os_str().as_bytes());
            u64::from_be_bytes(*digest.as_bytes().first_chunk().expect("a digest has eight bytes"))
        };
        let is_in_subset = self.subset == Subset::ALL || self.subset.covers(number());
        is_in_subset && self.sample.is_none_or(|sampled| sampled.covers(file.as_os_str().as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::{Disk, SimulatedDisk};

    fn covered(subset: Subset, sample: Option<Sample>, manifests: u64) -> Vec<u64> {
        let disk = SimulatedDisk::new();
        let path = |number: u64| format!("artifacts/job/{number:03}/manifest.json");
        for number in 0..manifests {
            disk.install_file(&Path::new("/app").join(path(number)), b"{}");
        }
        let disk: Arc<dyn Disk> = Arc::new(disk);
        let root: Arc<dyn ReadRoot> = disk.root(Path::new("/app")).unwrap();
        let (sorts, stop) = (SortDirectory::in_memory(), StopToken::new());
        let share = PathShare::find((subset, sample), &root, &MigrateOptions::default(), (&sorts, &stop));
        let share = share.unwrap().expect("nobody stops");
        (0..manifests).filter(|&number| share.covers(Path::new(&path(number)))).collect()
    }

    #[test]
    fn shares_make_up_the_whole_and_manifests_stay_in_theirs() {
        let parts = |manifests| (1..=3).map(move |part| covered(Subset { part, of: 3 }, None, manifests));
        let mut all: Vec<_> = parts(60).flatten().collect();
        all.sort_unstable();
        assert_eq!(all, (0..60).collect::<Vec<_>>());
        for (few, many) in parts(30).zip(parts(60)) {
            assert!(few.iter().all(|number| many.contains(number)));
        }
    }

    #[test]
    fn a_sample_has_the_requested_size_and_depends_on_the_seed() {
        let sample = |manifests, seed| covered(Subset::ALL, Some(Sample { records: manifests, seed }), 60);
        for manifests in [0, 1, 10, 59, 60, 1000] {
            assert_eq!(sample(manifests, 1).len() as u64, manifests.min(60), "{manifests}");
        }
        assert_eq!(sample(10, 1), sample(10, 1));
        assert_ne!(sample(10, 1), sample(10, 2));
        let of_half = covered(Subset { part: 1, of: 2 }, Some(Sample { records: 5, seed: 1 }), 60);
        let half = covered(Subset { part: 1, of: 2 }, None, 60);
        assert!(of_half.len() == 5 && of_half.iter().all(|number| half.contains(number)));
    }
}
