//! Reads and judges manifests of a sample as a run would, with nothing to write to, and adds up what their migration would
//! take.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::candidates::Candidate;
use super::needs::Taken;
use crate::durable::{ReadRoot, ReaderKind, SourceFile};
use crate::manifest::migrate::document_reader::DocumentReader;
use crate::manifest::migrate::evaluation_pass::Evaluator;
use crate::manifest::migrate::selector::Selector;
use crate::manifest::migrate::share::PathShare;
use crate::manifest::run_options::MigrateOptions;
use crate::manifest::selection::Selection;
use crate::manifest::tree::reader::Select;
use crate::manifest::tree::scan::{Found, ScanEntry};
use crate::migration::{Error, OutcomeCounts, check_stop};
use crate::pipeline::{Converter, StopToken};

/// What was seen of manifests.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// How many.
    pub(super) manifests: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Those that a run would refuse.
    pub(super) refused: u64,
    /// How long it took to read and to convert them.
    pub(super) took: Duration,
    /// Which part of their bytes was in the page cache before.
    pub(super) cached_share: Option<f64>,
    /// What the migration of each of them takes.
    pub(super) taken: Vec<Taken>,
}

/// Looks at manifests one after the other.
pub(super) struct Onlooker {
    root: Arc<dyn ReadRoot>,
    evaluator: Evaluator,
    /// Reads a manifest to select it, where a run has to.
    selector: Option<Selector>,
}

impl Onlooker {
    pub(super) fn new(
        root: &Arc<dyn ReadRoot>,
        options: &MigrateOptions,
        documents: &Arc<DocumentReader>,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let evaluator = Evaluator::new(root.clone(), options.transformer(now)?, documents.clone(), options);
        let Selection { job, status, .. } = options.selection.clone();
        let by_document =
            MigrateOptions { selection: Selection { job, status, ..Selection::default() }, ..options.clone() };
        let selector = Selector::of_command(root, &by_document, documents, (PathShare::ALL, now));
        Ok(Self { root: root.clone(), evaluator, selector })
    }

    /// Looks at these. `run_id` is that of a run whose ledger would name them.
    pub(super) fn look(mut self, candidates: &[&Candidate], run_id: &str, stop: &StopToken) -> Result<Seen, Error> {
        let (mut seen, mut cached, mut buffer) = (Seen::default(), Cached::default(), Vec::new());
        for Candidate { file, len_bytes, .. } in candidates {
            check_stop(stop)?;
            cached.look_at(&self.root.path().join(file), *len_bytes);
            let started = Instant::now();
            let taken = self.look_at(file, *len_bytes, &mut buffer, run_id)?;
            seen.took += started.elapsed();
            seen.manifests += 1;
            seen.bytes += len_bytes;
            seen.refused += u64::from(taken.is_refused);
            seen.taken.push(taken);
        }
        Ok(Seen { cached_share: cached.share(), ..seen })
    }

    fn look_at(&mut self, file: &Path, len_bytes: u64, buffer: &mut Vec<u8>, run_id: &str) -> Result<Taken, Error> {
        if !self.selector.as_mut().map_or(Ok(true), |selector| selector.takes(file))? {
            return Ok(Taken::default());
        }
        let entry = ScanEntry { path: file.to_path_buf(), found: Found::Manifest };
        let evaluated = self.evaluator.convert(buffer, vec![entry])?;
        let is_refused = evaluated.tally.counts.refused() > 0;
        Ok(Taken::of(file, len_bytes, &evaluated.space_needed.sums(), (&evaluated.tally.findings, is_refused), run_id))
    }
}

/// How much of files is in the page cache.
#[derive(Default)]
struct Cached {
    /// Bytes of files of which that is known.
    known_bytes: u64,
    cached_bytes: f64,
}

impl Cached {
    fn look_at(&mut self, path: &Path, len_bytes: u64) {
        let opened = SourceFile::open_no_follow(path, ReaderKind::Pread).ok();
        let share = opened.zip(usize::try_from(len_bytes).ok()).and_then(|(file, len)| file.cached_share(0, len));
        if let Some(share) = share {
            self.known_bytes += len_bytes;
            self.cached_bytes += share * len_bytes as f64;
        }
    }

    /// Returns which part is, or `None` if that is not known of any file.
    fn share(&self) -> Option<f64> {
        (self.known_bytes > 0).then(|| self.cached_bytes / self.known_bytes as f64)
    }
}
