//! What of a tree is migrated to measure how long the whole takes: manifests drawn at random.

mod candidates;
mod copy;
mod inputs_read;
mod look;
mod needs;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use self::candidates::Candidates;
use self::copy::TreeCopy;
use self::look::{Onlooker, Seen};
use self::needs::WholeNeeds;
use super::document_reader::DocumentReader;
use super::plan::Plan;
use super::{disk_of_tree, migrate, run_directory};
use crate::durable::{Disk, ReadRoot};
use crate::manifest::nothing_found::check_found;
use crate::manifest::run_options::MigrateOptions;
use crate::manifest::selection::{Newer, Selection};
use crate::manifest::tree::scan::ARTIFACTS;
use crate::migration::clock::{new_run_id, now_or_nearest};
use crate::migration::forecast::History;
use crate::migration::lifecycle::Places;
use crate::migration::probe::{Amount, Drawn, Needs, Probe};
use crate::migration::{Error, RunDirectory, RunOptions, Start, check_stop};
use crate::pipeline::{Control, Ended, Expected, Phase};

/// First part of the name of the directory that samples are in, in the root of the application.
pub(in crate::manifest) const SCRATCH_PREFIX: &str = ".estimate-";
/// As many bytes are migrated in the time that a manifest costs beyond its bytes.
const RECORD_COST_BYTES: u64 = 16 << 10;
/// Manifests that are read to see how many need a migration and what that takes.
const LOOKED_AT: usize = 2_048;

/// A migration of a tree that can be measured.
pub struct ManifestProbe {
    disk: Arc<dyn Disk>,
    root_path: PathBuf,
    root: Arc<dyn ReadRoot>,
    options: MigrateOptions,
    now: Timestamp,
    plan: Plan,
    candidates: Candidates,
    whole: Amount,
    needs: Needs,
}

impl ManifestProbe {
    /// Makes the checks of a run, walks the tree once, and reads a sample of it to see how many manifests need a migration.
    /// Writes nothing.
    pub fn open(
        disk: Arc<dyn Disk>,
        root: &Path,
        options: &MigrateOptions,
        control: &Control<'_>,
    ) -> Result<Self, Error> {
        let now = options.now.unwrap_or_else(now_or_nearest);
        options.transformer(now)?;
        let tree: Arc<dyn ReadRoot> = disk.root(root)?;
        if check_found(&tree, options, control.stop)? == Ended::Stopped {
            return Err(Error::stopped());
        }
        let find = || Candidates::find(&tree, options, now, control.stop);
        let candidates = control.phase(Phase::Scan, Expected::UNKNOWN, find)?;
        let mut probe = Self {
            disk: disk_of_tree(&disk, root)?,
            root_path: root.to_path_buf(),
            root: tree,
            options: options.clone(),
            now,
            plan: Plan::new(root, options, now),
            whole: amount(candidates.manifests, candidates.bytes),
            candidates,
            needs: Needs::default(),
        };
        probe.look_ahead(control)?;
        Ok(probe)
    }

    /// Returns the plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Finds out what a run goes through and takes.
    fn look_ahead(&mut self, control: &Control<'_>) -> Result<(), Error> {
        let first = self.candidates.first(LOOKED_AT);
        let seen = self.onlooker()?.look(&first, &new_run_id()?, control.stop)?;
        if let Some(limit) = self.options.selection.limit {
            self.whole = until_limit(self.whole, limit, &seen);
        }
        let artifacts = self.root_path.join(ARTIFACTS);
        let directory = if self.disk.kind(&artifacts)?.is_some() { artifacts } else { self.root_path.clone() };
        let names_take_inodes = self.root.free_space(Path::new(""))?.names_take_inodes;
        let needs = WholeNeeds::of(self.whole.records, &seen.taken, names_take_inodes);
        self.needs = Needs {
            directory,
            space_bytes: needs.bytes,
            space_after_clean_bytes: needs.bytes_after_clean,
            inodes: needs.inodes,
        };
        Ok(())
    }

