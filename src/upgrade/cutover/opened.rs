//! Which other processes have a file open, as far as the system tells. A process that has a database open keeps the old
//! file when another one takes its name: what it writes is lost.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Where Linux lists processes.
const PROCESSES: &str = "/proc";

/// A process that has a file open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenedBy {
    /// The number of the process.
    pub pid: u32,
    /// Its name, if it may be known.
    pub name: String,
    /// The file.
    pub path: PathBuf,
}

impl fmt::Display for OpenedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, name, path } = self;
        write!(f, "{}: process {pid} ({name}) has it open", path.display())
    }
}

/// Returns the other processes that have one of these files open, each with the first such file. Processes of other
/// users are left out if this user may not look at them.
pub fn others(paths: &[PathBuf]) -> Vec<OpenedBy> {
    let identified = paths.iter().filter_map(|path| Some((identity(&fs::metadata(path).ok()?), path.as_path())));
    let wanted: BTreeMap<(u64, u64), &Path> = identified.collect();
    let Ok(processes) = fs::read_dir(PROCESSES) else { return Vec::new() };
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let opened = pids.filter(|&pid| pid != std::process::id()).filter_map(|pid| {
        let path = opened_by(pid, &wanted)?.to_owned();
        Some(OpenedBy { pid, name: name_of(pid), path })
    });
    opened.collect()
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn opened_by<'a>(pid: u32, wanted: &BTreeMap<(u64, u64), &'a Path>) -> Option<&'a Path> {
    let descriptors = fs::read_dir(format!("{PROCESSES}/{pid}/fd")).ok()?;
    let mut metadata = descriptors.filter_map(|entry| fs::metadata(entry.ok()?.path()).ok());
    metadata.find_map(|metadata| wanted.get(&identity(&metadata)).copied())
}

fn name_of(pid: u32) -> String {
    let name = fs::read_to_string(format!("{PROCESSES}/{pid}/comm"));
    name.map_or_else(|_| "its name is not known".into(), |name| name.trim_end().to_owned())
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests lay out files")]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn another_process_is_named_and_this_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let paths = ["a.db", "b.db"].map(|name| directory.path().join(name));
        paths.iter().for_each(|path| fs::write(path, "x").unwrap());
        let own = fs::File::open(&paths[0]).unwrap();
        assert_eq!(others(&paths), []);
        drop(own);
        let mut child =
            Command::new("sleep").arg("60").stdin(Stdio::from(fs::File::open(&paths[1]).unwrap())).spawn().unwrap();
        let found = others(&paths);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].pid, found[0].path.as_path()), (child.id(), paths[1].as_path()));
        assert!(found[0].to_string().contains("b.db: process "), "{}", found[0]);
        assert_eq!(others(&paths), []);
    }
}
