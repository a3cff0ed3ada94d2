//! Runs one request with two programs and compares the results (docs/source-requiem.md, "Dual run").
//!
//! Every generation since v0.2 supports `exec run --request R --out O`; only the result that it writes is compared.
//! Digests differ between generations by design. What counts is the exit code and the two outputs.

mod outcome;
mod process;
mod process_tree;

use std::path::{Path, PathBuf, absolute};
use std::process::Command;
use std::time::Duration;

use serde::Serialize;
use uuid::Uuid;

use self::outcome::RunResult;
use self::process::{Limits, RunFailure, run_to_end};
use super::small_file::SmallFile;
use crate::durable::{Attributes, Disk, DiskError, DiskFile, EntryKind, parent_of, remove_tree, replace_shared_file};
use crate::migration::Error;
use crate::pipeline::StopToken;

/// What is run, and where.
#[derive(Debug, Clone)]
pub struct DualRunOptions {
    /// The request.
    pub request: PathBuf,
    /// The program whose result is the reference; looked up in `PATH` if it is a bare name.
    pub old_bin: PathBuf,
    /// The program whose result is compared with it.
    pub new_bin: PathBuf,
    /// The directory in which each program gets an empty directory of its own.
    pub work_dir: PathBuf,
    /// How long each program may run.
    pub timeout: Duration,
}

/// How the two results compare. The first six members are those of the reference's documentation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DualRun {
    /// `result_digest` as the old program wrote it.
    pub old_digest: String,
    /// `result_digest` as the new program wrote it.
    pub new_digest: String,
    /// True if both are the same and not empty.
    #[serde(rename = "match")]
    pub digests_match: bool,
    /// True if the command had the same exit code, and both programs or neither call the run `ok`.
    pub exit_codes_match: bool,
    /// True if the command wrote the same to its standard output.
    pub stdout_match: bool,
    /// True if the command wrote the same to its standard error.
    pub stderr_match: bool,
    /// True if both made the same `request_digest` and it is not empty.
    pub request_digests_match: bool,
    /// True if a program truncated an output. Then only what it kept was compared.
    pub truncated: bool,
    /// Which of the first six differ: `digest_mismatch`, `exit_code_mismatch`, `stdout_mismatch`, `stderr_mismatch`.
    pub mismatches: Vec<&'static str>,
}

/// The document that is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DualRunDocument {
    /// How the two results compare.
    pub dual_run: DualRun,
}

impl DualRun {
    /// Returns true if exit code and outputs are the same.
    pub fn behaves_alike(&self) -> bool {
        self.exit_codes_match && self.stdout_match && self.stderr_match
    }

    fn compare(old: RunResult, new: RunResult) -> Self {
        let same_digest = |old: &str, new: &str| old == new && !old.is_empty();
        let digests_match = same_digest(&old.result_digest, &new.result_digest);
        let exit_codes_match = (old.ok, old.exit_code) == (new.ok, new.exit_code);
        let stdout_match = old.stdout == new.stdout;
        let stderr_match = old.stderr == new.stderr;
        let names = [
            (digests_match, "digest_mismatch"),
            (exit_codes_match, "exit_code_mismatch"),
            (stdout_match, "stdout_mismatch"),
            (stderr_match, "stderr_mismatch"),
        ];
        Self {
            digests_match,
            exit_codes_match,
            stdout_match,
            stderr_match,
            request_digests_match: same_digest(&old.request_digest, &new.request_digest),
            truncated: old.truncated || new.truncated,
            mismatches: names.into_iter().filter(|(is_match, _)| !is_match).map(|(_, name)| name).collect(),
            old_digest: old.result_digest,
            new_digest: new.result_digest,
        }
    }
}

/// Runs the old program, then the new one. Their directories are removed on return, also after an error.
///
/// # Errors
/// [`Error::Program`] if a program cannot be started or writes no readable result. It is temporary if the program was
/// killed, because it ran too long or because a stop was requested.
pub fn dual_run(disk: &dyn Disk, options: &DualRunOptions, stop: &StopToken) -> Result<DualRun, Error> {
    // Only to find a missing request early: each program reads it again.
    SmallFile::read(&options.request)?;
    let place = real_path(&options.work_dir)?.join(format!("haul-dual-run-{}", Uuid::new_v4()));
    disk.create_directory(&place)?;
    let done = run_both(disk, options, &place, stop);
    let removed = remove_tree(disk, &place);
    let done = done?;
    removed?;
    Ok(done)
}

/// Writes the document to `out` in one step.
pub fn write_document(disk: &dyn Disk, out: &Path, document: &DualRunDocument) -> Result<(), Error> {
    let mut bytes = serde_json::to_vec(document).expect("plain data");
    bytes.push(b'\n');
    let write = |file: &dyn DiskFile| file.write_all_at(0, &bytes);
    replace_shared_file::<DiskError>(disk, out, Attributes::OfReplaced, write)?;
    Ok(())
}

/// Fails if `out` cannot be written for a reason that is known before anything runs.
pub fn check_out(disk: &dyn Disk, out: &Path) -> Result<(), Error> {
    let usage = |what| Error::Usage { what, next: "name a file in an existing directory with --out".into() };
    let parent = parent_of(out);
    match (disk.kind(parent)?, disk.kind(out)?) {
        (None | Some(EntryKind::File), _) => Err(usage(format!("{} is not a directory", parent.display()))),
        (_, Some(EntryKind::Directory)) => Err(usage(format!("{} is a directory", out.display()))),
        _ => Ok(()),
    }
}

