//! Writes the live nodes of a store back as a log that Engram reads.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;

use super::apart::check_export_apart;
use super::current_store::choose_store;
use super::log::wal::{EntryKind, MAGIC_BYTES, append_record, wal_file_name};
use super::paths::SpacePaths;
use super::state::CHECKPOINT_KIND;
use super::store::block_view::{Block, NodeRef};
use super::store::layout::RowKind;
use super::store::names::segment_path;
use super::store::reader::DualSpace;
use crate::durable::{
    Disk, DiskFile, EntryKind as DiskEntryKind, Link, NewModes, create_directory_durable, with_modes,
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
    if disk.is_system() {
        check_export_apart(paths, to)?;
    }
    let disk = paths.limited(&disk)?;
    let held = LockedRun::create_if_writable(&disk, &paths.run_directory(), CHECKPOINT_KIND)?;
    let opened = DualSpace::open_on(disk.clone(), &paths.store(&name))?;
    let existed = disk.kind(to)?.is_some();
    check_unused(&*disk, to)?;
    // The log may be gone or have other permissions by now.
    let disk = with_modes(&disk, store_modes(&*disk, &paths.store(&name))?);
    create_directory_durable(&*disk, to)?;
    // Another space may be exported to the same directory.
    let locks = DirectoryLocks::of_files(&*disk, &[to.join("wal")])?;
    // No link that takes the place of wal/ meanwhile leads the log elsewhere.
    let into = disk.anchored(to, Link::Followed)?.unwrap_or_else(|| disk.clone());
    let exported = export_under_lock(&into, &opened, to, control);
    drop(locks);
    if !existed && !matches!(exported, Ok(Some(_))) {
        // It stays if somebody has put something there meanwhile.
        let _ = disk.remove_directory(to);
    }
    let end = match exported? {
        Some(end) => ExportEnd { store: name, ..end },
        None => {
            let (path, stopped) = (to.to_path_buf(), true);
            return Ok(ExportEnd { path, stopped, store: name, records: 0, memories: 0, bytes: 0 });
        }
    };
    if let Some(held) = held {
        held.note(None, "exported", json!(end))?;
    }
    Ok(end)
}

/// Writes the log. If it is not completed, only what was there before remains. `None`: stopped.
fn export_under_lock(
    disk: &Arc<dyn Disk>,
    opened: &DualSpace,
    to: &Path,
    control: &Control<'_>,
) -> Result<Option<ExportEnd>, Error> {
    let target = Target::prepare(&**disk, to)?;
    let written = control.phase(Phase::Export, Expected::records(opened.len()), || write_log(opened, &target, control));
    match written {
        Ok(Some(end)) => Ok(Some(end)),
        Ok(None) => target.discard().map(|()| None),
        Err(error) => {
            // The first error matters more than a failed clean-up: the next attempt removes what is left.
            let _ = target.discard();
            Err(error)
        }
    }
}

/// Returns what those may do who may read the store.
fn store_modes(disk: &dyn Disk, store: &Path) -> Result<NewModes, Error> {
    if !disk.is_system() {
        return Ok(NewModes::ANY);
    }
    Ok(NewModes::of_sources([store.to_path_buf(), segment_path(store, 0)])?)
}

/// The directory of an export, which is empty but for what an earlier attempt left.
struct Target<'a> {
    disk: &'a dyn Disk,
    wal: PathBuf,
    /// True if the directory of the log was there before the export.
    wal_existed: bool,
    /// The log under its temporary name, which this export has created.
    file: Arc<dyn DiskFile>,
}

impl<'a> Target<'a> {
    fn prepare(disk: &'a dyn Disk, to: &Path) -> Result<Self, Error> {
        let wal = to.join("wal");
        // Looked at again under the lock.
        check_unused(disk, to)?;
        let wal_existed = disk.kind(&wal)?.is_some();
        create_directory_durable(disk, &wal)?;
        let temporary = wal.join(TEMPORARY);
        if disk.kind(&temporary)?.is_some() {
            disk.remove_file(&temporary)?;
        }
        let file = disk.create_file(&temporary)?;
        Ok(Self { disk, wal, wal_existed, file })
    }

    fn temporary(&self) -> PathBuf {
        self.wal.join(TEMPORARY)
    }

    /// Removes what this export has made, and nothing that somebody has put there meanwhile.
    fn discard(&self) -> Result<(), Error> {
        if self.disk.kind(&self.temporary())?.is_some() {
            self.disk.remove_file(&self.temporary())?;
        }
        match self.wal_existed || !self.disk.list(&self.wal)?.is_empty() {
            true => Ok(()),
            false => Ok(self.disk.remove_directory(&self.wal)?),
        }
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
        let wal = to.join("wal");
        for entry in disk.list(&wal)? {
            let is_file = entry.name == TEMPORARY && entry.kind == DiskEntryKind::File;
            if !is_file || !begins_like_a_log(disk, &wal.join(TEMPORARY))? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Returns true for a file that an export may have begun to write. A crash may leave zeros at its start.
fn begins_like_a_log(disk: &dyn Disk, path: &Path) -> Result<bool, Error> {
    let file = disk.open_for_read(path)?;
    let mut first = MAGIC_BYTES;
    let found_bytes = file.len()?.min(first.len() as u64) as usize;
    file.read_exact_at(0, &mut first[..found_bytes])?;
    Ok(first == MAGIC_BYTES || first[..found_bytes].iter().all(|&byte| byte == 0))
}

/// Writes, syncs and names the log. `Ok(None)`: stopped.
fn write_log(store: &DualSpace, target: &Target<'_>, control: &Control<'_>) -> Result<Option<ExportEnd>, Error> {
    let mut log = LogWriter::new(target.file.clone());
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
