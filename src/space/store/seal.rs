//! Completes a staged store: digests of all files, root over the table, the sealed manifest.

use std::path::Path;

use zerocopy::IntoBytes;

use super::layout::{FORMAT_VERSION, NO_SEGMENT, TableEntry};
use super::manifest::{FORMAT_NAME, FileDigest, Manifest, hex};
use super::merkle::MerkleTree;
use super::names::{IDS, MANIFEST, MARKS, TABLE, segment_name, segment_path};
use super::table::{TableReader, corrupt};
use crate::durable::{self, Disk, ITEMS_MAX, replace_file};
use crate::migration::{Error, OutcomeCounts, SourceBytes, check_stop};
use crate::pipeline::StopToken;
use crate::space::outcome::Counts;
use crate::space::policy::Policies;

/// What a manifest says besides what the staged files tell.
pub struct SealInput<'a> {
    /// Number of the last segment.
    pub last_segment: u32,
    /// Rows that are nodes, live or not.
    pub node_rows: u64,
    /// Records of the log.
    pub records: u64,
    /// Bytes of the log by what they are.
    pub source_bytes: SourceBytes,
    /// Outcomes of all records.
    pub counts: Counts,
    /// The rules.
    pub policies: Policies,
    /// Names and lengths of the source files.
    pub sources: &'a [(String, u64)],
    /// Ends the seal early, with an error.
    pub stop: &'a StopToken,
}

/// Digests that follow from the table alone.
#[derive(Debug, Default)]
pub struct TableDigests {
    /// Merkle root over the entries.
    pub root: [u8; 32],
    /// For each segment the BLAKE3 over the digests of its blocks.
    pub segments: Vec<[u8; 32]>,
    /// For each source file the BLAKE3 over length (u64) and digest of each extent.
    pub sources: Vec<[u8; 32]>,
}

/// Walks the table and checks that its extents cover the source files whole.
pub fn table_digests(table: &TableReader, sources: &[(String, u64)], stop: &StopToken) -> Result<TableDigests, Error> {
    let mut tree = MerkleTree::default();
    let mut segments: Vec<blake3::Hasher> = Vec::new();
    let mut files = vec![(blake3::Hasher::new(), 0_u64); sources.len()];
    for (number, entry) in table.entries().enumerate() {
        let entry = entry?;
        if number.is_multiple_of(ITEMS_MAX as usize) {
            check_stop(stop)?;
        }
        tree.push(entry.as_bytes());
        add_segment(&mut segments, &entry).ok_or_else(|| misplaced(table, number))?;
        let (hasher, end) = files.get_mut(entry.source_file.get() as usize).ok_or_else(|| misplaced(table, number))?;
        if entry.source_offset.get() != *end {
            return Err(misplaced(table, number));
        }
        *end = end.checked_add(entry.source_bytes.get()).ok_or_else(|| misplaced(table, number))?;
        hasher.update(entry.source_bytes.as_bytes()).update(&entry.source_digest);
    }
    for ((_, end), (name, len_bytes)) in files.iter().zip(sources) {
        if end != len_bytes {
            return Err(Error::Accounting { what: format!("{name}: {end} bytes covered of {len_bytes}") });
        }
    }
    let finalize = |hasher: &blake3::Hasher| *hasher.finalize().as_bytes();
    Ok(TableDigests {
        root: tree.root(),
        segments: segments.iter().map(finalize).collect(),
        sources: files.iter().map(|(hasher, _)| finalize(hasher)).collect(),
    })
}

fn add_segment(segments: &mut Vec<blake3::Hasher>, entry: &TableEntry) -> Option<()> {
    let number = entry.segment.get();
    if number == NO_SEGMENT {
        return Some(());
    }
    if number as usize == segments.len() {
        segments.push(blake3::Hasher::new());
    }
    // The writer fills one segment after the other, so an entry in an earlier one means that the table is wrong.
    (number as usize + 1 == segments.len()).then(|| {
        segments.last_mut().expect("just counted").update(&entry.block_digest);
    })
}

fn misplaced(table: &TableReader, number: usize) -> Error {
    corrupt(table.path(), number as u64, "an entry is out of place")
}

/// Writes the manifest durably and returns it. Everything else of the store is synced by now.
pub fn seal(disk: &dyn Disk, staging: &Path, input: &SealInput<'_>) -> Result<Manifest, Error> {
    let table = TableReader::open(disk, staging)?;
    let digests = table_digests(&table, input.sources, input.stop)?;
    let mut segments = Vec::new();
    for segment in 0..=input.last_segment {
        let bytes = disk.open_for_read(&segment_path(staging, segment))?.len()?;
        let digest = digests.segments.get(segment as usize).copied();
        let digest = digest.unwrap_or_else(|| *blake3::hash(b"").as_bytes());
        segments.push(FileDigest { name: segment_name(segment), bytes, digest: hex(&digest) });
    }
    let indexes = [TABLE, IDS, MARKS]
        .iter()
        .map(|name| file_digest(disk, staging, name, input.stop))
        .collect::<Result<Vec<_>, _>>()?;
    let sources = input
        .sources
        .iter()
        .zip(&digests.sources)
        .map(|((name, bytes), digest)| FileDigest { name: name.clone(), bytes: *bytes, digest: hex(digest) })
        .collect();
    let manifest = Manifest {
        format: FORMAT_NAME.into(),
        version: FORMAT_VERSION,
        nodes: input.counts.migrated,
        node_rows: input.node_rows,
        records: input.records,
        counts: input.counts,
        source_bytes: input.source_bytes,
        policies: input.policies,
        extents: table.len(),
        root: hex(&digests.root),
        segments,
        indexes,
        sources,
    };
    check_identities(&manifest)?;
    replace_file(disk, &staging.join(MANIFEST), &manifest.encode())?;
    Ok(manifest)
}

/// Both identities of docs/source-engram.md, "Outcomes and sums": outcomes against records, bytes against file lengths.
fn check_identities(manifest: &Manifest) -> Result<(), Error> {
    manifest.counts.check_sum(manifest.records)?;
    let bytes: &SourceBytes = &manifest.source_bytes;
    bytes.check_sum()?;
    let total: u64 = manifest.sources.iter().map(|file| file.bytes).sum();
    if bytes.total != total {
        return Err(Error::Accounting { what: format!("{} bytes read of {total} in the source", bytes.total) });
    }
    Ok(())
}

/// BLAKE3 of a whole file of a store.
pub fn file_digest(disk: &dyn Disk, directory: &Path, name: &str, stop: &StopToken) -> Result<FileDigest, Error> {
    let file = durable::file_digest(disk, &directory.join(name), &stop.check())?;
    Ok(FileDigest { name: name.to_owned(), bytes: file.len_bytes, digest: hex(&file.digest) })
}
