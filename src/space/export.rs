//! Writes the live nodes of a store back as a log that Engram reads.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;

use super::current_store::choose_store;
use super::log::wal::{EntryKind, append_record, wal_file_name};
use super::paths::SpacePaths;
use super::state::CHECKPOINT_KIND;
use super::store::block_view::{Block, NodeRef};
use super::store::layout::RowKind;
use super::store::names::segment_path;
use super::store::reader::DualSpace;
use crate::durable::{
    Disk, DiskFile, EntryKind as DiskEntryKind, NewModes, create_directory_durable, remove_tree, with_modes,
};
use crate::migration::{DIRECTORY_LOCK, DirectoryLocks, Error, LockedRun};
use crate::pipeline::{Control, Expected, Phase};

/// Name of the log until it is whole. Engram does not read it.
const TEMPORARY: &str = ".export.tmp";
const CHUNK_BYTES: usize = 4 << 20;
const NANOS_A_SECOND: u64 = 1_000_000_000;

/// What an export wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExportEnd {
    /// The store that was read.
    pub store: String,
    /// Records in the log.
    pub records: u64,
    /// Memories among them. Engram ignores them when it replays the log.
    pub memories: u64,
    /// Length of the log.
    pub bytes: u64,
    /// The log file.
    pub path: PathBuf,
    /// True if the export was asked to stop. It leaves no log then.
    pub stopped: bool,
}

/// Writes `<to>/wal/wal-….log` with the original payload of every live node, in the order of the store: the one of the name
/// `store`, else the live one, else that of the last run. `to` must not exist or be empty.
///
/// The file is named after its newest record, so that equal stores give equal exports. It gets its name when it is whole
/// and durable.
pub fn export(
    disk: Arc<dyn Disk>,
    paths: &SpacePaths,
    store: Option<&str>,
    to: &Path,
    control: &Control<'_>,
) -> Result<ExportEnd, Error> {
    let name = choose_store(&*disk, paths, store)?;
    refuse_within_log(paths, to)?;
    let disk = paths.limited(&disk)?;
    let held = LockedRun::create_if_writable(&disk, &paths.run_directory(), CHECKPOINT_KIND)?;
    let opened = DualSpace::open_on(disk.clone(), &paths.store(&name))?;
    let existed = disk.kind(to)?.is_some();
    check_unused(&*disk, to)?;
    // The log may be gone or have other permissions by now.
    let disk = with_modes(&disk, store_modes(&*disk, &paths.store(&name))?);
    create_directory_durable(&*disk, to)?;
    // Another space may be exported to the same directory.
    let _locks = DirectoryLocks::of_files(&*disk, &[to.join("wal")])?;
    let target = Target::prepare(disk.clone(), to, existed)?;
    let written =
        control.phase(Phase::Export, Expected::records(opened.len()), || write_log(&opened, &target, control));
    let mut end = match written {
        Ok(Some(end)) => end,
        Ok(None) => {
            target.discard()?;
            return Ok(ExportEnd {
                path: to.to_path_buf(),
                stopped: true,
                store: name,
                records: 0,
                memories: 0,
                bytes: 0,
            });
        }
        Err(error) => {
            // The first error matters more than a failed clean-up: the next attempt removes what is left.
            let _ = target.discard();
            return Err(error);
        }
    };
    end.store = name;
    if let Some(held) = held {
        held.note(None, "exported", json!(end))?;
    }
    Ok(end)
}

/// Returns what those may do who may read the store.
fn store_modes(disk: &dyn Disk, store: &Path) -> Result<NewModes, Error> {
    if !disk.is_system() {
        return Ok(NewModes::ANY);
    }
    Ok(NewModes::of_sources([store.to_path_buf(), segment_path(store, 0)])?)
}

/// The source is never written to, whatever the operator types.
fn refuse_within_log(paths: &SpacePaths, to: &Path) -> Result<(), Error> {
    let Ok(log) = paths.log().canonicalize() else { return Ok(()) };
    let absolute = std::path::absolute(to).unwrap_or_else(|_| to.to_path_buf());
    let existing = absolute.ancestors().find_map(|above| above.canonicalize().ok());
    if existing.is_some_and(|existing| existing.starts_with(&log)) {
        return Err(Error::Usage {
            what: format!("{} lies within the log of the space", to.display()),
            next: "export to another directory".into(),
        });
    }
    Ok(())
}

/// The directory of an export, which is empty but for what an earlier attempt left.
struct Target {
    disk: Arc<dyn Disk>,
    /// The uppermost directory that the export created. It is removed if the export fails.
    created: PathBuf,
    wal: PathBuf,
}

impl Target {
    /// `existed` is true if the directory was there before the export.
    fn prepare(disk: Arc<dyn Disk>, to: &Path, existed: bool) -> Result<Self, Error> {
        let wal = to.join("wal");
        check_unused(&*disk, to)?;
        remove_tree(&*disk, &wal.join(TEMPORARY))?;
        create_directory_durable(&*disk, &wal)?;
        let created = if existed { wal.clone() } else { to.to_path_buf() };
        Ok(Self { disk, created, wal })
    }

