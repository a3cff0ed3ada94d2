//! A file of the simulated disk: its cached state, its durable state, and the changes between them.

use std::sync::Arc;

/// The permission bits of a new file.
pub(super) const NEW_FILE_MODE: u32 = 0o644;

/// A change of a file.
#[derive(Clone)]
pub(super) enum Change {
    Write { offset: u64, bytes: Arc<[u8]> },
    SetLen(u64),
    SetMode(u32),
}

impl Change {
    pub(super) fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => write_at(content, *offset as usize, bytes),
            Self::SetLen(len) => content.resize(*len as usize, 0),
            Self::SetMode(_) => {}
        }
    }
}

pub(super) fn write_at(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

#[derive(Clone)]
pub(super) struct FileNode {
    pub(super) durable: Arc<Vec<u8>>,
    pub(super) durable_mode: u32,
    pub(super) cached: Arc<Vec<u8>>,
    pub(super) cached_mode: u32,
    /// The changes from durable to cached, each with its position in the order of all changes of the tree.
    pub(super) unsynced: Vec<(u64, Change)>,
    /// The last loss of the tree that affected this file.
    pub(super) last_loss: u64,
}

impl FileNode {
    /// Creates an empty file without changes.
    pub(super) fn new() -> Self {
        Self::settled(Arc::default(), NEW_FILE_MODE)
    }

    /// Creates a file of which everything is durable.
    pub(super) fn settled(content: Arc<Vec<u8>>, mode: u32) -> Self {
        Self {
            durable: content.clone(),
            durable_mode: mode,
            cached: content,
            cached_mode: mode,
            unsynced: Vec::new(),
            last_loss: 0,
        }
    }

    pub(super) fn change(&mut self, place: u64, change: &Change) {
        match change {
            Change::SetMode(mode) => self.cached_mode = *mode,
            Change::Write { .. } | Change::SetLen(_) => change.apply(Arc::make_mut(&mut self.cached)),
        }
        self.unsynced.push((place, change.clone()));
    }

    /// Makes the file durable like `fdatasync(2)`: permission bits only together with a length that was changed after
    /// them.
    pub(super) fn sync(&mut self) {
        if self.unsynced.is_empty() {
            return;
        }
        // The changes are replayed instead of copying `cached`: a growing file that is synced often would be copied
        // each time.
        let durable = Arc::make_mut(&mut self.durable);
        let mut waiting_modes = Vec::new();
        for (place, change) in self.unsynced.drain(..) {
            if let Change::SetMode(mode) = change {
                waiting_modes.push((place, mode));
                continue;
            }
            let len_before = durable.len();
            change.apply(durable);
            if durable.len() != len_before {
                self.durable_mode = waiting_modes.pop().map_or(self.durable_mode, |(_, mode)| mode);
                waiting_modes.clear();
            }
        }
        self.unsynced.extend(waiting_modes.into_iter().map(|(place, mode)| (place, Change::SetMode(mode))));
    }

    pub(super) fn sync_all(&mut self) {
        self.sync();
        self.unsynced.clear();
        self.durable_mode = self.cached_mode;
    }

    pub(super) fn lose_unsynced(&mut self, loss: u64) {
        if !self.unsynced.is_empty() {
            self.last_loss = loss;
        }
        self.unsynced.clear();
        self.cached = self.durable.clone();
        self.cached_mode = self.durable_mode;
    }
}
