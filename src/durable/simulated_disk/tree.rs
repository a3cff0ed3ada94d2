//! The simulated file system: its files, its names, and which of them are durable.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};

use super::file_node::{Change, FileNode};

/// The index of a node in its tree; the root is 0. An index is never used again for another node.
pub(super) type NodeId = usize;
/// The index of a file system; that of the root is 0.
pub(super) type FileSystemId = usize;
/// The names of a directory.
pub(super) type Names = BTreeMap<OsString, NodeId>;

pub(super) const ROOT: NodeId = 0;

/// An effect as it is logged and replayed. A replay of the same effects on the same tree gives the same node numbers.
#[derive(Clone)]
pub(super) enum Effect {
    /// A write, a new length or new permission bits.
    Change(NodeId, Change),
    /// The bytes and the length of the file become durable, with the permission bits that are older than its length.
    Sync(NodeId),
    /// A failed sync: the file is that of the last sync.
    LoseUnsynced(NodeId),
    CreateFile(NodeId, OsString),
    CreateDirectory(NodeId, OsString),
    Names(NameChange),
    /// The names in the directory become durable.
    SyncDirectory(NodeId),
    /// Everything on the file system becomes durable.
    SyncAll(FileSystemId),
    /// A failed sync of the file system: every file on it is that of its last sync; names wait as before.
    LoseAllUnsynced(FileSystemId),
    /// An operation without effect on the tree that can fail.
    Nothing,
}

/// Changes of names in one step: all edits survive a crash or none does.
#[derive(Clone)]
pub(super) struct NameChange {
    pub(super) edits: Vec<NameEdit>,
    /// The directories that must be synced before the change is durable.
    pub(super) waits_on: Vec<NodeId>,
}

/// Binds `name` in `directory` to `node`, or removes it.
#[derive(Clone)]
pub(super) struct NameEdit {
    pub(super) directory: NodeId,
    pub(super) name: OsString,
    pub(super) node: Option<NodeId>,
}

impl NameEdit {
    pub(super) fn apply(&self, names: &mut Names) {
        match self.node {
            Some(node) => _ = names.insert(self.name.clone(), node),
            None => _ = names.remove(&self.name),
        }
    }
}

#[derive(Clone)]
pub(super) enum Node {
    File(FileNode),
    Directory(DirectoryNode),
}

#[derive(Clone, Default)]
pub(super) struct DirectoryNode {
    pub(super) durable: Names,
    pub(super) cached: Names,
}

/// All file systems of the disk. Cloning shares the bytes of files.
#[derive(Clone)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    /// The file system of each node.
    file_systems: Vec<FileSystemId>,
    /// The file systems of which a sync as a whole does nothing.
    pub(super) not_synced_as_a_whole: BTreeSet<FileSystemId>,
    /// The changes of names that are not durable, oldest first.
    pub(super) pending: Vec<NameChange>,
    changes: u64,
    /// The number of failed syncs that lost bytes.
    pub(super) losses: u64,
    /// The last of these on each file system.
    last_losses: BTreeMap<FileSystemId, u64>,
}

impl Tree {
    /// Creates an empty root directory.
    pub(super) fn new() -> Self {
        Self {
            nodes: vec![Node::Directory(DirectoryNode::default())],
            file_systems: vec![0],
            not_synced_as_a_whole: BTreeSet::new(),
            pending: Vec::new(),
            changes: 0,
            losses: 0,
            last_losses: BTreeMap::new(),
        }
    }

    /// Returns the file system of a node.
    pub(super) fn file_system(&self, node: NodeId) -> FileSystemId {
        self.file_systems[node]
    }

    /// Makes a directory the root of a file system, with all that is below it on the same one.
    pub(super) fn divide(&mut self, directory: NodeId) {
        let id = self.file_systems.iter().max().map_or(0, |last| last + 1);
        let divided = self.file_systems[directory];
        let mut open = vec![directory];
        while let Some(node) = open.pop() {
            if self.file_systems[node] == divided {
                self.file_systems[node] = id;
                open.extend(self.names(node).into_iter().flat_map(|names| names.values().copied()));
            }
        }
    }