    fn temporary(&self) -> PathBuf {
        self.wal.join(TEMPORARY)
    }

    fn discard(&self) -> Result<(), Error> {
        Ok(remove_tree(&*self.disk, &self.created)?)
    }
}

fn check_unused(disk: &dyn Disk, to: &Path) -> Result<(), Error> {
    if disk.kind(to)?.is_none() || is_unused(disk, to)? {
        return Ok(());
    }
    Err(Error::Usage {
        what: format!("{} is not an empty directory", to.display()),
        next: "export to a directory that does not exist yet".into(),
    })
}

/// Returns true for an empty directory, or one that holds only the remains of an export that was killed.
fn is_unused(disk: &dyn Disk, to: &Path) -> Result<bool, Error> {
    if disk.kind(to)? != Some(DiskEntryKind::Directory) {
        return Ok(false);
    }
    for entry in disk.list(to)?.into_iter().filter(|entry| entry.name != DIRECTORY_LOCK) {
        if entry.name != "wal" || entry.kind != DiskEntryKind::Directory {
            return Ok(false);
        }
        if disk.list(&to.join("wal"))?.iter().any(|entry| entry.name != OsStr::new(TEMPORARY)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Writes, syncs and names the log. `Ok(None)`: stopped.
fn write_log(store: &DualSpace, target: &Target, control: &Control<'_>) -> Result<Option<ExportEnd>, Error> {
    let mut log = LogWriter::new(target.disk.create_file(&target.temporary())?);
    let mut block_checked: Option<Arc<Block>> = None;
    for found in store.iter() {
        let found = found?;
        if block_checked.as_ref().is_none_or(|block| !Arc::ptr_eq(block, found.block())) {
            if control.stop.is_requested() {
                return Ok(None);
            }
            log.flush_if_full(control)?;
            check_block(store, found.block())?;
            block_checked = Some(found.block().clone());
        }
        log.append(&found.node());
    }
    log.flush(control)?;
    log.file.sync()?;
    let path = target.wal.join(wal_file_name(log.newest_ns / NANOS_A_SECOND));
    target.disk.rename(&target.temporary(), &path)?;
    target.disk.sync_directory(&target.wal)?;
    Ok(Some(ExportEnd {
        store: String::new(),
        records: log.records,
        memories: log.memories,
        bytes: log.written_bytes,
        path,
        stopped: false,
    }))
}

/// Nothing is exported from a block whose bytes are not what was sealed.
fn check_block(store: &DualSpace, block: &Block) -> Result<(), Error> {
    let entry = store.table().entry(block.header().block.get())?;
    if block.digest_matches() && block.digest() == entry.block_digest {
        return Ok(());
    }
    Err(Error::Corrupt {
        path: segment_path(store.directory(), entry.segment.get()),
        offset: entry.block_offset.get(),
        what: "the digest of a block does not match".into(),
        next: "run `haul space verify` to see what is damaged; the log may still be live with `haul space rollback`"
            .into(),
        source: None,
    })
}

struct LogWriter {
    file: Arc<dyn DiskFile>,
    chunk: Vec<u8>,
    chunk_records: u64,
    written_bytes: u64,
    records: u64,
    memories: u64,
    newest_ns: u64,
}

impl LogWriter {
    fn new(file: Arc<dyn DiskFile>) -> Self {
        Self { file, chunk: Vec::new(), chunk_records: 0, written_bytes: 0, records: 0, memories: 0, newest_ns: 0 }
    }

    fn append(&mut self, node: &NodeRef<'_>) {
        let is_memory = node.kind() == RowKind::Memory;
        let kind = if is_memory { EntryKind::Update } else { EntryKind::Store };
        let timestamp_ns = node.row().wal_timestamp_ns.get();
        append_record(&mut self.chunk, self.records, timestamp_ns, kind.entry_type(), &node.payload());
        self.records += 1;
        self.chunk_records += 1;
        self.memories += u64::from(is_memory);
        self.newest_ns = self.newest_ns.max(timestamp_ns);
    }

    fn flush_if_full(&mut self, control: &Control<'_>) -> Result<(), Error> {
        if self.chunk.len() < CHUNK_BYTES { Ok(()) } else { self.flush(control) }
    }

    fn flush(&mut self, control: &Control<'_>) -> Result<(), Error> {
        self.file.write_all_at(self.written_bytes, &self.chunk)?;
        self.file.start_writeback(self.written_bytes, self.chunk.len() as u64);
        self.written_bytes += self.chunk.len() as u64;
        control.progress(self.chunk_records, self.chunk.len() as u64);
        self.chunk.clear();
        self.chunk_records = 0;
        Ok(())
    }
}
