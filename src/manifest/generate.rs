//! Generates trees of manifests for benchmarks, demonstrations and tests.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::document::checksum::hex;
use super::migrate::run_directory;
use super::tree::file_names::MANIFEST;
use super::tree::scan::ARTIFACTS;
use crate::durable::{Disk, create_directory_durable};
use crate::migration::{EphemeralLock, Error};
use crate::pipeline::{Control, Expected, Phase};

const JOB_TYPES: [&str; 3] = ["instagram_copy", "brand_score", "optimization"];
/// Number of manifests between two events of progress.
const STEP_MANIFESTS: u64 = 256;

/// Options for a generated tree.
#[derive(Debug, Clone, Copy)]
pub struct GenerateOptions {
    /// Number of manifests.
    pub manifests: u64,
    /// Number of runs of each job.
    pub runs_per_job: u64,
    /// Decides contents and versions.
    pub seed: u64,
    /// Shares of the versions 1.0.0, 1.1.0 and 1.2.0.
    pub shares: [u64; 3],
}

impl Default for GenerateOptions {
    fn default() -> Self {
        Self { manifests: 1000, runs_per_job: 50, seed: 0, shares: [6, 3, 1] }
    }
}

/// A generated tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GeneratedTree {
    /// The root of the application.
    pub path: PathBuf,
    /// Number of manifests.
    pub manifests: u64,
    /// Sum of their lengths.
    pub bytes: u64,
    /// True if it was asked to stop. Manifests written so far stay.
    pub stopped: bool,
}

/// Generates a tree at `root`, which must be empty or absent. The same options give the same bytes.
///
/// # Errors
/// [`Error::Usage`] for a directory that is not empty; [`Error::Locked`] while another process works there.
pub fn generate(
    disk: &dyn Disk,
    root: &Path,
    options: &GenerateOptions,
    control: &Control<'_>,
) -> Result<GeneratedTree, Error> {
    if options.shares.iter().sum::<u64>() == 0 || options.runs_per_job == 0 {
        return Err(Error::Usage {
            what: "the shares of all versions are 0, or a job has no runs".into(),
            next: "give at least one version a share, and each job a run".into(),
        });
    }
    let directory = run_directory(root);
    directory.check_free(disk)?;
    check_is_empty(disk, root)?;
    create_directory_durable(disk, root)?;
    let mut lock = EphemeralLock::take(disk, &directory)?;
    check_is_empty(disk, root)?;
    let artifacts = root.join(ARTIFACTS);
    disk.create_directory(&artifacts)?;
    let mut made = GeneratedTree { path: root.to_path_buf(), manifests: 0, bytes: 0, stopped: false };
    control.phase(Phase::Generate, Expected::records(options.manifests), || {
        write_all(disk, &artifacts, options, control, &mut made)
    })?;
    lock.remove()?;
    Ok(made)
}

/// Fails if anything is there but the lock.
fn check_is_empty(disk: &dyn Disk, root: &Path) -> Result<(), Error> {
    let directory = run_directory(root);
    let is_lock = |path: &Path| path == directory.path() || path == directory.lock_path();
    for place in [root, directory.path()] {
        let is_there = disk.kind(place)?.is_some();
        if is_there && !disk.list(place)?.iter().all(|entry| is_lock(&place.join(&entry.name))) {
            return Err(Error::Usage {
                what: format!("{} is not empty", place.display()),
                next: "give a directory that is empty or does not exist".into(),
            });
        }
    }
    Ok(())
}

fn write_all(
    disk: &dyn Disk,
    artifacts: &Path,
    options: &GenerateOptions,
    control: &Control<'_>,
    made: &mut GeneratedTree,
) -> Result<(), Error> {
    for number in 0..options.manifests {
        if control.stop.is_requested() {
            made.stopped = true;
            break;
        }
        let job = artifacts.join(job_name(number / options.runs_per_job));
        if number % options.runs_per_job == 0 {
            disk.create_directory(&job)?;
        }
        let (run_id, text) = manifest(number, options);
        let run = job.join(run_id);
        disk.create_directory(&run)?;
        disk.write_new_file(&run.join(MANIFEST), text.as_bytes())?;
        made.manifests += 1;
        made.bytes += text.len() as u64;
        if made.manifests.is_multiple_of(STEP_MANIFESTS) {
            control.progress(STEP_MANIFESTS, 0);
        }
    }
    control.progress(made.manifests % STEP_MANIFESTS, 0);
    Ok(())
}

fn job_name(job: u64) -> String {
    format!("job-{job:06}")
}

/// Returns the run id and the text of a manifest, which has about 900 bytes.
fn manifest(number: u64, options: &GenerateOptions) -> (String, String) {
    let digest = |salt: &str| hex(&Sha256::digest(format!("{salt} {number} {}", options.seed)).into());
    let choice = u64::from_str_radix(&digest("version")[..12], 16).unwrap_or(0) % options.shares.iter().sum::<u64>();
    let [first, second, _] = options.shares;
    let inputs_hash = inputs_hash();
    let mut document = json!({
        "schema_version": "1.0.0",
        "job_id": job_name(number / options.runs_per_job),
        "run_id": format!("{}-{}", &inputs_hash["sha256:".len()..][..32], number + 2),
        "job_ref": format!("jobs/{}/brief.yaml", job_name(number / options.runs_per_job)),
        "job_type": JOB_TYPES[(number % 3) as usize],
        "status": if number.is_multiple_of(17) { "failed" } else { "succeeded" },
        "started_at": format!("2026-01-{:02}T08:{:02}:00.000001Z", number % 28 + 1, number % 60),
        "finished_at": format!("2026-01-{:02}T09:{:02}:00.25Z", number % 28 + 1, number % 60),
        "langfuse_trace_id": null,
        "error": null,
        "brief_hash": format!("sha256:{}", digest("brief hash")),
        "context_content_hash": format!("sha256:{}", digest("context")),
        "artifacts": { "outputs/result.md": { "sha256": digest("output"), "bytes": number * 37 % 90_000 } },
        "meta": { "seed": options.seed, "temperature": 0.7, "note": format!("run {number} — généré") },
        "generation_metadata": { "model": "made-up", "tokens": number % 4096 },
    });
    if choice >= first {
        document["input_snapshots"] = json!({});
        document["inputs_hash"] = inputs_hash.into();
        document["schema_version"] = "1.1.0".into();
    }
    if choice >= first + second {
        document["chain_metadata"] = json!({ "is_chainable_stage": false, "prior_stages": [] });
        document["schema_version"] = "1.2.0".into();
    }
    let run_id = document["run_id"].as_str().unwrap_or_default().to_owned();
    let mut text = serde_json::to_string_pretty(&document).expect("a generated manifest has string keys only");
    text.push('\n');
    (run_id, text)
}

/// Returns the `inputs_hash` of a run without snapshots. Each run is a retry with the same inputs.
fn inputs_hash() -> String {
    format!("sha256:{}", hex(&Sha256::digest("{}").into()))
}
