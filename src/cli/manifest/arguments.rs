//! Arguments that the commands of a tree of manifests share.

use std::num::NonZeroU64;
use std::path::{Component, Path, PathBuf, absolute};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use crate::cli::arguments::ResourceArgs;
use crate::manifest::run_options::MigrateOptions;
use crate::manifest::selection::{Newer, Selection};
use crate::manifest::tree::scan::Layout;
use crate::manifest::{DeriveJobId, Mode, Registry, TransformOptions, Version};
use crate::migration::{Durability, Error};
use crate::observe::Scope;

/// The name of the records of a tree.
pub const RECORDS_NOUN: &str = "manifests";

/// The steps between versions.
#[derive(Args)]
pub struct StepsArgs {
    /// TOML file of steps in addition to the built-in ones; may be given several times
    #[arg(long = "steps-file", value_name = "FILE")]
    pub steps_files: Vec<PathBuf>,
}

impl StepsArgs {
    /// Returns the built-in steps and those of the files, in their order.
    pub fn registry(&self) -> Result<Registry, Error> {
        let mut registry = Registry::built_in();
        self.steps_files.iter().try_for_each(|path| registry.add_path(path))?;
        Ok(registry)
    }
}

/// Where a command that changes no manifest looks for them.
#[derive(Args)]
pub struct PlaceArgs {
    /// Where to look for manifests
    #[arg(long, value_enum, value_name = "WHERE", default_value_t = LayoutArg::Canonical)]
    layout: LayoutArg,
    #[command(flatten)]
    steps: StepsArgs,
}

/// Which manifests to take.
#[derive(Args, Clone)]
#[command(next_help_heading = "Selection")]
pub struct SelectionArgs {
    /// Only manifests of this job, by its directory; by their job_id if they are in artifacts/runs/
    #[arg(long, value_name = "NAME")]
    job: Option<String>,
    /// Only manifests with this status
    #[arg(long, value_name = "TEXT")]
    status: Option<String>,
    /// Only files that were written since a date, a time, or so long before the start, as in 2026-03-01 or 7d
    #[arg(long, value_name = "WHEN")]
    newer: Option<Newer>,
    /// Only the first N of them, in the order of their paths; a migration counts those that it has to replace
    #[arg(long, value_name = "N")]
    limit: Option<NonZeroU64>,
    /// Accept a tree without manifests, and a job without any
    #[arg(long)]
    allow_empty: bool,
}

impl SelectionArgs {
    /// Returns these settings with the selection.
    pub fn applied_to(&self, options: MigrateOptions) -> MigrateOptions {
        let limit = self.limit.map(NonZeroU64::get);
        let selection = Selection { job: self.job.clone(), status: self.status.clone(), newer: self.newer, limit };
        MigrateOptions { selection, allow_empty: self.allow_empty, ..options }
    }
}

impl PlaceArgs {
    /// Returns settings that look there.
    pub fn options(&self, resources: &ResourceArgs) -> Result<MigrateOptions, Error> {
        let layout = match self.layout {
            LayoutArg::Canonical => Layout::Canonical,
            LayoutArg::Recursive => Layout::Recursive,
        };
        let registry = Arc::new(self.steps.registry()?);
        Ok(MigrateOptions { layout, registry, ..resource_options(resources) })
    }
}

/// Returns the settings of a command whose rules are fixed.
fn resource_options(resources: &ResourceArgs) -> MigrateOptions {
    let options = MigrateOptions::default();
    MigrateOptions { run: resources.applied_to(options.run), ..options }
}

/// Values of `--layout`.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LayoutArg {
    /// artifacts/JOB/RUN/manifest.json
    Canonical,
    /// At any depth below artifacts/
    Recursive,
}

/// Values of `--shape`.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ShapeArg {
    /// Objects with run_id and one of job_id, job_ref, job_type
    Manifest,
    /// Any object
    Any,
}

