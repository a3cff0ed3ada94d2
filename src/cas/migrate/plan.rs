//! The plan of a migration: what it would read and need.

use std::path::{Path, PathBuf, absolute};

use serde::{Deserialize, Serialize};

use super::probe::needs::NeedsOfStore;
use crate::cas::format::encoding::Compress;
use crate::cas::options::{MigrateOptions, Placement};
use crate::cas::paths::{TargetPaths, check_apart, check_not_mounted, check_objects_near, check_outside};
use crate::cas::source::SourceRoot;
use crate::cas::source::inventory::Entry;
use crate::cas::source::location::Shape;
use crate::cas::source::nothing_found::check_found;
use crate::cas::source::scan::{Found, ScanSums, scan_watched};
use crate::cas::state::CHECKPOINT_KIND;
use crate::durable::{Disk, read_file};
use crate::migration::plan::{escape_name, plan_digest, unescape_name};
use crate::migration::{Error, RunDirectory, RunPlan};
use crate::pipeline::Control;

/// Version of the plan's digest and the checkpoint.
const FORMAT_VERSION: u32 = 1;
/// Longest file that is read as a plan.
const PLAN_BYTES_MAX: u64 = 1 << 20;

/// What a migration would read and need.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// The absolute path of the source, as [`escape_name`] writes it, so that a rollback finds it from any directory.
    pub source: String,
    /// The target in the same form.
    pub target: String,
    /// Names of objects.
    pub objects: u64,
    /// Bytes of their blobs.
    pub object_bytes: u64,
    /// Sidecars.
    pub sidecars: u64,
    /// Other names.
    pub others: u64,
    /// Objects by layout.
    pub layout: LayoutCounts,
    /// Most files that the target will have.
    pub target_files: u64,
    /// Directories that the target will have, as expected for evenly distributed keys.
    pub target_directories: u64,
    /// Bytes that must be free on the file system of the target.
    pub space_needed_bytes: u64,
    /// Inodes that must be free there.
    pub inodes_needed: u64,
    /// The rules, as text.
    pub policies: String,
    /// Digest of everything that decides the result.
    pub digest: String,
    /// The same as bytes.
    #[serde(skip)]
    pub digest_bytes: [u8; 32],
}

impl RunPlan for Plan {
    fn digest(&self) -> [u8; 32] {
        self.digest_bytes
    }

    fn space_needed_bytes(&self) -> Option<u64> {
        Some(self.space_needed_bytes)
    }

    fn inodes_needed(&self) -> Option<u64> {
        Some(self.inodes_needed)
    }

    fn records(&self) -> Option<u64> {
        Some(self.objects)
    }

    fn source_bytes(&self) -> Option<u64> {
        Some(self.object_bytes)
    }
}

/// Objects by the shape of their paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LayoutCounts {
    /// `<key>`
    pub flat: u64,
    /// `AB/<key>`
    pub one_level: u64,
    /// `AB/<the other 62 digits>`
    pub split_name: u64,
    /// `AB/CD/<key>`
    pub two_levels: u64,
}

