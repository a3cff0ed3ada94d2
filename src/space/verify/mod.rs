//! Reads a store, or the source of one, from disk again and compares every digest.
//!
//! The work goes through the engine, so it is parallel, limited, resumable and can be stopped.

mod fault;
mod ids;
pub mod run;

use std::sync::Arc;

use self::fault::wrong;
use self::ids::check_ids;
use super::log::source::WalSource;
use super::log::source::hash_range;
use super::store::block_view::{AlignedBytes, Block};
use super::store::layout::{DIGEST_BYTES, NO_SEGMENT, SEGMENT_HEADER_BYTES, TableEntry, segment_header};
use super::store::manifest::hex;
use super::store::names::{IDS, MARKS, TABLE, segment_path};
use super::store::reader::DualSpace;
use super::store::seal::{TableDigests, file_digest, table_digests};
use super::store::table::TableReader;
use crate::migration::checkpoint::Kind;
use crate::migration::{Error, ResumePoint, Subset};
use crate::pipeline::{
    Admission, Admitted, Commit, Control, Converter, Ended, Options, Reader, StopToken, Writer, run,
};

const GROUP_BYTES_MAX: u64 = 4 << 20;
const GROUP_ENTRIES_MAX: usize = 64;
/// Kind tag of the checkpoint of a verification.
pub const CHECKPOINT_KIND: Kind = Kind { tag: *b"verify\0\0", restart: "verify again" };

/// How much is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, bincode::Encode, bincode::Decode, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Depth {
    /// Manifest, indexes, table, lengths and headers of the segments; no block.
    Quick,
    /// Also the digest of every block.
    Blocks,
    /// Also the original bytes, rebuilt from every block, against the digests and checksums of the source.
    Full,
}

impl Depth {
    /// Returns the name as reports have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Blocks => "blocks",
            Self::Full => "full",
        }
    }
}

/// What a verification covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, bincode::Encode, bincode::Decode, serde::Serialize)]
pub struct Coverage {
    /// Blocks (or source extents) compared.
    pub blocks: u64,
    /// Bytes compared.
    pub bytes: u64,
    /// Node rows in them.
    pub node_rows: u64,
    /// Blocks whose source bytes were rebuilt whole and had the digest of the source.
    pub rebuilt_blocks: u64,
    /// Payloads rebuilt in other blocks, compared with their checksum.
    pub rebuilt_payloads: u64,
}

impl Coverage {
    fn merge(&mut self, other: &Self) {
        self.blocks += other.blocks;
        self.bytes += other.bytes;
        self.node_rows += other.node_rows;
        self.rebuilt_blocks += other.rebuilt_blocks;
        self.rebuilt_payloads += other.rebuilt_payloads;
    }
}

/// What is compared with the table.
enum Subject {
    Store(Arc<DualSpace>, Depth),
    Source(Arc<WalSource>),
}

#[derive(Debug, Clone, PartialEq, Eq, bincode::Encode, bincode::Decode)]
struct VerifyState {
    root: String,
    depth: Depth,
    subset: Subset,
    next: u64,
    coverage: Coverage,
}

/// Verifies a store. With a `place` a stopped verification continues where it was; the place is removed at the end.
/// `Ok(None)`: stopped.
pub fn verify_store(
    store: Arc<DualSpace>,
    depth: Depth,
    subset: Subset,
    place: Option<&ResumePoint>,
    options: &Options,
    control: &Control<'_>,
) -> Result<Option<Coverage>, Error> {
    let Some(()) = Error::unless_stopped(quick(&store, control.stop))? else { return Ok(None) };
    if depth == Depth::Quick {
        return Ok(Some(Coverage::default()));
    }
    let fresh =
        VerifyState { root: store.manifest().root.clone(), depth, subset, next: 0, coverage: Coverage::default() };
    let state = resumed(place, fresh)?;
    let table = TableReader::open(&**store.disk(), store.directory())?;
    let coverage = compare(Subject::Store(store.clone(), depth), &table, subset, state, place, options, control)?;
    let Some(coverage) = coverage else { return Ok(None) };
    if depth == Depth::Full && subset == Subset::ALL {
        let Some(()) = Error::unless_stopped(check_ids(&store, control.stop))? else { return Ok(None) };
    }
    if let Some(place) = place {
        place.forget()?;
    }
    Ok(Some(coverage))
}

