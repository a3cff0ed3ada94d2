//! Looks for a running engine: a process that has a file of the space open for writing.
//!
//! An engine that was started on existing data writes to a log that has no name any more, so nothing in the directory
//! changes. Only the kernel's list of open files tells.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::log::wal::is_wal_name;
use super::paths::SpacePaths;
use crate::migration::Error;

/// File that an engine maps.
const WARM_TIER: &str = "warm_tier.dat";
/// What the kernel appends to the path of a file without a name.
const DELETED: &[u8] = b" (deleted)";

/// What was found out about processes that use a space.
pub struct Search {
    /// The first process that writes to the space.
    pub writer: Option<SpaceWriter>,
    /// True if an engine could be running that this user may not look at.
    pub is_blind: bool,
}

/// A process that writes to a space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpaceWriter {
    /// Its number.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// The file, as the kernel names it.
    pub file: PathBuf,
}

/// Fails if a process writes to the space.
pub fn check_engine_is_stopped(paths: &SpacePaths, note: impl FnOnce(String)) -> Result<(), Error> {
    let Search { writer, is_blind } = search(paths, Path::new("/proc"));
    if is_blind {
        note("this user may not see whether an engine of another user writes to the space".into());
    }
    let Some(SpaceWriter { pid, name, file }) = writer else { return Ok(()) };
    Err(Error::Program {
        what: format!(
            "the space is in use: process {pid} ({name}) writes to {}; what it takes in from now on would be in no store",
            file.display()
        ),
        next: "stop that process, then run the same command again; --engine-stopped insists that it writes no memories"
            .into(),
        temporary: true,
    })
}

fn search(paths: &SpacePaths, processes: &Path) -> Search {
    let Ok(root) = paths.root().canonicalize() else { return Search { writer: None, is_blind: false } };
    let space = OpenSpace { files: engine_files(&root), root };
    let mut search = Search { writer: None, is_blind: !processes.join("self").exists() };
    let mut was_refused = false;
    let names = fs::read_dir(processes).into_iter().flatten().filter_map(Result::ok);
    for pid in names.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
        let process = processes.join(pid.to_string());
        if pid == std::process::id() {
            continue;
        }
        match space.written_by(&process) {
            Ok(None) => {}
            Ok(Some(file)) => {
                let name = fs::read_to_string(process.join("comm")).unwrap_or_default().trim().to_owned();
                search.writer = Some(SpaceWriter { pid, name, file });
                return search;
            }
            Err(kind) => was_refused |= kind == ErrorKind::PermissionDenied,
        }
    }
    search.is_blind |= was_refused && paths.log_is_of_another_user();
    search
}

struct OpenSpace {
    root: PathBuf,
    /// Device and inode of each file that an engine may have open.
    files: Vec<(u64, u64)>,
}

/// Files of an engine that have names.
fn engine_files(root: &Path) -> Vec<(u64, u64)> {
    let logs = fs::read_dir(root.join("wal")).into_iter().flatten().filter_map(Result::ok);
    let logs = logs.filter(|entry| is_wal_name(&entry.file_name())).map(|entry| entry.path());
    let files = logs.chain([root.join(WARM_TIER)]).filter_map(|path| fs::metadata(path).ok());
    files.map(|metadata| (metadata.dev(), metadata.ino())).collect()
}

impl OpenSpace {
    /// Returns a file of the space that the process has open for writing. A process that ends meanwhile has none.
    fn written_by(&self, process: &Path) -> Result<Option<PathBuf>, ErrorKind> {
        let descriptors = fs::read_dir(process.join("fd")).map_err(|error| error.kind())?;
        for descriptor in descriptors.filter_map(Result::ok) {
            let Ok(target) = fs::read_link(descriptor.path()) else { continue };
            if self.is_of_engine(&target, || fs::metadata(descriptor.path()).ok())
                && is_writable(&process.join("fdinfo").join(descriptor.file_name()))
            {
                return Ok(Some(target));
            }
        }
        let maps = fs::read(process.join("maps")).map_err(|error| error.kind())?;
        Ok(maps.split(|&byte| byte == b'\n').filter_map(mapped_file).find(|file| self.is_of_engine(file, || None)))
    }

    /// True for a file that an engine writes to, with or without a name. In another mount namespace the space has another
    /// path, so what has such a name elsewhere is compared by what `look` finds.
    fn is_of_engine(&self, target: &Path, look: impl FnOnce() -> Option<fs::Metadata>) -> bool {
        let bytes = target.as_os_str().as_bytes();
        let path = Path::new(OsStr::from_bytes(bytes.strip_suffix(DELETED).unwrap_or(bytes)));
        if let Ok(below) = path.strip_prefix(&self.root) {
            return below.starts_with("wal") || below == Path::new(WARM_TIER);
        }
        let has_name = path.file_name().is_some_and(|name| is_wal_name(name) || name == WARM_TIER);
        has_name && look().is_some_and(|metadata| self.files.contains(&(metadata.dev(), metadata.ino())))
    }
}