    /// Returns the last loss on a file system, or 0.
    pub(super) fn last_loss(&self, file_system: FileSystemId) -> u64 {
        self.last_losses.get(&file_system).copied().unwrap_or(0)
    }

    fn count_loss(&mut self, file_system: FileSystemId) -> u64 {
        self.losses += 1;
        self.last_losses.insert(file_system, self.losses);
        self.losses
    }

    /// Adds a node under a name, both durable.
    pub(super) fn install(&mut self, directory: NodeId, name: &OsStr, node: Node) -> NodeId {
        let id = self.push(directory, node);
        self.install_link(directory, name, id);
        id
    }

    /// Adds a node to the file system of a directory.
    fn push(&mut self, directory: NodeId, node: Node) -> NodeId {
        self.nodes.push(node);
        self.file_systems.push(self.file_systems[directory]);
        self.nodes.len() - 1
    }

    /// Adds a durable name for an existing node.
    pub(super) fn install_link(&mut self, directory: NodeId, name: &OsStr, node: NodeId) {
        let parent = self.directory_mut(directory);
        parent.durable.insert(name.into(), node);
        parent.cached.insert(name.into(), node);
    }

    /// Adds an empty directory under a name, both durable.
    pub(super) fn install_directory(&mut self, parent: NodeId, name: &OsStr) -> NodeId {
        self.install(parent, name, Node::Directory(DirectoryNode::default()))
    }

    /// Adds an empty directory like [`install_directory`](Self::install_directory), on the given file system.
    pub(super) fn install_mounted(&mut self, parent: NodeId, name: &OsStr, file_system: FileSystemId) -> NodeId {
        let id = self.install_directory(parent, name);
        self.file_systems[id] = file_system;
        id
    }

    /// Applies an effect whose preconditions the caller has checked.
    pub(super) fn apply(&mut self, effect: &Effect) {
        match effect {
            Effect::Change(file, change) => {
                self.changes += 1;
                let place = self.changes;
                self.file_mut(*file).change(place, change);
            }
            Effect::Sync(file) => self.file_mut(*file).sync(),
            Effect::LoseUnsynced(file) => {
                let loss = self.count_loss(self.file_systems[*file]);
                self.file_mut(*file).lose_unsynced(loss);
            }
            Effect::CreateFile(directory, name) => self.create(*directory, name, Node::File(FileNode::new())),
            Effect::CreateDirectory(directory, name) => {
                self.create(*directory, name, Node::Directory(DirectoryNode::default()));
            }
            Effect::Names(change) => self.change_names(change.clone()),
            Effect::SyncDirectory(directory) => self.sync_directory(*directory),
            Effect::SyncAll(file_system) => self.sync_all(*file_system),
            Effect::LoseAllUnsynced(file_system) => {
                let loss = self.count_loss(*file_system);
                self.all_files(*file_system).for_each(|file| file.lose_unsynced(loss));
            }
            Effect::Nothing => {}
        }
    }

    fn create(&mut self, directory: NodeId, name: &OsStr, node: Node) {
        let id = self.push(directory, node);
        let edit = NameEdit { directory, name: name.into(), node: Some(id) };
        self.change_names(NameChange { edits: vec![edit], waits_on: vec![directory] });
    }

    fn change_names(&mut self, change: NameChange) {
        for edit in &change.edits {
            edit.apply(&mut self.directory_mut(edit.directory).cached);
        }
        self.pending.push(change);
    }

    /// Makes the changes durable that waited for this directory alone, and with each all older changes of the same
    /// names: no disk restores an older meaning of a name after a newer one.
    fn sync_directory(&mut self, directory: NodeId) {
        for change in &mut self.pending {
            change.waits_on.retain(|&waited| waited != directory);
        }
        let mut is_durable = vec![false; self.pending.len()];
        let mut settled: Vec<(NodeId, OsString)> = Vec::new();
        for (index, change) in self.pending.iter().enumerate().rev() {
            let touches_settled =
                change.edits.iter().any(|e| settled.iter().any(|(d, n)| (*d, n) == (e.directory, &e.name)));
            if change.waits_on.is_empty() || touches_settled {
                is_durable[index] = true;
                settled.extend(change.edits.iter().map(|edit| (edit.directory, edit.name.clone())));
            }
        }
        for (index, change) in std::mem::take(&mut self.pending).into_iter().enumerate() {
            if is_durable[index] {
                for edit in &change.edits {
                    edit.apply(&mut self.directory_mut(edit.directory).durable);
                }
            } else {
                self.pending.push(change);
            }
        }
    }

