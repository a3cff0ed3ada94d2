//! The sealed description of a store: a JSON document and, on the last line, the BLAKE3 of all bytes before it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::layout::FORMAT_VERSION;
use super::names::MANIFEST;
use super::table::corrupt;
use crate::durable::{Disk, read_file};
use crate::migration::{Error, SourceBytes};
use crate::space::outcome::Counts;
use crate::space::policy::Policies;

const MANIFEST_BYTES_MAX: u64 = 256 << 20;
const SEAL_PREFIX: &str = "seal blake3:";
/// Value of [`Manifest::format`].
pub const FORMAT_NAME: &str = "haul dual-memory store";

/// A file with its length and digest (hexadecimal).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDigest {
    /// Name in its directory.
    pub name: String,
    /// Length.
    pub bytes: u64,
    /// For segments and source files the digest over the digests of their blocks and extents, see `docs/formats.md`;
    /// for index files the BLAKE3 of the file.
    pub digest: String,
}

/// What a store is and what it was made from. Holds nothing that depends on host, clock, attempt or settings of speed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT_NAME`].
    pub format: String,
    /// Format version.
    pub version: u32,
    /// Live nodes: entries of the id index.
    pub nodes: u64,
    /// Rows that are nodes, live or not.
    pub node_rows: u64,
    /// Records framed in the source.
    pub records: u64,
    /// Outcomes of the records.
    pub counts: Counts,
    /// Source bytes by kind.
    pub source_bytes: SourceBytes,
    /// The rules of the migration.
    pub policies: Policies,
    /// Entries of the table.
    pub extents: u64,
    /// Merkle root over the table entries.
    pub root: String,
    /// The segments.
    pub segments: Vec<FileDigest>,
    /// Table, id index, marks.
    pub indexes: Vec<FileDigest>,
    /// The source files.
    pub sources: Vec<FileDigest>,
}

impl Manifest {
    /// Returns the bytes of the file.
    pub fn encode(&self) -> Vec<u8> {
        let mut text = serde_json::to_string_pretty(self).expect("plain data always serialises");
        text.push('\n');
        let seal = blake3::hash(text.as_bytes());
        text.push_str(&format!("{SEAL_PREFIX}{}\n", seal.to_hex()));
        text.into_bytes()
    }

    /// Reads the manifest of the store in `directory` and checks its seal.
    pub fn read(disk: &dyn Disk, directory: &Path) -> Result<Self, Error> {
        let path = directory.join(MANIFEST);
        match read_file(disk, &path, MANIFEST_BYTES_MAX) {
            Ok(bytes) => Self::decode(&path, &bytes),
            Err(error) => Err(match error.too_long() {
                // No manifest is as long, so it is not one.
                Some(too_long) => corrupt(&path, 0, too_long.to_string()),
                None => error.into(),
            }),
        }
    }

    /// Checks the seal of `bytes` and decodes them. `path` is for the error alone.
    pub fn decode(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(bytes).map_err(|e| corrupt(path, e.valid_up_to() as u64, "is not UTF-8"))?;
        let body_end = text.trim_end_matches('\n').rfind('\n').map_or(0, |at| at + 1);
        let (body, seal) = text.split_at(body_end);
        let expected = format!("{SEAL_PREFIX}{}\n", blake3::hash(body.as_bytes()).to_hex());
        if seal != expected {
            return Err(corrupt(path, body_end as u64, "the seal does not match"));
        }
        let manifest: Self =
            serde_json::from_str(body).map_err(|e| corrupt(path, 0, format!("is not a manifest: {e}")))?;
        if manifest.format != FORMAT_NAME {
            return Err(corrupt(path, 0, format!("describes a {:?}", manifest.format)));
        }
        if manifest.version != FORMAT_VERSION {
            return Err(Error::State {
                path: path.to_path_buf(),
                what: format!("format version {} is newer than this haul reads ({FORMAT_VERSION})", manifest.version),
                next: "use the haul that wrote it".into(),
                damaged: false,
                source: None,
            });
        }
        Ok(manifest)
    }
}

/// Returns a digest as hexadecimal text.
pub fn hex(digest: &[u8; 32]) -> String {
    blake3::Hash::from_bytes(*digest).to_hex().to_string()
}