/// Values of `--bom`.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BomArg {
    /// Refuse the file
    Refuse,
    /// Read the file without it
    Strip,
}

/// Values of `--derive-job-id`.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DeriveArg {
    /// From inputs/brief.resolved.json or inputs/brief.yaml
    Brief,
    /// The name of the job's directory
    Directory,
}

/// Values of `--final-newline`.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnOff {
    /// With one
    On,
    /// Without one
    Off,
}

/// Values of `--durability`.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DurabilityArg {
    /// Never
    None,
    /// For many files at once, before the first of them is replaced
    #[value(alias = "batch")]
    Group,
    /// For each file separately
    Each,
}

impl From<DurabilityArg> for Durability {
    fn from(durability: DurabilityArg) -> Self {
        match durability {
            DurabilityArg::None => Self::None,
            DurabilityArg::Group => Self::Group,
            DurabilityArg::Each => Self::Each,
        }
    }
}

/// The options that decide the result of a migration.
#[derive(Args)]
#[command(next_help_heading = "Result")]
pub struct ResultArgs {
    /// Version to migrate to [default: the latest that the steps know]
    #[arg(long, value_name = "V")]
    target_version: Option<Version>,
    /// Migrate only this file, wherever it is below the root
    #[arg(long, value_name = "PATH")]
    pub manifest: Option<PathBuf>,
    /// Write, name and print everything as the original does, wherever the original is right
    #[arg(long)]
    pub compat: bool,
    /// Where to look for manifests [default: canonical, with --compat recursive]
    #[arg(long, value_enum, value_name = "WHERE")]
    layout: Option<LayoutArg>,
    /// What counts as a manifest
    #[arg(long, value_enum, value_name = "WHAT", default_value_t = ShapeArg::Manifest)]
    shape: ShapeArg,
    /// Write results that the schema of the target version does not allow, and report them
    #[arg(long)]
    accept_incomplete: bool,
    /// Version of manifests that name none
    #[arg(long, value_name = "V")]
    assume_version: Option<Version>,
    /// How to fill in a missing job_id
    #[arg(long, value_enum, value_name = "FROM")]
    derive_job_id: Option<DeriveArg>,
    /// What to do about a byte order mark
    #[arg(long, value_enum, value_name = "HOW", default_value_t = BomArg::Refuse)]
    bom: BomArg,
    /// End files with a newline [default: on, with --compat off]
    #[arg(long, value_enum, value_name = "WHETHER")]
    final_newline: Option<OnOff>,
    /// Maximum depth of nested arrays and objects
    #[arg(long, value_name = "N", default_value_t = 1000)]
    max_depth: usize,
    /// Add what the steps up to their version add to manifests that are current but incomplete
    #[arg(long)]
    repair: bool,
    /// Also migrate files that have hard links; the other names keep the old content
    #[arg(long)]
    break_links: bool,
    #[command(flatten)]
    steps: StepsArgs,
    /// Time of every history record, as in 2026-03-01T12:34:56.789012Z [default: the start of the run]
    #[arg(long, value_name = "T")]
    now: Option<Timestamp>,
    #[command(flatten)]
    selection: SelectionArgs,
}

impl ResultArgs {
    /// Returns the settings with these rules, for the tree at `root`. Fails on a steps file that cannot be used and on a
    /// file outside the root.
    pub fn options(&self, root: &Path, resources: &ResourceArgs) -> Result<MigrateOptions, Error> {
        let layout = match self.layout {
            Some(LayoutArg::Recursive) => Layout::Recursive,
            None if self.compat => Layout::Recursive,
            Some(LayoutArg::Canonical) | None => Layout::Canonical,
        };
        let options = self.selection.applied_to(resource_options(resources));
        let options = MigrateOptions {
            registry: Arc::new(self.steps.registry()?),
            target: self.target_version,
            transform: self.transform(),
            layout,
            manifest: self.manifest.as_deref().map(|path| below(root, path)).transpose()?,
            break_links: self.break_links,
            now: self.now,
            ..options
        };
        if options.manifest.is_some() && !options.selection.is_all() {
            return Err(Error::Usage {
                what: "--manifest names a file, and a selection is given as well".into(),
                next: "give one of them".into(),
            });
        }
        // An unknown target is a usage error before any file is opened.
        options.transformer(Timestamp::UNIX_EPOCH)?;
        Ok(options)
    }