/// Reads the access mode of a descriptor: `flags:` with an octal number, of which the last two bits tell.
fn is_writable(information: &Path) -> bool {
    let text = fs::read_to_string(information).unwrap_or_default();
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
    flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok()).is_some_and(|flags| flags & 3 != 0)
}

/// Returns the file of a line of `maps` whose mapping can change the file, or that only an engine maps.
fn mapped_file(line: &[u8]) -> Option<PathBuf> {
    let text = line.iter().position(|&byte| byte == b'/')?;
    let path = Path::new(OsStr::from_bytes(&line[text..]));
    let modes = line.split(|&byte| byte == b' ').nth(1)?;
    let is_shared_and_writable = modes.contains(&b'w') && modes.contains(&b's');
    (is_shared_and_writable || path.file_name() == Some(OsStr::new(WARM_TIER))).then(|| path.to_path_buf())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests hold files of a space open")]

    use std::fs::OpenOptions;
    use std::process::{Child, Command, Stdio};

    use super::*;

    struct Holder(Child);

    impl Drop for Holder {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// A process that has these files open, as its standard output.
    fn holder(file: fs::File) -> Holder {
        Holder(Command::new("sleep").arg("60").stdout(Stdio::from(file)).spawn().unwrap())
    }

    fn space(place: &Path) -> SpacePaths {
        let paths = SpacePaths::new(place.join("default"));
        fs::create_dir_all(paths.log()).unwrap();
        fs::create_dir_all(paths.root().join("migration")).unwrap();
        paths
    }

    fn writer(paths: &SpacePaths) -> Option<SpaceWriter> {
        search(paths, Path::new("/proc")).writer
    }

    #[test]
    fn a_writer_is_found_with_and_without_a_name() {
        let place = tempfile::tempdir().unwrap();
        let paths = space(place.path());
        let open = |path: &Path| OpenOptions::new().append(true).create(true).open(path).unwrap();
        for (file, is_removed) in [("wal/wal-0000000000000001.log", true), ("wal/wal-0000000000000002.log", false)] {
            let path = paths.root().join(file);
            let held = holder(open(&path));
            if is_removed {
                fs::remove_file(&path).unwrap();
            }
            let found = writer(&paths).expect(file);
            assert_eq!((found.pid, found.name.as_str()), (held.0.id(), "sleep"));
            assert!(found.file.starts_with(paths.log().canonicalize().unwrap()), "{found:?}");
            let error = check_engine_is_stopped(&paths, drop).unwrap_err();
            assert_eq!(error.exit_code(), crate::migration::exit::TEMPORARY);
            assert!(error.to_string().contains(&format!("process {} (sleep)", held.0.id())), "{error}");
        }
        let held = holder(open(&paths.root().join(WARM_TIER)));
        assert_eq!(writer(&paths).expect(WARM_TIER).pid, held.0.id());
    }

    #[test]
    fn readers_and_what_haul_writes_are_no_engine() {
        let place = tempfile::tempdir().unwrap();
        let paths = space(place.path());
        let log = paths.log().join("wal-0000000000000001.log");
        fs::write(&log, b"x").unwrap();
        let _reader = holder(fs::File::open(&log).unwrap());
        let _haul = holder(fs::File::create(paths.root().join("migration/lock")).unwrap());
        let _elsewhere = holder(fs::File::create(place.path().join("wal-0000000000000001.log")).unwrap());
        let _own = OpenOptions::new().append(true).open(&log).unwrap();
        assert_eq!(writer(&paths), None);
    }

    #[test]
    fn only_mappings_that_can_change_a_file_count() {
        let of = |line: &str| mapped_file(line.as_bytes());
        let path = "/data/default/wal/wal-0000000000000001.log";
        assert_eq!(of(&format!("7f00-7f01 rw-s 00000000 08:01 42                 {path}")), Some(path.into()));
        for modes in ["r--s", "rw-p", "r--p"] {
            assert_eq!(of(&format!("7f00-7f01 {modes} 00000000 08:01 42                 {path}")), None);
        }
        let warm = "/data/default/warm_tier.dat (deleted)";
        assert_eq!(of(&format!("7f00-7f01 rw-s 0 08:01 42 {warm}")), Some(warm.into()));
        assert_eq!(
            of("7f00-7f01 r--s 0 08:01 42 /data/default/warm_tier.dat"),
            Some("/data/default/warm_tier.dat".into())
        );
        assert_eq!(of("7f00-7f01 rw-p 00000000 00:00 0"), None);
    }
}
