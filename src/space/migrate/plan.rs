//! The plan of a space migration: what the source is, and what moving it needs. Reads only.

use std::path::Path;

use serde::Serialize;

use super::needs::{NeedsOfStore, finding_bytes};
use crate::durable::{Disk, WindowError, read_again_if};
use crate::migration::plan::escape_name;
use crate::migration::{Error, PlannedFile, RunPlan, plan_digest};
use crate::pipeline::StopToken;
use crate::space::current_store::live_store;
use crate::space::log::extent::Content;
use crate::space::log::lots::Lots;
use crate::space::log::source::{OtherEntry, WalSource};
use crate::space::log::wal::{HEADER_BYTES, WalHeader};
use crate::space::options::MigrateOptions;
use crate::space::paths::{SpacePaths, is_directory};
use crate::space::policy::Policies;
use crate::space::state::CHECKPOINT_KIND;
use crate::space::store::layout::FORMAT_VERSION;

/// Records that a plan looks at to estimate the mean size.
const SAMPLE_RECORDS: u64 = 1_000;

/// An entry of `wal/` that is not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedOther {
    /// Its name.
    pub name: String,
    /// Its length.
    pub len_bytes: u64,
}

/// What a migration would read and need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Path of the log.
    pub source: String,
    /// True if Engram would accept the space directory's name.
    pub valid_space_name: bool,
    /// The log files, in the order in which they are read.
    pub files: Vec<PlannedFile>,
    /// Log files that are symbolic links.
    pub linked: Vec<String>,
    /// Other entries of the directory, not read.
    pub others: Vec<PlannedOther>,
    /// Bytes of all log files.
    pub source_bytes: u64,
    /// Records, from the mean size of the first ones.
    pub records_estimated: u64,
    /// Bytes that the store will have, from the same mean, rounded up.
    pub target_bytes_estimated: u64,
    /// Bytes that must be free for it: the store, the scratch files of the index and the state of the run.
    pub space_needed_bytes: u64,
    /// Bytes of it that are taken after a clean-up.
    #[serde(skip)]
    pub space_after_clean_bytes: u64,
    /// Files and directories that a run still has to make at the same time.
    #[serde(skip)]
    pub inodes_needed: u64,
    /// The memory budget.
    pub memory_budget_bytes: u64,
    /// The rules.
    pub policies: Policies,
    /// Digest of everything that decides the result: a run resumes only under an equal one.
    pub digest: String,
    /// The digest's bytes.
    #[serde(skip)]
    pub digest_bytes: [u8; 32],
}

/// Makes the plan of migrating `source`.
pub fn plan(space: &SpacePaths, source: &WalSource, options: &MigrateOptions) -> Result<Plan, Error> {
    let files: Vec<_> =
        source.names().iter().zip(source.files()).map(|(name, file)| planned_file(name, file)).collect();
    let digest = plan_digest(CHECKPOINT_KIND, FORMAT_VERSION, &files, &options.rules().to_string());
    let source_bytes = source.total_bytes();
    let seen = estimate_records(source)?;
    let needs = NeedsOfStore::new(source, (seen.records, seen.noted_bytes), options);
    Ok(Plan {
        source: source.directory().display().to_string(),
        valid_space_name: space.has_valid_name(),
        files,
        linked: source.linked().to_vec(),
        others: others(source),
        source_bytes,
        records_estimated: seen.records,
        target_bytes_estimated: needs.target_bytes,
        space_needed_bytes: needs.peak_bytes(),
        space_after_clean_bytes: needs.bytes_after_clean(),
        inodes_needed: needs.inodes(&space.run_directory(), options),
        memory_budget_bytes: options.run.memory_budget_bytes,
        policies: options.policies,
        digest: blake3::Hash::from_bytes(digest).to_hex().to_string(),
        digest_bytes: digest,
    })
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
        Some(self.records_estimated)
    }

    fn source_bytes(&self) -> Option<u64> {
        Some(self.source_bytes)
    }
}

/// Returns the entries of `wal/` that are not read.
pub(in crate::space) fn others(source: &WalSource) -> Vec<PlannedOther> {
    let planned = |other: &OtherEntry| PlannedOther { name: escape_name(&other.name), len_bytes: other.len_bytes };
    source.others().iter().map(planned).collect()
}

fn planned_file(name: &str, file: &crate::durable::SourceFile) -> PlannedFile {
    let identity = file.identity();
    PlannedFile {
        name: name.to_owned(),
        len_bytes: identity.len_bytes,
        modified_secs: identity.modified_secs,
        modified_nanos: identity.modified_nanos,
        inode: identity.inode,
        device: identity.device,
    }
}

/// Records, and what a run writes about them into the findings: it notes each deletion, update and control record.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    bytes: u64,
    records: u64,
    noted_bytes: u64,
}

impl Seen {
    fn add(&mut self, header: &WalHeader) {
        self.bytes += HEADER_BYTES as u64 + u64::from(header.payload_len_bytes);
        self.records += 1;
        self.noted_bytes += finding_bytes(header.kind());
    }
}

/// Extrapolates from the first records of the first file that has any, and from others all over the log.
fn estimate_records(source: &WalSource) -> Result<Seen, Error> {
    let (bytes, first) = (source.total_bytes(), first_records(source)?);
    if first.bytes == bytes || first.records == 0 {
        return Ok(first);
    }
    let mut drawn = Seen::default();
    let lots = Lots { source, record_bytes: first.bytes / first.records, seed: 0, stop: &StopToken::new() };
    lots.draw(SAMPLE_RECORDS, |lot| {
        for extent in &lot.batch.extents {
            if let Content::Frames(frames) = &extent.content {
                frames.iter().for_each(|frame| drawn.add(&frame.header));
            }
        }
        Ok(())
    })?;
    let Seen { bytes: of_bytes, records, noted_bytes } = if drawn.records > 0 { drawn } else { first };
    let scaled = |count: u64| (u128::from(count) * u128::from(bytes)).div_ceil(u128::from(of_bytes)) as u64;
    Ok(Seen { bytes, records: scaled(records), noted_bytes: scaled(noted_bytes) })
}

/// Looks at the first records of the first file that has any.
fn first_records(source: &WalSource) -> Result<Seen, Error> {
    let mut seen = Seen::default();
    for file in source.files() {
        let end = file.identity().len_bytes;
        while seen.records < SAMPLE_RECORDS && seen.bytes + HEADER_BYTES as u64 <= end {
            let mut bytes = [0; HEADER_BYTES];
            read_again_if(|| file.read_exact_at(seen.bytes, &mut bytes), WindowError::of_disk)?;
            let Ok(header) = WalHeader::parse(&bytes) else { break };
            seen.add(&header);
        }
        if seen.records > 0 {
            break;
        }
    }
    Ok(seen)
}

/// Refuses a space whose pointer cannot be read or leads nowhere.
pub fn check_pointer(disk: &dyn Disk, space: &SpacePaths) -> Result<(), Error> {
    live_store(disk, space).map(drop)
}

/// Refuses a directory that is not a space.
pub fn check_directory(root: &Path) -> Result<(), Error> {
    if is_directory(&root.join("wal"))? {
        return Ok(());
    }
    Err(Error::Usage {
        what: format!("{} has no wal directory, so it is not an Engram space", root.display()),
        next: "name a space directory: the one that holds wal/".into(),
    })
}
