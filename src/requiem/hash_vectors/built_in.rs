//! Known digests that every path of this program must produce (docs/source-requiem.md, "Hash vectors").

use std::path::Path;

use super::file::read_vectors;
use super::vector::Vector;

/// In the form of the published file, so that one reader serves both.
const VECTORS: &str = include_str!("built_in.json");

/// Returns the vectors that are part of every haul.
pub fn built_in() -> Vec<Vector> {
    read_vectors(Path::new("built_in.json"), VECTORS.as_bytes()).expect("the tests read this file")
}
