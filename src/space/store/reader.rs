//! Reads a sealed dual-memory store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use zerocopy::FromBytes;

use super::block_view::{AlignedBytes, Block, NodeRef};
use super::layout::{
    ID_ENTRY_BYTES, IDS_MAGIC, INDEX_HEADER_BYTES, IdEntry, MARK_ENTRY_BYTES, MARKS_MAGIC, MarkEntry, MarkKind,
    NO_SEGMENT, TableEntry,
};
use super::manifest::Manifest;
use super::names::{IDS, MARKS, segment_path};
use super::table::{IndexFile, TableReader, corrupt};
use crate::durable::{Disk, RealDisk};
use crate::migration::Error;
use crate::space::log::node_id::{node_id, uuid_v5_of};

/// A sealed store, open for reading.
///
/// ```no_run
/// # fn main() -> Result<(), haul::migration::Error> {
/// let store = haul::space::DualSpace::open("engram-data/default/dual-000001".as_ref())?;
/// if let Some(found) = store.get_by_episode_id("episode_000123")? {
///     println!("{} {:?}", found.id, found.node().content());
/// }
/// for node in store.iter() {
///     let node = node?;
///     assert_eq!(node.node().embedding().len(), 768);
/// }
/// # Ok(())
/// # }
/// ```
pub struct DualSpace {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    manifest: Manifest,
    table: TableReader,
    ids: IndexFile,
    marks: IndexFile,
}

/// A live node and the block that holds it.
#[derive(Debug, Clone)]
pub struct FoundNode {
    /// The node's id; differs from the row's only after rekeying.
    pub id: uuid::Uuid,
    block: Arc<Block>,
    row: u32,
}

impl FoundNode {
    /// Returns the node, borrowed from its block.
    ///
    /// # Panics
    /// Never: the row was checked when the node was found.
    pub fn node(&self) -> NodeRef<'_> {
        self.block.node(self.row).expect("checked when the node was found")
    }

    /// Returns the block that holds the node.
    pub fn block(&self) -> &Arc<Block> {
        &self.block
    }
}