/// Proves that the source is what the store was made from. `Ok(None)`: stopped.
pub fn verify_source(
    source: Arc<WalSource>,
    store: &DualSpace,
    options: &Options,
    control: &Control<'_>,
) -> Result<Option<Coverage>, Error> {
    let sources = &store.manifest().sources;
    let named: Vec<_> = source.names().iter().zip(source.files()).collect();
    for expected in sources {
        let found = named.iter().find(|(name, _)| **name == expected.name);
        let Some((_, file)) = found else {
            return Err(differs(format!("{} is gone", source.directory().join(&expected.name).display())));
        };
        let bytes = file.identity().len_bytes;
        if bytes != expected.bytes {
            let what = format!("{} holds {bytes} bytes where {} were migrated", file.path().display(), expected.bytes);
            return Err(differs(what));
        }
    }
    if let Some((_, extra)) = named.iter().find(|(name, _)| sources.iter().all(|known| known.name != **name)) {
        return Err(differs(format!("{} was not there at the migration", extra.path().display())));
    }
    let table = TableReader::open(&**store.disk(), store.directory())?;
    let Some(_) = Error::unless_stopped(check_table(store, &table, control.stop))? else { return Ok(None) };
    let state = VerifyState {
        root: store.manifest().root.clone(),
        depth: Depth::Blocks,
        subset: Subset::ALL,
        next: 0,
        coverage: Coverage::default(),
    };
    compare(Subject::Source(source), &table, Subset::ALL, state, None, options, control)
}

fn differs(what: String) -> Error {
    Error::Verification {
        what,
        next: "the log is not what was migrated: find out who changed it before choosing which store to use".into(),
        source: None,
    }
}

/// Everything but the blocks: seal, digests of the indexes, table against manifest, lengths and headers of the segments.
fn quick(store: &DualSpace, stop: &StopToken) -> Result<(), Error> {
    let manifest = store.manifest();
    let (disk, directory) = (&**store.disk(), store.directory());
    for name in [TABLE, IDS, MARKS] {
        let found = file_digest(disk, directory, name, stop)?;
        if !manifest.indexes.contains(&found) {
            return Err(wrong(directory.join(name), "its digest is not that of the manifest"));
        }
    }
    let digests = check_table(store, store.table(), stop)?;
    for (number, segment) in manifest.segments.iter().enumerate() {
        let path = segment_path(directory, number as u32);
        let file = disk.open_for_read(&path)?;
        let bytes = file.len()?;
        if bytes != segment.bytes {
            return Err(wrong(path, &format!("holds {bytes} bytes where the manifest says {}", segment.bytes)));
        }
        let mut header = [0; SEGMENT_HEADER_BYTES as usize];
        file.read_exact_at(0, &mut header)?;
        if header != segment_header(number as u32) {
            return Err(wrong(path, "its header is not that of this segment"));
        }
        if digests.segments.get(number).is_some_and(|digest| hex(digest) != segment.digest) {
            return Err(wrong(path, "the digest of its blocks is not that of the manifest"));
        }
    }
    Ok(())
}

/// Checks that the table has the root in the manifest and that its extents cover the source files.
fn check_table(store: &DualSpace, table: &TableReader, stop: &StopToken) -> Result<TableDigests, Error> {
    let manifest = store.manifest();
    let sources: Vec<_> = manifest.sources.iter().map(|file| (file.name.clone(), file.bytes)).collect();
    let digests = table_digests(table, &sources, stop).map_err(|error| match error {
        Error::Accounting { what } => wrong(table.path().to_path_buf(), &what),
        other => other,
    })?;
    if hex(&digests.root) != manifest.root {
        return Err(wrong(table.path().to_path_buf(), "its root is not that of the manifest"));
    }
    Ok(digests)
}