/// Walks the source and returns what a migration would read and need. Writes nothing.
pub fn plan(
    source: &Path,
    paths: &TargetPaths,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<Plan, Error> {
    look(source, paths, options, control, |_| ()).map(|(_, _, plan)| plan)
}

/// Works like [`plan`], and passes every object to `on_object`, in any order.
pub fn look(
    source: &Path,
    paths: &TargetPaths,
    options: &MigrateOptions,
    control: &Control<'_>,
    mut on_object: impl FnMut(&Entry),
) -> Result<(SourceRoot, ScanSums, Plan), Error> {
    let root = SourceRoot::open(source)?;
    check_apart(source, &root.directories(), paths)?;
    check_not_mounted(paths)?;
    if options.placement == Placement::Merge {
        check_objects_near(paths)?;
    }
    let scanned = scan_watched(&root, options.run.parallel_workers.get(), control, |found| {
        if let Found::Object(entry) = &found {
            on_object(entry);
        }
        Ok(())
    })?;
    let sums = scanned.ok_or_else(Error::stopped)?;
    check_outside(source, paths, |(device, inode)| sums.has_directory(device, inode))?;
    check_found(&root, &sums, options.allow_empty)?;
    let plan = plan_of(&root, paths, &sums, options);
    Ok((root, sums, plan))
}

/// Returns the plan for a source that was walked.
pub fn plan_of(root: &SourceRoot, paths: &TargetPaths, sums: &ScanSums, options: &MigrateOptions) -> Plan {
    let policies = options.rules().to_string();
    let text = format!("{policies} source-digest={}", blake3::Hash::from_bytes(sums.digest()).to_hex());
    let digest_bytes = plan_digest(CHECKPOINT_KIND, FORMAT_VERSION, &[], &text);
    let blob_bytes = blob_bytes(root, paths, sums, options);
    let needs = NeedsOfStore::new(sums, blob_bytes, paths, options);
    Plan {
        source: absolute_text(root.path()),
        target: absolute_text(paths.target()),
        objects: sums.objects,
        object_bytes: sums.object_bytes,
        sidecars: sums.sidecars,
        others: sums.others,
        layout: layout_counts(sums),
        target_files: 2 * sums.objects + 1,
        target_directories: needs.directories,
        space_needed_bytes: needs.peak_bytes,
        inodes_needed: needs.inodes,
        policies,
        digest: blake3::Hash::from_bytes(digest_bytes).to_hex().to_string(),
        digest_bytes,
    }
}

/// Returns what the blobs take in whole blocks if they are as long as in the source; `None` if they are second names of
/// those.
pub(super) fn blob_bytes(
    root: &SourceRoot,
    paths: &TargetPaths,
    sums: &ScanSums,
    options: &MigrateOptions,
) -> Option<u64> {
    let stays = options.compress == Compress::AsStored;
    let is_linked = stays && options.link.is_wanted() && paths.can_link_from(root.objects());
    (!is_linked).then_some(sums.object_block_bytes)
}

/// Returns the absolute path, or the path itself if there is no current directory.
fn absolute_text(path: &Path) -> String {
    escape_name(absolute(path).as_deref().unwrap_or(path).as_os_str())
}

/// Returns the source of the run with this plan.
///
/// # Errors
/// [`Error::State`] if the plan in `run_directory` is not readable, or belongs to another run.
pub fn planned_source(disk: &dyn Disk, run_directory: &RunDirectory, digest: &[u8; 32]) -> Result<PathBuf, Error> {
    #[derive(Deserialize)]
    struct Kept {
        source: String,
        digest: String,
    }
    let path = run_directory.plan_path();
    if disk.kind(&path)?.is_none() {
        return Err(no_plan(path, "the plan of the run is gone, so it is not known where the source is"));
    }
    let bytes = read_file(disk, &path, PLAN_BYTES_MAX)?;
    let kept = serde_json::from_slice::<Kept>(&bytes).ok();
    let kept = kept.filter(|kept| kept.digest == blake3::Hash::from_bytes(*digest).to_hex().as_str());
    kept.and_then(|kept| unescape_name(&kept.source))
        .map(PathBuf::from)
        .ok_or_else(|| no_plan(path, "not the plan of the run in the checkpoint"))
}

fn no_plan(path: PathBuf, what: &str) -> Error {
    Error::State {
        path,
        what: what.into(),
        next: "restore the file, or name the source with `haul cas rollback --source`".into(),
        damaged: true,
        source: None,
    }
}

/// Returns the objects by layout.
pub fn layout_counts(sums: &ScanSums) -> LayoutCounts {
    let count = |shape: Shape| sums.shapes[shape as usize];
    LayoutCounts {
        flat: count(Shape::Flat),
        one_level: count(Shape::OneLevel),
        split_name: count(Shape::SplitName),
        two_levels: count(Shape::TwoLevels),
    }
}
