//! The manifests of a tree that samples are drawn from, found in one walk of names and lengths.

use std::collections::BinaryHeap;
use std::iter;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use crate::durable::ReadRoot;
use crate::manifest::migrate::document_reader::DocumentReader;
use crate::manifest::migrate::selector::Selector;
use crate::manifest::migrate::share::PathShare;
use crate::manifest::run_options::MigrateOptions;
use crate::manifest::selection::Selection;
use crate::manifest::tree::file_faults::concerns_one_file;
use crate::manifest::tree::reader::Select;
use crate::manifest::tree::scan::{Found, Scan, ScanEntry};
use crate::migration::{Error, check_stop};
use crate::pipeline::StopToken;

/// The most manifests that are kept to draw from. Those of a larger tree are drawn at random during the walk.
const KEPT_MAX: usize = 50_000;
const RANK_BYTES: usize = 16;

type Rank = [u8; RANK_BYTES];

/// A manifest that may be drawn.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    rank: Rank,
    /// Its path, relative to the root.
    pub(super) file: PathBuf,
    /// Its length when it was found; 0 if that cannot be looked up.
    pub(super) len_bytes: u64,
}

/// What the walk has found.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    /// Manifests that a run reads, as far as that shows without reading them.
    pub(super) manifests: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Those that may be drawn, in the order of their lots.
    kept: Vec<Candidate>,
}

impl Candidates {
    /// Walks the tree. `now` is the instant from which ages are counted.
    pub(super) fn find(
        root: &Arc<dyn ReadRoot>,
        options: &MigrateOptions,
        now: Timestamp,
        stop: &StopToken,
    ) -> Result<Self, Error> {
        Self::find_keeping(KEPT_MAX, root, options, now, stop)
    }

    fn find_keeping(
        kept_max: usize,
        root: &Arc<dyn ReadRoot>,
        options: &MigrateOptions,
        now: Timestamp,
        stop: &StopToken,
    ) -> Result<Self, Error> {
        let mut newer = selector_by_time(root, options, now);
        let (mut found, mut lots) = (Self::default(), BinaryHeap::new());
        for ScanEntry { path, found: kind } in entries(root, options)? {
            check_stop(stop)?;
            let is_found = matches!(kind, Found::Manifest) && options.selection.may_be_of_job(&path);
            if !is_found || !newer.as_mut().map_or(Ok(true), |newer| newer.takes(&path))? {
                continue;
            }
            let len_bytes = match root.file_state(&path) {
                // The run reads it and refuses it by name.
                Err(error) if concerns_one_file(&error) => 0,
                state => state?.map_or(0, |state| state.len_bytes),
            };
            found.manifests += 1;
            found.bytes += len_bytes;
            lots.push(Candidate { rank: rank(&[], &path), file: path, len_bytes });
            if lots.len() > kept_max {
                lots.pop();
            }
        }
        Ok(Self { kept: lots.into_sorted_vec(), ..found })
    }

    /// Returns the first lots.
    pub(super) fn first(&self, manifests: usize) -> Vec<&Candidate> {
        in_order(self.kept.iter().take(manifests).collect())
    }

    /// Draws that many, or all if there are no more. The same seed draws the same.
    pub(super) fn draw(&self, manifests: u64, seed: u64) -> Vec<&Candidate> {
        drawn(&self.kept, manifests, seed)
    }

    /// Works like [`draw`](Self::draw), but takes none of the first lots, unless there are too few others.
    pub(super) fn draw_after(&self, first: usize, manifests: u64, seed: u64) -> Vec<&Candidate> {
        let others = self.kept.get(first..).filter(|others| others.len() as u64 >= manifests);
        drawn(others.unwrap_or(&self.kept), manifests, seed)
    }
}

fn drawn(from: &[Candidate], manifests: u64, seed: u64) -> Vec<&Candidate> {
    let wanted = usize::try_from(manifests).unwrap_or(usize::MAX);
    let mut ranked: Vec<(Rank, &Candidate)> =
        from.iter().map(|candidate| (rank(&seed.to_le_bytes(), &candidate.file), candidate)).collect();
    if wanted < ranked.len() {
        ranked.select_nth_unstable_by_key(wanted, |(rank, _)| *rank);
        ranked.truncate(wanted);
    }
    in_order(ranked.into_iter().map(|(_, candidate)| candidate).collect())
}

/// Puts manifests into the order of their paths, in which a run reads them.
fn in_order(mut candidates: Vec<&Candidate>) -> Vec<&Candidate> {
    candidates.sort_unstable_by(|a, b| a.file.as_os_str().cmp(b.file.as_os_str()));
    candidates
}