fn resumed(place: Option<&ResumePoint>, fresh: VerifyState) -> Result<VerifyState, Error> {
    let Some(place) = place else { return Ok(fresh) };
    let saved: Option<VerifyState> = place.load()?;
    Ok(saved
        .filter(|saved| saved.root == fresh.root && saved.depth == fresh.depth && saved.subset == fresh.subset)
        .unwrap_or(fresh))
}

fn compare(
    subject: Subject,
    table: &TableReader,
    subset: Subset,
    state: VerifyState,
    place: Option<&ResumePoint>,
    options: &Options,
    control: &Control<'_>,
) -> Result<Option<Coverage>, Error> {
    let reader = EntryReader { table, next: state.next, subset, in_source: matches!(subject, Subject::Source(_)) };
    let converter = Comparison { subject, stop: control.stop.clone() };
    let mut writer = Tally { state, place };
    match run(reader, &converter, &mut writer, options, control)? {
        Ended::Complete => Ok(Some(writer.state.coverage)),
        Ended::Stopped => Ok(None),
    }
}

struct Group {
    entries: Vec<(u64, TableEntry)>,
    next: u64,
}

struct EntryReader<'a> {
    table: &'a TableReader,
    next: u64,
    subset: Subset,
    in_source: bool,
}

impl EntryReader<'_> {
    fn bytes_of(&self, entry: &TableEntry) -> u64 {
        if self.in_source { entry.source_bytes.get() } else { entry.block_bytes.get() }
    }
}

impl Reader for EntryReader<'_> {
    type Batch = Group;
    type Error = Error;

    fn next(&mut self, admission: &Admission) -> Result<Option<Admitted<Group>>, Error> {
        let (mut entries, mut bytes, mut bytes_max, mut rows) = (Vec::new(), 0, 0, 0);
        while self.next < self.table.len() && entries.len() < GROUP_ENTRIES_MAX && bytes < GROUP_BYTES_MAX {
            let number = self.next;
            self.next += 1;
            if !self.subset.covers(number) {
                continue;
            }
            let entry = self.table.entry(number)?;
            bytes += self.bytes_of(&entry);
            bytes_max = bytes_max.max(self.bytes_of(&entry));
            rows += u64::from(entry.node_rows.get() + entry.other_rows.get());
            entries.push((number, entry));
        }
        if entries.is_empty() {
            return Ok(None);
        }
        // Blocks are read one at a time; a rebuilt one is about as large as the block.
        let Some(permit) = admission.acquire(2 * bytes_max) else { return Ok(None) };
        let batch = Group { entries, next: self.next };
        Ok(Some(Admitted { batch, permit, records: rows, source_bytes: bytes }))
    }
}

struct Comparison {
    subject: Subject,
    stop: StopToken,
}

#[derive(Default)]
struct Buffers {
    block: AlignedBytes,
    rebuilt: Vec<u8>,
}

impl Converter for Comparison {
    type Batch = Group;
    type Output = (Coverage, u64);
    type Scratch = Buffers;
    type Error = Error;

    fn convert(&self, buffers: &mut Buffers, group: Group) -> Result<(Coverage, u64), Error> {
        let mut coverage = Coverage::default();
        for (number, entry) in &group.entries {
            match &self.subject {
                Subject::Source(source) => compare_source(source, entry, &self.stop, &mut coverage)?,
                Subject::Store(store, depth) => compare_block(store, *depth, *number, entry, buffers, &mut coverage)?,
            }
        }
        Ok((coverage, group.next))
    }
}

