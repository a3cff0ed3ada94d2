//! What a migration of a tree is asked to do.

use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use super::document::checksum::hex;
use super::document::options::DeriveJobId;
use super::transform::step_check::prove;
use super::tree::scan::Layout;
use super::{Registry, TransformOptions, Transformer, Version};
use crate::migration::Error;
use crate::pipeline::{Budget, Options};

/// Time between two checkpoints, at least.
const CHECKPOINT_INTERVAL_MS_MIN: u64 = 200;

/// When what is written is made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Not at all.
    None,
    /// Many files at once: contents and backups before the first of them is replaced, names before the checkpoint.
    #[default]
    Batch,
    /// Each file by itself.
    Each,
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Batch => "batch",
            Self::Each => "each",
        })
    }
}

/// How an earlier run that has not ended is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// Goes on with it if there is one.
    #[default]
    Auto,
    /// Goes on with it, and fails if there is none.
    Resume,
    /// Begins anew. What that run has replaced stays replaced, and in the ledger.
    Restart,
}

/// A migration of a tree.
#[derive(Clone)]
pub struct MigrateOptions {
    /// The steps.
    pub registry: Arc<Registry>,
    /// Where they lead; the latest version if `None`.
    pub target: Option<Version>,
    /// How documents are read, checked and written. `named` follows from `manifest`.
    pub transform: TransformOptions,
    /// Where manifests are looked for.
    pub layout: Layout,
    /// The one file to take, relative to the root, wherever it lies.
    pub manifest: Option<PathBuf>,
    /// Take files that have more than one name; the others keep the old content.
    pub break_links: bool,
    /// When what is written is made durable.
    pub durability: Durability,
    /// The instant of every history record; that at which the run begins if `None`.
    pub now: Option<Timestamp>,
    /// How an earlier run is treated.
    pub start: Start,
    /// Files of a batch.
    pub batch_records: u64,
    /// Files between two checkpoints.
    pub checkpoint_interval_records: u64,
    /// Memory for what is in flight.
    pub memory_budget_bytes: u64,
    /// Share of it at which the reader waits.
    pub backpressure_threshold: f64,
    /// Files a second, at most.
    pub rate_limit: Option<NonZeroU32>,
    /// Threads that read, transform and write.
    pub parallel_workers: NonZeroUsize,
}

impl Default for MigrateOptions {
    fn default() -> Self {
        Self {
            registry: Arc::new(Registry::built_in()),
            target: None,
            transform: TransformOptions::default(),
            layout: Layout::default(),
            manifest: None,
            break_links: false,
            durability: Durability::default(),
            now: None,
            start: Start::default(),
            batch_records: 128,
            checkpoint_interval_records: 50_000,
            memory_budget_bytes: 512 << 20,
            backpressure_threshold: 0.8,
            rate_limit: None,
            parallel_workers: NonZeroUsize::MIN,
        }
    }
}

impl MigrateOptions {
    /// The version that documents are taken to.
    pub fn target(&self) -> Version {
        self.target.unwrap_or_else(|| self.registry.latest())
    }

    /// What turns documents, at the instant `now`. An unknown target is a usage error.
    pub fn transformer(&self, now: Timestamp) -> Result<Transformer, Error> {
        let options = TransformOptions { named: self.manifest.is_some(), ..self.transform.clone() };
        Transformer::new(prove(self.registry.clone())?, self.target(), now, options)
    }

    /// How the engine is to carry it out.
    pub fn engine(&self) -> Options {
        Options {
            parallel_workers: self.parallel_workers,
            budget: Budget::new(self.memory_budget_bytes, self.backpressure_threshold),
            rate_limit: self.rate_limit,
            checkpoint_interval_records: self.checkpoint_interval_records,
            checkpoint_interval_ms_min: CHECKPOINT_INTERVAL_MS_MIN,
        }
    }

    /// Everything that decides the result, as text: part of the plan.
    pub fn text(&self) -> String {
        let t = &self.transform;
        let mut words = vec![t.mode.name().to_owned(), format!("--target-version {}", self.target())];
        words.push(format!("--layout {}", self.layout.name()));
        words.extend(self.manifest.as_ref().map(|path| format!("--manifest {}", path.display())));
        let flags = [
            (t.shape_any, "--shape any"),
            (t.accept_incomplete, "--accept-incomplete"),
            (t.bom_strip, "--bom strip"),
            (t.repair, "--repair"),
            (self.break_links, "--break-links"),
        ];
        words.extend(flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag.to_owned()));
        words.extend(t.assume_version.map(|version| format!("--assume-version {version}")));
        words.extend(t.final_newline.map(|on| format!("--final-newline {}", if on { "on" } else { "off" })));
        words.extend(t.derive_job_id.map(|from| match from {
            DeriveJobId::Brief => "--derive-job-id brief".to_owned(),
            DeriveJobId::Directory => "--derive-job-id directory".to_owned(),
        }));
        words.push(format!("--max-depth {}", t.depth_max));
        words.push(format!("steps {}", &hex(&self.registry.digest())[..16]));
        words.join(" ")
    }
}