impl DualSpace {
    /// Opens the store in `directory`: checks the manifest's seal and the headers of the indexes.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        Self::open_on(Arc::new(RealDisk), directory)
    }

    /// Opens a store on any disk.
    pub fn open_on(disk: Arc<dyn Disk>, directory: &Path) -> Result<Self, Error> {
        let manifest = Manifest::read(&*disk, directory)?;
        let table = TableReader::open(&*disk, directory)?;
        let ids = IndexFile::open(&*disk, directory.join(IDS), IDS_MAGIC, ID_ENTRY_BYTES)?;
        let marks = IndexFile::open(&*disk, directory.join(MARKS), MARKS_MAGIC, MARK_ENTRY_BYTES)?;
        if ids.count != manifest.nodes || table.len() != manifest.extents {
            return Err(corrupt(directory, 0, "the indexes do not have the lengths that the manifest says"));
        }
        Ok(Self { disk, directory: directory.to_path_buf(), manifest, table, ids, marks })
    }

    /// Returns the manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns the directory of the store.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns the disk it lies on.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// Returns the table of extents and blocks.
    pub fn table(&self) -> &TableReader {
        &self.table
    }

    /// Number of live nodes.
    pub fn len(&self) -> u64 {
        self.ids.count
    }

    /// Returns true if no node is live.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the live node with this id.
    pub fn get(&self, id: &uuid::Uuid) -> Result<Option<FoundNode>, Error> {
        let (mut low, mut high) = (0, self.ids.count);
        while low < high {
            let middle = low + (high - low) / 2;
            let entry = self.id_entry(middle)?;
            match entry.uuid.cmp(id.as_bytes()) {
                std::cmp::Ordering::Equal => return self.found(&entry).map(Some),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }

    /// Returns the live node that was made from this string id.
    pub fn get_by_episode_id(&self, id: &str) -> Result<Option<FoundNode>, Error> {
        for candidate in [node_id(id), uuid_v5_of(id)] {
            if let Some(found) = self.get(&candidate)?
                && found.node().episode_id() == id
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Entry of the id index.
    pub fn id_entry(&self, number: u64) -> Result<IdEntry, Error> {
        let mut bytes = [0; ID_ENTRY_BYTES];
        self.ids.file.read_exact_at(INDEX_HEADER_BYTES + number * ID_ENTRY_BYTES as u64, &mut bytes)?;
        Ok(IdEntry::read_from_bytes(&bytes).expect("the sizes are equal"))
    }

    fn found(&self, entry: &IdEntry) -> Result<FoundNode, Error> {
        let stray = || corrupt(&self.ids.path, 0, "an entry points to a node that is not there");
        if entry.block.get() >= self.table.len() {
            return Err(stray());
        }
        let block = self.block(entry.block.get())?.ok_or_else(stray)?;
        block.node(entry.row.get()).ok_or_else(stray)?;
        Ok(FoundNode { id: uuid::Uuid::from_bytes(entry.uuid), block: Arc::new(block), row: entry.row.get() })
    }

    /// Reads a block and checks its structure; `None` for an extent without one.
    pub fn block(&self, number: u64) -> Result<Option<Block>, Error> {
        self.read_block(&self.table.entry(number)?, AlignedBytes::default())
    }

    /// Reads the block of a table entry into `buffer`.
    pub fn read_block(&self, entry: &TableEntry, mut buffer: AlignedBytes) -> Result<Option<Block>, Error> {
        if entry.segment.get() == NO_SEGMENT {
            return Ok(None);
        }
        let path = segment_path(&self.directory, entry.segment.get());
        let file = self.disk.open_for_read(&path)?;
        let (offset, bytes) = (entry.block_offset.get(), entry.block_bytes.get());
        if offset.checked_add(bytes).is_none_or(|end| file.len().map_or(true, |len| end > len)) {
            return Err(corrupt(&path, offset, "a block reaches past the end of its segment"));
        }
        buffer.resize(bytes as usize);
        file.read_exact_at(offset, buffer.as_mut_slice())?;
        Block::parse(buffer, &path, offset).map(Some)
    }

    /// Returns all live nodes in source order, a block at a time.
    pub fn iter(&self) -> LiveNodes<'_> {
        LiveNodes { store: self, next_block: 0, next_mark: 0, current: Vec::new().into_iter() }
    }

    /// Number of marks.
    pub fn mark_count(&self) -> u64 {
        self.marks.count
    }

    /// Returns the mark of a row, if it has one.
    pub fn mark_of(&self, block: u64, row: u32) -> Result<Option<MarkEntry>, Error> {
        let (mut low, mut high) = (0, self.marks.count);
        while low < high {
            let middle = low + (high - low) / 2;
            let mark = self.mark(middle)?;
            match (mark.block.get(), mark.row.get()).cmp(&(block, row)) {
                std::cmp::Ordering::Equal => return Ok(Some(mark)),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }

    /// Entry of the marks.
    pub fn mark(&self, number: u64) -> Result<MarkEntry, Error> {
        let mut bytes = [0; MARK_ENTRY_BYTES];
        self.marks.file.read_exact_at(INDEX_HEADER_BYTES + number * MARK_ENTRY_BYTES as u64, &mut bytes)?;
        Ok(MarkEntry::read_from_bytes(&bytes).expect("the sizes are equal"))
    }
}

/// Iterator of [`DualSpace::iter`].
pub struct LiveNodes<'a> {
    store: &'a DualSpace,
    next_block: u64,
    next_mark: u64,
    current: std::vec::IntoIter<FoundNode>,
}

impl LiveNodes<'_> {
    /// Returns the live nodes of the next block; `None` after the last.
    fn load(&mut self) -> Result<Option<Vec<FoundNode>>, Error> {
        let number = self.next_block;
        if number == self.store.table.len() {
            return Ok(None);
        }
        self.next_block += 1;
        let Some(block) = self.store.block(number)? else { return Ok(Some(Vec::new())) };
        let block = Arc::new(block);
        let mut live = Vec::with_capacity(block.nodes().len());
        for node in block.nodes() {
            let id = match self.mark_of(number, node.number())? {
                None => node.uuid(),
                Some(mark) if mark.kind.get() == MarkKind::Rekeyed as u32 => uuid::Uuid::from_bytes(mark.uuid),
                Some(_) => continue,
            };
            live.push(FoundNode { id, block: block.clone(), row: node.number() });
        }
        Ok(Some(live))
    }

    fn mark_of(&mut self, block: u64, row: u32) -> Result<Option<MarkEntry>, Error> {
        while self.next_mark < self.store.mark_count() {
            let mark = self.store.mark(self.next_mark)?;
            match (mark.block.get(), mark.row.get()).cmp(&(block, row)) {
                std::cmp::Ordering::Less => self.next_mark += 1,
                std::cmp::Ordering::Equal => return Ok(Some(mark)),
                std::cmp::Ordering::Greater => break,
            }
        }
        Ok(None)
    }
}

impl Iterator for LiveNodes<'_> {
    type Item = Result<FoundNode, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(node) = self.current.next() {
                return Some(Ok(node));
            }
            match self.load() {
                Ok(Some(live)) => self.current = live.into_iter(),
                Ok(None) => return None,
                Err(error) => {
                    self.next_block = self.store.table.len();
                    return Some(Err(error));
                }
            }
        }
    }
}
