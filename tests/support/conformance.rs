//! The data that other systems wrote, and the checkers that come with them and share no code with haul.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Returns the directory with a part of the data.
pub fn conformance(part: &str) -> PathBuf {
    let root = std::env::var_os("HAUL_CONFORMANCE")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance"), PathBuf::from);
    let directory = root.join(part);
    assert!(directory.is_dir(), "no conformance data at {}", directory.display());
    directory
}

/// Runs a checker, which ends with 2 where a package of Python is missing.
pub fn run_checker<A: AsRef<OsStr>>(checker: &Path, arguments: &[A]) -> Output {
    let output = Command::new("python3").arg(checker).args(arguments).output().expect("python3");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() != Some(2), "{} cannot run: {errors}", checker.display());
    output
}