    fn sync_all(&mut self, file_system: FileSystemId) {
        self.all_files(file_system).for_each(FileNode::sync_all);
        let pending = std::mem::take(&mut self.pending);
        // All edits of one change are on one file system.
        let is_on_it = |change: &NameChange| self.file_systems[change.edits[0].directory] == file_system;
        let (synced, waiting): (Vec<_>, Vec<_>) = pending.into_iter().partition(is_on_it);
        self.pending = waiting;
        for edit in synced.iter().flat_map(|change| &change.edits) {
            edit.apply(&mut self.directory_mut(edit.directory).durable);
        }
    }

    /// Includes the files that have no name any more.
    fn all_files(&mut self, file_system: FileSystemId) -> impl Iterator<Item = &mut FileNode> {
        self.nodes.iter_mut().zip(&self.file_systems).filter_map(move |(node, &its)| match node {
            Node::File(file) if its == file_system => Some(file),
            _ => None,
        })
    }

    /// Returns the node at an absolute path, in the cache.
    pub(super) fn find(&self, path: &Path) -> io::Result<NodeId> {
        let mut node = ROOT;
        let mut components = path.components();
        if components.next() != Some(Component::RootDir) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a simulated path must be absolute"));
        }
        for component in components {
            let Component::Normal(name) = component else {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "a simulated path must not go up"));
            };
            node = *self.names(node)?.get(name).ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(node)
    }

    /// Returns the directory of a path and the last name of the path.
    pub(super) fn find_parent<'a>(&self, path: &'a Path) -> io::Result<(NodeId, &'a OsStr)> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let parent = self.find(parent)?;
        self.names(parent)?;
        Ok((parent, name))
    }

    /// Returns the cached names of a directory; a file is a `NotADirectory` error.
    pub(super) fn names(&self, directory: NodeId) -> io::Result<&Names> {
        match &self.nodes[directory] {
            Node::Directory(directory) => Ok(&directory.cached),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn is_directory(&self, node: NodeId) -> bool {
        matches!(self.nodes[node], Node::Directory(_))
    }

    /// Returns the file of a node. The node must be a file.
    pub(super) fn file(&self, file: NodeId) -> &FileNode {
        match &self.nodes[file] {
            Node::File(file) => file,
            Node::Directory(_) => unreachable!("a directory is never opened as a file"),
        }
    }

    fn file_mut(&mut self, file: NodeId) -> &mut FileNode {
        match &mut self.nodes[file] {
            Node::File(file) => file,
            Node::Directory(_) => unreachable!("a directory is never opened as a file"),
        }
    }

    fn directory_mut(&mut self, directory: NodeId) -> &mut DirectoryNode {
        match &mut self.nodes[directory] {
            Node::Directory(directory) => directory,
            Node::File(_) => unreachable!("names are only ever put into directories"),
        }
    }

    /// Returns every name of a file that can be reached in the cache, with its file.
    pub(super) fn file_names(&self) -> Vec<(PathBuf, NodeId)> {
        let mut names = Vec::new();
        self.collect_file_names(ROOT, Path::new("/"), &mut names);
        names
    }

    fn collect_file_names(&self, node: NodeId, path: &Path, found: &mut Vec<(PathBuf, NodeId)>) {
        match &self.nodes[node] {
            Node::File(_) => found.push((path.to_path_buf(), node)),
            Node::Directory(directory) => {
                directory.cached.iter().for_each(|(name, &child)| {
                    self.collect_file_names(child, &path.join(name), found);
                });
            }
        }
    }
}
