//! Computes what a crash leaves of a simulated file system.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::file_node::{Change, FileNode, write_at};
use super::tree::{NameEdit, Names, Node, NodeId, ROOT, Tree};

/// The unit that a disk writes atomically, in bytes.
const SECTOR_BYTES: usize = 512;

/// What happens to unsynced changes when the power fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashFault {
    /// They survive: the process died, not the computer.
    AllKept,
    /// They are lost: bytes, names and permission bits are those of their last sync.
    UnsyncedDropped,
    /// They survive, except for the second half of the last write, cut at a multiple of 512 bytes.
    LastWriteTorn,
    /// Bytes and permission bits survive, changes of names are lost; files whose names were never synced are gone.
    RenamesLost,
    /// Changes of names survive, bytes and permission bits are lost: a new name may belong to an empty file.
    RenamesEarly,
    /// A random choice by this seed survives: of each write any 512-byte sectors, of the names of each directory any
    /// first changes, of the permission bits of a file any that were set.
    ScatteredWrites(u64),
    /// As [`ScatteredWrites`](Self::ScatteredWrites), but of the names any changes survive that do not depend on a lost
    /// one, in whatever order they were made: a file system without a journal.
    ScatteredNames(u64),
}

impl CrashFault {
    /// All faults that need no seed.
    pub const ALL: [Self; 5] =
        [Self::AllKept, Self::UnsyncedDropped, Self::LastWriteTorn, Self::RenamesLost, Self::RenamesEarly];

    fn keeps_all_names(self) -> bool {
        matches!(self, Self::AllKept | Self::LastWriteTorn | Self::RenamesEarly)
    }
}

/// Returns the tree after a crash: all of it durable, with only what can be reached.
pub(super) fn settle(tree: &Tree, fault: CrashFault) -> Tree {
    let mut random = Random(match fault {
        CrashFault::ScatteredWrites(seed) | CrashFault::ScatteredNames(seed) => seed,
        _ => 0,
    });
    let names = surviving_names(tree, fault, &mut random);
    let torn = last_write(tree);
    let mut settled = Tree::new();
    settled.not_synced_as_a_whole.clone_from(&tree.not_synced_as_a_whole);
    // All names of a file show the same bytes, so each file is computed once.
    let mut settled_files: HashMap<NodeId, NodeId> = HashMap::new();
    // This ends: no directory has two names, because a change that moves one away is lost together with the older one
    // that brought it there.
    let mut open: Vec<(NodeId, NodeId)> = vec![(ROOT, ROOT)];
    while let Some((old_directory, new_directory)) = open.pop() {
        for (name, &old) in &names[old_directory] {
            match &tree.nodes[old] {
                Node::File(file) => match settled_files.entry(old) {
                    Entry::Occupied(new) => settled.install_link(new_directory, name, *new.get()),
                    Entry::Vacant(entry) => {
                        let survivor = surviving_file(file, fault, torn, &mut random);
                        entry.insert(settled.install(new_directory, name, Node::File(survivor)));
                    }
                },
                Node::Directory(_) => {
                    open.push((old, settled.install_mounted(new_directory, name, tree.file_system(old))));
                }
            }
        }
    }
    settled
}

/// The names of each directory, by node; empty for files.
fn surviving_names(tree: &Tree, fault: CrashFault, random: &mut Random) -> Vec<Names> {
    let of_node = |node: &Node| match node {
        Node::File(_) => Names::new(),
        Node::Directory(directory) if fault.keeps_all_names() => directory.cached.clone(),
        Node::Directory(directory) => directory.durable.clone(),
    };
    let mut names: Vec<Names> = tree.nodes.iter().map(of_node).collect();
    match fault {
        CrashFault::ScatteredWrites(_) => keep_first_changes(tree, &mut names, random),
        CrashFault::ScatteredNames(_) => keep_any_changes(tree, &mut names, random),
        _ => {}
    }
    names
}

/// Keeps a random number of first changes in each directory. A lost change of two directories ends the kept changes of
/// both.
fn keep_first_changes(tree: &Tree, names: &mut [Names], random: &mut Random) {
    let mut ended = HashSet::new();
    for change in &tree.pending {
        let is_kept = change.edits.iter().all(|edit| !ended.contains(&edit.directory)) && !random.one_in(4);
        for edit in &change.edits {
            if is_kept {
                edit.apply(&mut names[edit.directory]);
            } else {
                ended.insert(edit.directory);
            }
        }
    }
}