    fn transform(&self) -> TransformOptions {
        TransformOptions {
            mode: if self.compat { Mode::Compat } else { Mode::Strict },
            shape_any: self.shape == ShapeArg::Any,
            accept_incomplete: self.accept_incomplete,
            assume_version: self.assume_version,
            bom_strip: self.bom == BomArg::Strip,
            depth_max: self.max_depth,
            final_newline: self.final_newline.map(|newline| newline == OnOff::On),
            repair: self.repair,
            derive_job_id: self.derive_job_id.map(|from| match from {
                DeriveArg::Brief => DeriveJobId::Brief,
                DeriveArg::Directory => DeriveJobId::Directory,
            }),
            ..TransformOptions::default()
        }
    }
}

/// Returns the path relative to the root, without a part that goes up. A relative path may begin at the working directory
/// or at the root.
pub fn below(root: &Path, path: &Path) -> Result<PathBuf, Error> {
    let outside = || Error::Usage {
        what: format!("{} is outside {}", path.display(), root.display()),
        next: "give a path below the root of the application, as in artifacts/JOB/RUN/manifest.json".into(),
    };
    let of_root = if path.is_absolute() { None } else { plain(path) };
    let of_directory = absolute(path).ok().and_then(|path| below_one_of(root, &plain(&path)?));
    match (of_root, of_directory) {
        (Some(of_root), Some(of_directory)) => {
            let is_of_root = root.join(&of_root).symlink_metadata().is_ok();
            let is_of_directory = root.join(&of_directory).symlink_metadata().is_ok();
            Ok(if is_of_root && !is_of_directory { of_root } else { of_directory })
        }
        (of_root, of_directory) => of_root.or(of_directory).ok_or_else(outside),
    }
}

/// Returns the rest of a path that begins with the root, which may be relative, or spelt through a link.
fn below_one_of(root: &Path, path: &Path) -> Option<PathBuf> {
    let roots = [absolute(root).ok().and_then(|root| plain(&root)), root.canonicalize().ok()];
    let rest = roots.iter().flatten().filter_map(|root| path.strip_prefix(root).ok()).next()?;
    (!rest.as_os_str().is_empty()).then(|| rest.to_path_buf())
}

/// Resolves the parts of a path that go up, as far as it does not lead out of where it begins.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if plain.pop() => {}
            Component::ParentDir => return None,
            other => plain.push(other),
        }
    }
    (!plain.as_os_str().is_empty()).then_some(plain)
}

/// Returns what the view of a run needs to know.
pub fn scope(resources: &ResourceArgs) -> Scope {
    Scope { budget_bytes: resources.memory_budget_bytes(), ..Scope::of(RECORDS_NOUN) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_file_stays_below_the_root() {
        let root = Path::new("/app");
        let fine = |path: &str| below(root, Path::new(path)).unwrap();
        assert_eq!(fine("artifacts/./a/../m.json"), Path::new("artifacts/m.json"));
        assert_eq!(fine("/app/artifacts/m.json"), Path::new("artifacts/m.json"));
        let here = std::env::current_dir().unwrap();
        assert_eq!(below(Path::new("."), &here.join("artifacts/m.json")).unwrap(), Path::new("artifacts/m.json"));
        for path in ["../m.json", "a/../../m.json", "/etc/passwd", "", "a/..", "/app"] {
            assert!(below(root, Path::new(path)).is_err(), "{path}");
        }
    }
}
