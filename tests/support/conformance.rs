//! The data that other systems wrote.

use std::path::{Path, PathBuf};

/// Directory with the data that other systems wrote, or `None` after saying that the test is left out.
pub fn conformance(part: &str) -> Option<PathBuf> {
    let root = std::env::var_os("HAUL_CONFORMANCE")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance"), PathBuf::from);
    let directory = root.join(part);
    if directory.is_dir() {
        return Some(directory);
    }
    let required = std::env::var_os("HAUL_CONFORMANCE_REQUIRED").is_some_and(|value| value == "1");
    assert!(!required, "no conformance data at {}", directory.display());
    println!("left out: no conformance data at {}", directory.display());
    None
}