/// Keeps any changes. A lost change also loses the later changes of the same names.
fn keep_any_changes(tree: &Tree, names: &mut [Names], random: &mut Random) {
    let mut lost = HashSet::new();
    for change in &tree.pending {
        let name_of = |edit: &NameEdit| (edit.directory, edit.name.clone());
        let is_kept = !random.one_in(4) && !change.edits.iter().any(|edit| lost.contains(&name_of(edit)));
        if is_kept {
            change.edits.iter().for_each(|edit| edit.apply(&mut names[edit.directory]));
        } else {
            lost.extend(change.edits.iter().map(name_of));
        }
    }
}

/// Returns the position of the last unsynced write in the order of changes.
fn last_write(tree: &Tree) -> Option<u64> {
    let of_node = |node: &Node| match node {
        Node::File(file) => {
            file.unsynced.iter().rev().find(|(_, change)| matches!(change, Change::Write { .. })).map(|c| c.0)
        }
        Node::Directory(_) => None,
    };
    tree.nodes.iter().filter_map(of_node).max()
}

fn surviving_file(file: &FileNode, fault: CrashFault, torn: Option<u64>, random: &mut Random) -> FileNode {
    FileNode::settled(surviving_bytes(file, fault, torn, random), surviving_mode(file, fault, random))
}

/// Decides for each change of the bits whether it is the last that survived.
fn surviving_mode(file: &FileNode, fault: CrashFault, random: &mut Random) -> u32 {
    match fault {
        CrashFault::AllKept | CrashFault::RenamesLost | CrashFault::LastWriteTorn => file.cached_mode,
        CrashFault::UnsyncedDropped | CrashFault::RenamesEarly => file.durable_mode,
        CrashFault::ScatteredWrites(_) | CrashFault::ScatteredNames(_) => {
            file.unsynced.iter().fold(file.durable_mode, |surviving, (_, change)| match change {
                Change::SetMode(mode) if !random.one_in(2) => *mode,
                _ => surviving,
            })
        }
    }
}

fn surviving_bytes(file: &FileNode, fault: CrashFault, torn: Option<u64>, random: &mut Random) -> Arc<Vec<u8>> {
    match fault {
        CrashFault::AllKept | CrashFault::RenamesLost => file.cached.clone(),
        CrashFault::UnsyncedDropped | CrashFault::RenamesEarly => file.durable.clone(),
        CrashFault::LastWriteTorn if file.unsynced.iter().any(|(place, _)| Some(*place) == torn) => {
            Arc::new(tear(file, torn))
        }
        CrashFault::LastWriteTorn => file.cached.clone(),
        CrashFault::ScatteredWrites(_) | CrashFault::ScatteredNames(_) if file.unsynced.is_empty() => {
            file.durable.clone()
        }
        CrashFault::ScatteredWrites(_) | CrashFault::ScatteredNames(_) => Arc::new(scatter(file, random)),
    }
}

/// Applies all changes, but of the torn write only the part before the 512-byte boundary next to its middle.
fn tear(file: &FileNode, torn: Option<u64>) -> Vec<u8> {
    let mut content = Vec::clone(&file.durable);
    for (place, change) in &file.unsynced {
        match change {
            Change::Write { offset, bytes } if Some(*place) == torn => {
                let start = *offset as usize;
                let cut = (start + bytes.len() / 2) / SECTOR_BYTES * SECTOR_BYTES;
                write_at(&mut content, start, &bytes[..cut.saturating_sub(start)]);
            }
            _ => change.apply(&mut content),
        }
    }
    content
}

/// Applies any sectors of each write. The length may be the new one even where the bytes are not (zeros then).
fn scatter(file: &FileNode, random: &mut Random) -> Vec<u8> {
    let mut content = Vec::clone(&file.durable);
    for (_, change) in &file.unsynced {
        match change {
            Change::SetLen(_) if random.one_in(2) => {}
            Change::SetLen(_) => change.apply(&mut content),
            Change::SetMode(_) => {}
            Change::Write { offset, bytes } => scatter_write(&mut content, *offset as usize, bytes, random),
        }
    }
    if random.one_in(2) {
        content.resize(file.cached.len(), 0);
    }
    content
}

fn scatter_write(content: &mut Vec<u8>, offset: usize, bytes: &[u8], random: &mut Random) {
    let mut done = 0;
    while done < bytes.len() {
        let sector_end = ((offset + done) / SECTOR_BYTES + 1) * SECTOR_BYTES;
        let next = (sector_end - offset).min(bytes.len());
        if !random.one_in(2) {
            write_at(content, offset + done, &bytes[done..next]);
        }
        done = next;
    }
}

/// SplitMix64: small, and with the same results on every platform.
struct Random(u64);

impl Random {
    fn one_in(&mut self, n: u64) -> bool {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)).is_multiple_of(n)
    }
}