/// What the walk of a run would find, or the one file that the operator named.
fn entries(root: &Arc<dyn ReadRoot>, options: &MigrateOptions) -> Result<Box<dyn Iterator<Item = ScanEntry>>, Error> {
    Ok(match &options.manifest {
        Some(file) => Box::new(iter::once(ScanEntry { path: file.clone(), found: Found::Manifest })),
        None => Box::new(Scan::start(root.clone(), options.layout, Vec::new())?),
    })
}

/// Returns what selects by the time of the last change, which shows without reading.
fn selector_by_time(root: &Arc<dyn ReadRoot>, options: &MigrateOptions, now: Timestamp) -> Option<Selector> {
    let selection = Selection { newer: options.selection.newer, ..Selection::default() };
    let options = MigrateOptions { selection, ..options.clone() };
    let documents = Arc::new(DocumentReader::new(&options.run, options.transform.depth_max));
    Selector::of_command(root, &options, &documents, (PathShare::ALL, now))
}

fn rank(seed: &[u8], file: &Path) -> Rank {
    let digest = *blake3::Hasher::new().update(seed).update(file.as_os_str().as_bytes()).finalize().as_bytes();
    *digest.first_chunk().expect("a digest has sixteen bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::{Disk, SimulatedDisk};

    const MANIFESTS: u64 = 400;

    fn root(manifests: u64) -> Arc<dyn ReadRoot> {
        let disk = SimulatedDisk::with_directories(&[Path::new("/app/artifacts")]);
        for number in 0..manifests {
            let file = format!("/app/artifacts/job-{}/{number:04}/manifest.json", number % 2);
            disk.install_file(Path::new(&file), b"{}");
        }
        disk.root(Path::new("/app")).unwrap()
    }

    fn found(kept_max: usize, options: &MigrateOptions) -> Candidates {
        let (root, stop) = (root(MANIFESTS), StopToken::new());
        Candidates::find_keeping(kept_max, &root, options, Timestamp::UNIX_EPOCH, &stop).unwrap()
    }

    /// The numbers in the paths.
    fn numbers(candidates: &[&Candidate]) -> Vec<u64> {
        let number = |candidate: &&Candidate| {
            let run = candidate.file.parent().unwrap().file_name().unwrap();
            run.to_str().unwrap().parse().unwrap()
        };
        candidates.iter().map(number).collect()
    }

    #[test]
    fn lots_come_from_the_whole_tree_and_the_seed_decides() {
        for kept_max in [50, 10_000] {
            let candidates = found(kept_max, &MigrateOptions::default());
            assert_eq!((candidates.manifests, candidates.bytes), (MANIFESTS, 2 * MANIFESTS));
            let drawn = numbers(&candidates.draw(40, 1));
            assert_eq!(drawn.len(), 40);
            let late = drawn.iter().filter(|&&number| number >= MANIFESTS / 2).count();
            assert!((10..=30).contains(&late), "{late} of the second half, {kept_max} kept");
            assert_eq!(drawn, numbers(&candidates.draw(40, 1)));
            assert_ne!(drawn, numbers(&candidates.draw(40, 2)));
        }
        let few = found(50, &MigrateOptions::default());
        assert_eq!(few.draw(MANIFESTS, 1).len(), 50, "no more than are kept");
    }

    #[test]
    fn what_was_read_before_is_not_drawn_again_while_there_is_more() {
        let candidates = found(10_000, &MigrateOptions::default());
        let first = numbers(&candidates.first(300));
        let drawn = numbers(&candidates.draw_after(300, 100, 7));
        assert!(drawn.len() == 100 && drawn.iter().all(|number| !first.contains(number)));
        assert_eq!(candidates.draw_after(300, 101, 7).len(), 101);
    }

    #[test]
    fn a_selection_that_shows_without_reading_is_drawn_from() {
        let selection = Selection { job: Some("job-1".into()), ..Selection::default() };
        let of_job = found(10_000, &MigrateOptions { selection, ..MigrateOptions::default() });
        assert_eq!(of_job.manifests, MANIFESTS / 2);
        assert!(numbers(&of_job.draw(20, 1)).iter().all(|number| number % 2 == 1));
        let file = PathBuf::from("artifacts/job-0/0002/manifest.json");
        let named = found(10_000, &MigrateOptions { manifest: Some(file), ..MigrateOptions::default() });
        assert_eq!((named.manifests, numbers(&named.draw(9, 1))), (1, vec![2]));
    }
}