    fn documents(&self) -> Arc<DocumentReader> {
        Arc::new(DocumentReader::new(&self.options.run, self.options.transform.depth_max))
    }

    fn onlooker(&self) -> Result<Onlooker, Error> {
        Onlooker::new(&self.root, &self.options, &self.documents(), self.now)
    }

    /// Returns the options of the migration of a sample. What was drawn is within the limit and new enough, but a run looks.
    fn options_of_sample(&self, commit_records: u64) -> MigrateOptions {
        let run = RunOptions {
            rate_limit: None,
            start: Start::Auto,
            history: History::None,
            checkpoint_interval_records: self.options.run.checkpoint_interval_records.min(commit_records).max(1),
            ..self.options.run
        };
        let Selection { job, status, newer, limit } = self.options.selection.clone();
        let selection =
            Selection { job, status, newer: newer.map(|_| Newer::Age(i64::MAX)), limit: limit.map(|_| u64::MAX) };
        MigrateOptions { allow_empty: true, selection, run, ..self.options.clone() }
    }
}

impl Probe for ManifestProbe {
    fn whole(&self) -> Amount {
        self.whole
    }

    fn needs(&self) -> Result<Needs, Error> {
        Ok(self.needs.clone())
    }

    fn places(&self) -> Places {
        Places { source: self.root_path.clone(), target: self.root_path.clone() }
    }

    fn run_directory(&self) -> RunDirectory {
        run_directory(&self.root_path)
    }

    fn scratch(&self) -> PathBuf {
        self.root_path.join(format!("{SCRATCH_PREFIX}{}.tmp", std::process::id()))
    }

    fn read(&self, records: u64, seed: u64, control: &Control<'_>) -> Result<Drawn, Error> {
        // Those that were read before are in memory now, and would be read faster than the rest.
        let drawn = self.candidates.draw_after(LOOKED_AT, records, seed);
        let seen = self.onlooker()?.look(&drawn, "", control.stop)?;
        let Seen { manifests, bytes, refused, took, cached_share, .. } = seen;
        Ok(Drawn { amount: amount(manifests, bytes), refused, took, cached_share })
    }

    fn sample(&self, scratch: &Path, records: u64, seed: u64, control: &Control<'_>) -> Result<Drawn, Error> {
        let started = Instant::now();
        let (documents, transformer) = (self.documents(), self.options.transformer(self.now)?);
        let places = (&*self.root, scratch);
        let mut copy = TreeCopy::begin(&*self.disk, places, (&documents, &transformer), control.stop)?;
        let (mut manifests, mut bytes) = (0, 0);
        for candidate in self.candidates.draw(records, seed) {
            check_stop(control.stop)?;
            if let Some(len_bytes) = copy.add(&candidate.file)? {
                (manifests, bytes) = (manifests + 1, bytes + len_bytes);
            }
        }
        Ok(Drawn { amount: amount(manifests, bytes), refused: 0, took: started.elapsed(), cached_share: None })
    }

    fn run(&self, scratch: &Path, commit_records: u64, control: &Control<'_>) -> Result<(), Error> {
        migrate(self.disk.clone(), scratch, &self.options_of_sample(commit_records), control)?;
        check_stop(control.stop)
    }
}

fn amount(records: u64, source_bytes: u64) -> Amount {
    Amount { records, source_bytes, cost_bytes: source_bytes + records * RECORD_COST_BYTES }
}

/// Returns what a run goes through that ends after `limit` files were replaced, if the whole is like what was seen.
fn until_limit(whole: Amount, limit: u64, seen: &Seen) -> Amount {
    let written = seen.taken.iter().filter(|taken| taken.is_written()).count() as f64;
    let records = match written > 0.0 {
        true => ((limit as f64 / written * seen.manifests as f64).ceil() as u64).min(whole.records),
        false => whole.records,
    };
    let bytes = (whole.source_bytes as f64 * (records as f64 / whole.records.max(1) as f64)) as u64;
    amount(records, bytes)
}
