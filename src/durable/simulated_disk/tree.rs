//! The simulated file system: its files, its names, and which of them are durable.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};

use super::file_node::{Change, FileNode};

/// The index of a node in its tree; the root is 0. An index is never used again for another node.
pub(super) type NodeId = usize;
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
    /// Everything becomes durable.
    SyncAll,
    /// A failed sync of the file system: every file is that of its last sync; names wait as before.
    LoseAllUnsynced,
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

/// A file system. Cloning shares the bytes of files.
#[derive(Clone)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    /// The changes of names that are not durable, oldest first.
    pub(super) pending: Vec<NameChange>,
    changes: u64,
    /// The number of failed syncs that lost bytes.
    pub(super) losses: u64,
}

impl Tree {
    /// Creates an empty root directory.
    pub(super) fn new() -> Self {
        Self { nodes: vec![Node::Directory(DirectoryNode::default())], pending: Vec::new(), changes: 0, losses: 0 }
    }

    /// Adds a node under a name, both durable.
    pub(super) fn install(&mut self, directory: NodeId, name: &OsStr, node: Node) -> NodeId {
        let id = self.nodes.len();
        self.nodes.push(node);
        self.install_link(directory, name, id);
        id
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
                self.losses += 1;
                let loss = self.losses;
                self.file_mut(*file).lose_unsynced(loss);
            }
            Effect::CreateFile(directory, name) => self.create(*directory, name, Node::File(FileNode::new())),
            Effect::CreateDirectory(directory, name) => {
                self.create(*directory, name, Node::Directory(DirectoryNode::default()));
            }
            Effect::Names(change) => self.change_names(change.clone()),
            Effect::SyncDirectory(directory) => self.sync_directory(*directory),
            Effect::SyncAll => self.sync_all(),
            Effect::LoseAllUnsynced => {
                self.losses += 1;
                let loss = self.losses;
                self.all_files().for_each(|file| file.lose_unsynced(loss));
            }
            Effect::Nothing => {}
        }
    }

    fn create(&mut self, directory: NodeId, name: &OsStr, node: Node) {
        let id = self.nodes.len();
        self.nodes.push(node);
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

    fn sync_all(&mut self) {
        self.all_files().for_each(FileNode::sync_all);
        for edit in std::mem::take(&mut self.pending).iter().flat_map(|change| &change.edits) {
            edit.apply(&mut self.directory_mut(edit.directory).durable);
        }
    }

    /// Includes the files that have no name any more.
    fn all_files(&mut self) -> impl Iterator<Item = &mut FileNode> {
        self.nodes.iter_mut().filter_map(|node| match node {
            Node::File(file) => Some(file),
            Node::Directory(_) => None,
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