fn run_both(disk: &dyn Disk, options: &DualRunOptions, place: &Path, stop: &StopToken) -> Result<DualRun, Error> {
    let old = run_one(disk, "old", &options.old_bin, options, place, stop)?;
    let new = run_one(disk, "new", &options.new_bin, options, place, stop)?;
    Ok(DualRun::compare(old, new))
}

fn run_one(
    disk: &dyn Disk,
    which: &str,
    program: &Path,
    options: &DualRunOptions,
    place: &Path,
    stop: &StopToken,
) -> Result<RunResult, Error> {
    let (directory, result) = (place.join(which), place.join(format!("{which}.result.json")));
    disk.create_directory(&directory)?;
    let mut command = Command::new(program_path(program)?);
    command.args(["exec", "run", "--request"]).arg(real_path(&options.request)?).arg("--out").arg(&result);
    command.current_dir(&directory);
    let limits = Limits { timeout: options.timeout, stop };
    let failed = |what: String, next: &str, temporary| {
        let what = format!("the {which} program {}: {what}", program.display());
        Err(Error::Program { what, next: next.into(), temporary })
    };
    let ended = match run_to_end(command, &limits) {
        Ok(ended) => ended,
        Err(RunFailure::Start(error)) => {
            return failed(format!("cannot be started: {error}"), "check its path and that it may be executed", false);
        }
        Err(RunFailure::TimedOut) => {
            let what = format!("took longer than {} ms and was killed", options.timeout.as_millis());
            return failed(what, "give it more time with --timeout-ms", true);
        }
        Err(RunFailure::Stopped) => return failed("was killed because a stop was requested".into(), "run again", true),
        Err(RunFailure::Wait(error)) => return failed(format!("cannot be waited for: {error}"), "run again", false),
    };
    let next = "run it by hand: PROGRAM exec run --request FILE --out FILE";
    if disk.kind(&result)?.is_none() {
        return failed(format!("wrote no result ({}){}", ended.status, ended.quoted_output()), next, false);
    }
    let bytes = SmallFile::read(&result)?.bytes;
    RunResult::read(&bytes).or_else(|what| failed(format!("wrote a result that {what}"), next, false))
}

/// Returns a path that is valid in another working directory.
fn real_path(path: &Path) -> Result<PathBuf, Error> {
    Ok(absolute(path).map_err(|error| DiskError::new("locate", path, error))?)
}

/// Keeps a bare name as it is, so that it is looked up in `PATH`.
fn program_path(program: &Path) -> Result<PathBuf, Error> {
    let is_bare = program.parent().is_some_and(|parent| parent.as_os_str().is_empty());
    if is_bare { Ok(program.to_path_buf()) } else { real_path(program) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome() -> RunResult {
        RunResult {
            ok: true,
            exit_code: 0,
            stdout: b"out".to_vec(),
            stderr: b"err".to_vec(),
            request_digest: "q".into(),
            result_digest: "r".into(),
            truncated: false,
        }
    }

    #[test]
    fn every_difference_has_a_name() {
        let same = DualRun::compare(outcome(), outcome());
        assert!(same.behaves_alike() && same.digests_match && same.request_digests_match && !same.truncated);
        assert_eq!(same.mismatches, [] as [&str; 0]);

        type Change = fn(&mut RunResult);
        let changes: [(Change, &[&str], bool); 7] = [
            (|outcome| outcome.result_digest = "s".into(), &["digest_mismatch"], true),
            (|outcome| outcome.exit_code = 1, &["exit_code_mismatch"], false),
            (|outcome| outcome.ok = false, &["exit_code_mismatch"], false),
            (|outcome| outcome.stdout.push(b'\n'), &["stdout_mismatch"], false),
            (|outcome| outcome.stderr.clear(), &["stderr_mismatch"], false),
            (|outcome| outcome.request_digest = "p".into(), &[], true),
            (|outcome| outcome.truncated = true, &[], true),
        ];
        for (change, mismatches, alike) in changes {
            let mut other = outcome();
            change(&mut other);
            let one = DualRun::compare(outcome(), other.clone());
            assert_eq!((&one.mismatches[..], one.behaves_alike()), (mismatches, alike));
            assert_eq!(one.mismatches, DualRun::compare(other.clone(), outcome()).mismatches);
            assert_eq!((one.old_digest.as_str(), one.new_digest), ("r", other.result_digest));
            assert_eq!(one.request_digests_match, other.request_digest == "q");
            assert_eq!(one.truncated, other.truncated);
        }
    }

    #[test]
    fn a_missing_digest_never_matches() {
        let without = || RunResult { result_digest: String::new(), request_digest: String::new(), ..outcome() };
        let both = DualRun::compare(without(), without());
        assert!(!both.digests_match && !both.request_digests_match && both.behaves_alike());
    }

    #[test]
    fn the_document_has_the_documented_keys_in_their_order() {
        let document = DualRunDocument { dual_run: DualRun::compare(outcome(), outcome()) };
        let expected = concat!(
            r#"{"dual_run":{"old_digest":"r","new_digest":"r","match":true,"exit_codes_match":true,"stdout_match":true,"#,
            r#""stderr_match":true,"request_digests_match":true,"truncated":false,"mismatches":[]}}"#
        );
        assert_eq!(serde_json::to_string(&document).unwrap(), expected);
    }
}
