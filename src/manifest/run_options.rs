//! What a migration of a tree is asked to do.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::document::checksum::hex;
use super::document::options::DeriveJobId;
use super::selection::Selection;
use super::transform::step_check::prove;
use super::tree::scan::Layout;
use super::{Mode, Registry, TransformOptions, Transformer, Version};
use crate::migration::plan::escape_name;
use crate::migration::{Durability, Error, Rules, RunOptions};

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
    /// Which of them to take.
    pub selection: Selection,
    /// Accept a tree without manifests, and a selection of a job that has none.
    pub allow_empty: bool,
    /// Take files that have more than one name; the others keep the old content.
    pub break_links: bool,
    /// When what is written is made durable.
    pub durability: Durability,
    /// The instant of every history record; that at which the run begins if `None`.
    pub now: Option<Timestamp>,
    /// How the run is carried out.
    pub run: RunOptions,
}

impl Default for MigrateOptions {
    fn default() -> Self {
        Self {
            registry: Arc::new(Registry::built_in()),
            target: None,
            transform: TransformOptions::default(),
            layout: Layout::default(),
            manifest: None,
            selection: Selection::default(),
            allow_empty: false,
            break_links: false,
            durability: Durability::default(),
            now: None,
            run: RunOptions {
                batch_records: 128,
                checkpoint_interval_records: 50_000,
                parallel_workers: NonZeroUsize::MIN,
                ..RunOptions::default()
            },
        }
    }
}

impl MigrateOptions {
    /// Returns the version that documents are taken to.
    pub fn target(&self) -> Version {
        self.target.unwrap_or_else(|| self.registry.latest())
    }

    /// Returns what migrates documents, at the instant `now`. An unknown target is a usage error.
    pub fn transformer(&self, now: Timestamp) -> Result<Transformer, Error> {
        let options = TransformOptions { named: self.manifest.is_some(), ..self.transform.clone() };
        Transformer::new(prove(self.registry.clone())?, self.target(), now, options)
    }

    /// Returns what decides the result.
    pub fn rules(&self) -> ManifestRules {
        let t = &self.transform;
        ManifestRules {
            mode: t.mode,
            target_version: self.target(),
            layout: self.layout,
            manifest: self.manifest.as_ref().map(|path| escape_name(path.as_os_str())),
            shape_any: t.shape_any,
            accept_incomplete: t.accept_incomplete,
            bom_strip: t.bom_strip,
            repair: t.repair,
            break_links: self.break_links,
            assume_version: t.assume_version,
            final_newline: t.final_newline,
            derive_job_id: t.derive_job_id,
            depth_max: t.depth_max as u64,
            steps: hex(&self.registry.digest())[..16].to_owned(),
            selection: self.selection.clone(),
        }
    }
}

/// What decides the result of a run. Nothing else does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, bincode::Encode, bincode::Decode)]
pub struct ManifestRules {
    /// Whose rules apply where the original and haul differ.
    pub mode: Mode,
    /// The version that files are taken to.
    pub target_version: Version,
    /// Where manifests are looked for.
    pub layout: Layout,
    /// The one file to take, relative to the root, as [`escape_name`] writes it.
    pub manifest: Option<String>,
    /// Take objects without the fields of a manifest for manifests.
    pub shape_any: bool,
    /// Write what the target schema does not allow.
    pub accept_incomplete: bool,
    /// Take a document that begins with a byte order mark, without it.
    pub bom_strip: bool,
    /// Give current documents the fields that the steps up to their version would have added.
    pub repair: bool,
    /// Take files that have more than one name.
    pub break_links: bool,
    /// The version of documents that name none.
    pub assume_version: Option<Version>,
    /// Whether the output ends in a newline; `None` is the mode's own rule.
    pub final_newline: Option<bool>,
    /// Where a missing `job_id` comes from.
    pub derive_job_id: Option<DeriveJobId>,
    /// Arrays and objects in each other, at most.
    pub depth_max: u64,
    /// Beginning of the digest of the steps.
    pub steps: String,
    /// Which manifests are taken.
    pub selection: Selection,
}

impl Rules for ManifestRules {}

/// The text enters the digest of the plan.
impl fmt::Display for ManifestRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mode, target_version, layout, .. } = self;
        write!(f, "{} --target-version {target_version} --layout {}", mode.name(), layout.name())?;
        if let Some(manifest) = &self.manifest {
            write!(f, " --manifest {manifest}")?;
        }
        let flags = [
            (self.shape_any, "--shape any"),
            (self.accept_incomplete, "--accept-incomplete"),
            (self.bom_strip, "--bom strip"),
            (self.repair, "--repair"),
            (self.break_links, "--break-links"),
        ];
        flags.iter().filter(|(is_set, _)| *is_set).try_for_each(|(_, flag)| write!(f, " {flag}"))?;
        if let Some(version) = self.assume_version {
            write!(f, " --assume-version {version}")?;
        }
        if let Some(on) = self.final_newline {
            write!(f, " --final-newline {}", if on { "on" } else { "off" })?;
        }
        match self.derive_job_id {
            Some(DeriveJobId::Brief) => f.write_str(" --derive-job-id brief")?,
            Some(DeriveJobId::Directory) => f.write_str(" --derive-job-id directory")?,
            None => {}
        }
        write!(f, " --max-depth {} steps {}{}", self.depth_max, self.steps, self.selection)
    }
}
