//! Says when a store may be the only copy of the memories of a space: when the log, from which it could be made again, is
//! gone or has lost a part.

use super::log::presence::LogPresence;
use super::log::source::WalSource;
use super::paths::SpacePaths;
use super::store::manifest::Manifest;
use super::store::names::generation;
use crate::durable::{Disk, ReaderKind};
use crate::migration::Error;
use crate::migration::units::count_text;

/// A store with nodes that the log cannot give again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OnlyCopy {
    /// Its name.
    pub store: String,
    /// Its nodes.
    pub nodes: u64,
    /// What is wrong with the log.
    pub problem: String,
}

impl OnlyCopy {
    /// What to do before anything else.
    pub fn next(&self) -> String {
        format!(
            "put the log back from a copy, or write one from the store: `haul space export --store {} --to DIR`",
            self.store
        )
    }
}

/// Returns the newest store that the log cannot give again, if there is one.
pub(super) fn only_copy(disk: &dyn Disk, paths: &SpacePaths) -> Result<Option<OnlyCopy>, Error> {
    let presence = LogPresence::of(&paths.log())?;
    for (store, manifest) in stores_with_nodes(disk, paths)? {
        let problem = match presence.problem() {
            Some(problem) => Some(problem.to_owned()),
            None => lost_part(paths, &manifest)?,
        };
        if let Some(problem) = problem {
            return Ok(Some(OnlyCopy { store, nodes: manifest.nodes, problem }));
        }
    }
    Ok(None)
}

/// Refuses a log without records where there should be some, unless an empty log is allowed.
pub(crate) fn check_log(disk: &dyn Disk, paths: &SpacePaths, allow_empty: bool) -> Result<(), Error> {
    let presence = LogPresence::of(&paths.log())?;
    let Some(problem) = presence.problem().filter(|_| !allow_empty) else { return Ok(()) };
    let error = |what, next| Error::State { path: paths.log(), what, next, damaged: true, source: None };
    if let Some((store, manifest)) = stores_with_nodes(disk, paths)?.into_iter().next() {
        let (nodes, problem) = (manifest.nodes, problem.to_owned());
        let what = format!("{problem}, and {store} holds {} nodes", count_text(nodes));
        let next = OnlyCopy { store, nodes, problem }.next();
        return Err(error(what, format!("{next}; to give these memories up, add --allow-empty")));
    }
    match presence {
        LogPresence::HasBytes | LogPresence::Empty => Ok(()),
        LogPresence::Missing(what) => Err(error(
            what,
            "put the log back, or name the directory that holds wal/ with its log files; if nothing was ever stored, add \
             --allow-empty"
                .into(),
        )),
    }
}

/// Refuses to make a store without nodes the live one while another one has some, unless that is allowed.
pub(super) fn check_trade(disk: &dyn Disk, paths: &SpacePaths, name: &str, allow_empty: bool) -> Result<(), Error> {
    if allow_empty || Manifest::read(disk, &paths.store(name))?.nodes > 0 {
        return Ok(());
    }
    match stores_with_nodes(disk, paths)?.into_iter().next() {
        None => Ok(()),
        Some((other, manifest)) => Err(Error::State {
            path: paths.store(name),
            what: format!("it has no nodes, and {other} holds {}", count_text(manifest.nodes)),
            next: "compare the log with its copies; if everything was deleted on purpose, add --allow-empty".into(),
            damaged: true,
            source: None,
        }),
    }
}

/// Returns the stores with nodes, newest first. One whose manifest cannot be read is none that haul can prove.
fn stores_with_nodes(disk: &dyn Disk, paths: &SpacePaths) -> Result<Vec<(String, Manifest)>, Error> {
    let mut found = Vec::new();
    for entry in disk.list(paths.root())? {
        let Some(name) = entry.name.to_str().filter(|name| generation(name).is_some()) else { continue };
        match Manifest::read(disk, &paths.store(name)) {
            Ok(manifest) if manifest.nodes > 0 => found.push((name.to_owned(), manifest)),
            _ => {}
        }
    }
    found.reverse();
    Ok(found)
}

/// Returns what the log has lost since the store was made of it. Log files only grow, and a compaction writes a file of a
/// new name before it removes the old ones.
fn lost_part(paths: &SpacePaths, manifest: &Manifest) -> Result<Option<String>, Error> {
    let log = WalSource::open(&paths.log(), ReaderKind::Pread)?;
    let bytes_of = |name: &str| {
        let index = log.names().iter().position(|found| found == name)?;
        Some(log.files()[index].identity().len_bytes)
    };
    let is_of_store = |name: &String| manifest.sources.iter().any(|file| file.name == *name);
    let has_new = log.names().iter().any(|name| !is_of_store(name));
    for file in &manifest.sources {
        match bytes_of(&file.name) {
            None if !has_new && file.bytes > 0 => return Ok(Some(format!("{} is missing", file.name))),
            Some(bytes) if bytes < file.bytes => {
                return Ok(Some(format!("{} has {bytes} bytes and had {}", file.name, file.bytes)));
            }
            _ => {}
        }
    }
    Ok(None)
}