fn compare_source(
    source: &WalSource,
    entry: &TableEntry,
    stop: &StopToken,
    coverage: &mut Coverage,
) -> Result<(), Error> {
    let file = &source.files()[entry.source_file.get() as usize];
    let (offset, bytes) = (entry.source_offset.get(), entry.source_bytes.get());
    let digest = if entry.segment.get() == NO_SEGMENT {
        hash_range(file, offset, bytes, stop)?
    } else {
        *blake3::hash(&file.window(offset, bytes as usize)?).as_bytes()
    };
    if digest != entry.source_digest {
        let path = file.path().display();
        return Err(differs(format!("{path}: {bytes} bytes at offset {offset} are not what was migrated")));
    }
    coverage.blocks += 1;
    coverage.bytes += bytes;
    Ok(())
}

fn compare_block(
    store: &DualSpace,
    depth: Depth,
    number: u64,
    entry: &TableEntry,
    buffers: &mut Buffers,
    coverage: &mut Coverage,
) -> Result<(), Error> {
    let buffer = std::mem::take(&mut buffers.block);
    let Some(block) = store.read_block(entry, buffer)? else { return Ok(()) };
    let at_fault = |what: &str| {
        let path = segment_path(store.directory(), entry.segment.get());
        wrong(path, &format!("block {number} at offset {}: {what}", entry.block_offset.get()))
    };
    let header = block.header();
    if block.digest() != entry.block_digest || !block.digest_matches() {
        return Err(at_fault("its digest does not match"));
    }
    let described = (header.block.get(), header.source_offset, header.source_bytes, header.source_digest);
    if described != (number, entry.source_offset, entry.source_bytes, entry.source_digest) {
        return Err(at_fault("it is not the block that the table describes"));
    }
    if depth == Depth::Full {
        rebuild(&block, &mut buffers.rebuilt, coverage).map_err(|what| at_fault(&what))?;
    }
    coverage.blocks += 1;
    coverage.bytes += entry.block_bytes.get();
    coverage.node_rows += u64::from(entry.node_rows.get());
    buffers.block = block.into_bytes();
    Ok(())
}

/// Rebuilds the original bytes and compares them with the digest of the source, or payload by payload with the checksum
/// of the log where a record of the block was left out.
fn rebuild(block: &Block, rebuilt: &mut Vec<u8>, coverage: &mut Coverage) -> Result<(), String> {
    rebuilt.clear();
    if block.rebuilds_source() {
        block.append_source(rebuilt);
        let digest: [u8; DIGEST_BYTES] = *blake3::hash(rebuilt).as_bytes();
        if digest != block.header().source_digest {
            return Err("its records do not give back the bytes of the source".into());
        }
        coverage.rebuilt_blocks += 1;
        return Ok(());
    }
    for (number, row) in block.rows().iter().enumerate() {
        rebuilt.clear();
        block.append_payload(number as u32, rebuilt);
        if crc32c::crc32c(rebuilt) != row.payload_crc.get() {
            return Err(format!("row {number} does not give back its payload"));
        }
        coverage.rebuilt_payloads += 1;
    }
    Ok(())
}

struct Tally<'a> {
    state: VerifyState,
    place: Option<&'a ResumePoint>,
}

impl<'a> Writer for Tally<'a> {
    type Output = (Coverage, u64);
    type Error = Error;
    type Commit = SaveState<'a>;
    const MIGRATES: bool = false;

    fn write(&mut self, (coverage, next): (Coverage, u64)) -> Result<(), Error> {
        self.state.coverage.merge(&coverage);
        self.state.next = next;
        Ok(())
    }

    fn commit_point(&mut self) -> Result<SaveState<'a>, Error> {
        Ok(SaveState { state: self.state.clone(), place: self.place })
    }
}

struct SaveState<'a> {
    state: VerifyState,
    place: Option<&'a ResumePoint>,
}

impl Commit for SaveState<'_> {
    type Error = Error;

    fn commit(self) -> Result<(), Error> {
        self.place.map_or(Ok(()), |place| place.store(&self.state))
    }
}
