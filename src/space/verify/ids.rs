//! Holds the id index of a store against its rows and marks.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::mem::offset_of;
use std::sync::Arc;

use super::fault::wrong;
use crate::durable::DiskFile;
use crate::migration::{Error, check_stop};
use crate::pipeline::StopToken;
use crate::space::store::layout::{BLOCK_HEADER_BYTES, MarkKind, ROW_BYTES, Row};
use crate::space::store::names::{IDS, segment_path};
use crate::space::store::reader::DualSpace;

/// Every id is in order and points to a row that is live under it, and there are as many ids as live rows: so each live
/// row is found under its id.
pub(super) fn check_ids(store: &DualSpace, stop: &StopToken) -> Result<(), Error> {
    let path = store.directory().join(IDS);
    let mut rows = RowIds::new(store);
    let mut previous: Option<[u8; 16]> = None;
    for number in 0..store.len() {
        check_stop(stop)?;
        let entry = store.id_entry(number)?;
        if previous.is_some_and(|previous| previous >= entry.uuid) {
            return Err(wrong(path, &format!("entry {number} is out of order")));
        }
        previous = Some(entry.uuid);
        if rows.live_id(entry.block.get(), entry.row.get())? != Some(entry.uuid) {
            return Err(wrong(path, &format!("entry {number} points to a row that is not live under its id")));
        }
    }
    let mut dead = 0;
    for number in 0..store.mark_count() {
        check_stop(stop)?;
        dead += u64::from(store.mark(number)?.kind.get() != MarkKind::Rekeyed as u32);
    }
    if store.len() + dead != store.manifest().node_rows {
        let rows = store.manifest().node_rows;
        return Err(wrong(path, &format!("{} entries and {dead} rows marked dead for {rows} rows", store.len())));
    }
    Ok(())
}

/// Node ids of single rows, read one by one.
struct RowIds<'a> {
    store: &'a DualSpace,
    segments: HashMap<u32, Arc<dyn DiskFile>>,
}

impl<'a> RowIds<'a> {
    const SEGMENTS_OPEN_MAX: usize = 64;

    fn new(store: &'a DualSpace) -> Self {
        Self { store, segments: HashMap::new() }
    }

    /// Returns the id under which a row is live; `None` if it is not, or if there is no such row.
    fn live_id(&mut self, block: u64, row: u32) -> Result<Option<[u8; 16]>, Error> {
        if block >= self.store.table().len() {
            return Ok(None);
        }
        let entry = self.store.table().entry(block)?;
        if row >= entry.node_rows.get() {
            return Ok(None);
        }
        if let Some(mark) = self.store.mark_of(block, row)? {
            return Ok((mark.kind.get() == MarkKind::Rekeyed as u32).then_some(mark.uuid));
        }
        let offset = entry.block_offset.get() + (BLOCK_HEADER_BYTES + row as usize * ROW_BYTES) as u64;
        let mut uuid = [0; 16];
        self.segment(entry.segment.get())?.read_exact_at(offset + offset_of!(Row, uuid) as u64, &mut uuid)?;
        Ok(Some(uuid))
    }

    fn segment(&mut self, number: u32) -> Result<&Arc<dyn DiskFile>, Error> {
        if self.segments.len() >= Self::SEGMENTS_OPEN_MAX && !self.segments.contains_key(&number) {
            self.segments.clear();
        }
        Ok(match self.segments.entry(number) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(closed) => {
                let path = segment_path(self.store.directory(), number);
                closed.insert(self.store.disk().open_for_read(&path)?)
            }
        })
    }
}
