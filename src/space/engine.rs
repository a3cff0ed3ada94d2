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
    let space = OpenSpace::of(root);
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

/// Device and inode.
type Identity = (u64, u64);

struct OpenSpace {
    root: PathBuf,
    /// Where the log is, which may be a link.
    log: PathBuf,
    root_identity: Option<Identity>,
    log_identity: Option<Identity>,
    /// Each file that an engine may have open. It may have opened one by another name.
    files: Vec<Identity>,
}

/// Files of an engine that have names.
fn engine_files(root: &Path) -> Vec<Identity> {
    let logs = fs::read_dir(root.join("wal")).into_iter().flatten().filter_map(Result::ok);
    let logs = logs.filter(|entry| is_wal_name(&entry.file_name())).map(|entry| entry.path());
    logs.chain([root.join(WARM_TIER)]).filter_map(|path| identity_of(&path)).collect()
}

fn identity_of(path: &Path) -> Option<Identity> {
    fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

impl OpenSpace {
    fn of(root: PathBuf) -> Self {
        let log = root.join("wal");
        let log = log.canonicalize().unwrap_or(log);
        let (root_identity, log_identity) = (identity_of(&root), identity_of(&log));
        Self { files: engine_files(&root), root, log, root_identity, log_identity }
    }

    /// Returns a file of the space that the process has open for writing. A process that ends meanwhile has none.
    fn written_by(&self, process: &Path) -> Result<Option<PathBuf>, ErrorKind> {
        match self.written_by_thread(process) {
            Ok(Some(found)) => return Ok(found),
            Err(ErrorKind::PermissionDenied) => return Err(ErrorKind::PermissionDenied),
            Ok(None) | Err(_) => {}
        }
        // The first thread of a process may have ended, and only the others show what is open.
        let threads = fs::read_dir(process.join("task")).map_err(|error| error.kind())?;
        for thread in threads.filter_map(Result::ok).filter(|thread| Some(&*thread.file_name()) != process.file_name())
        {
            if let Ok(Some(found)) = self.written_by_thread(&thread.path()) {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Does the same by what the system shows of one thread; `None` if that is nothing.
    fn written_by_thread(&self, thread: &Path) -> Result<Option<Option<PathBuf>>, ErrorKind> {
        let wrap = |error: std::io::Error| error.kind();
        let mut shows_nothing = true;
        for descriptor in fs::read_dir(thread.join("fd")).map_err(wrap)?.filter_map(Result::ok) {
            shows_nothing = false;
            let Ok(target) = fs::read_link(descriptor.path()) else { continue };
            if !target.is_absolute() {
                continue;
            }
            let Open { is_writable, inode } = Open::read(&thread.join("fdinfo").join(descriptor.file_name()));
            if is_writable && self.is_of_engine(thread, &target, inode, || identity_of(&descriptor.path())) {
                return Ok(Some(Some(target)));
            }
        }
        let maps = fs::read(thread.join("maps")).map_err(wrap)?;
        shows_nothing &= maps.is_empty();
        let found = maps.split(|&byte| byte == b'\n').filter_map(mapped_file).find(|(file, inode)| {
            let look = || identity_of(&below(&thread.join("root"), file)).or_else(|| identity_of(file));
            self.is_of_engine(thread, file, *inode, look)
        });
        Ok((!shows_nothing).then(|| found.map(|(file, _)| file)))
    }

    /// True for a file that an engine writes to, with or without a name. A link, a mount or another mount namespace gives
    /// the space another path, so directories and files are compared by what `look` and the paths lead to. Only a file
    /// with the inode of a log is looked up: on a file system that does not answer, a look takes for ever.
    fn is_of_engine(
        &self,
        thread: &Path,
        target: &Path,
        inode: Option<u64>,
        look: impl FnOnce() -> Option<Identity>,
    ) -> bool {
        let bytes = target.as_os_str().as_bytes();
        let without_name = bytes.strip_suffix(DELETED);
        let path = Path::new(OsStr::from_bytes(without_name.unwrap_or(bytes)));
        if let Ok(below) = path.strip_prefix(&self.root) {
            return below.starts_with("wal") || below == Path::new(WARM_TIER);
        }
        if path.starts_with(&self.log) {
            return true;
        }
        let directory = match path.file_name() {
            Some(name) if is_wal_name(name) => self.log_identity,
            Some(name) if name == WARM_TIER => self.root_identity,
            _ => None,
        };
        if without_name.is_some() {
            let parent = path.parent().unwrap_or(path);
            let is_there = |parent: &Path| directory.is_some() && identity_of(parent) == directory;
            return directory.is_some() && (is_there(parent) || is_there(&below(&thread.join("root"), parent)));
        }
        let may_be = match inode {
            Some(inode) => self.files.iter().any(|(_, known)| *known == inode),
            None => directory.is_some(),
        };
        may_be && look().is_some_and(|found| self.files.contains(&found))
    }
}

/// Returns an absolute path below another root.
fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// What the system tells of a descriptor.
struct Open {
    is_writable: bool,
    /// `None` if the system does not tell.
    inode: Option<u64>,
}

impl Open {
    /// Reads `flags:`, an octal number of which the last two bits are the access mode, and `ino:`.
    fn read(information: &Path) -> Self {
        let text = fs::read_to_string(information).unwrap_or_default();
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let flags = field("flags:").and_then(|flags| u32::from_str_radix(flags, 8).ok());
        Self {
            is_writable: flags.is_some_and(|flags| flags & 3 != 0),
            inode: field("ino:").and_then(|ino| ino.parse().ok()),
        }
    }
}

/// Returns the file and the inode of a line of `maps` whose mapping can change the file, or that only an engine maps.
fn mapped_file(line: &[u8]) -> Option<(PathBuf, Option<u64>)> {
    let text = line.iter().position(|&byte| byte == b'/')?;
    let path = Path::new(OsStr::from_bytes(&line[text..]));
    let mut fields = line[..text].split(|&byte| byte == b' ').filter(|field| !field.is_empty());
    let modes = fields.nth(1)?;
    let inode = fields.nth(2).and_then(|inode| std::str::from_utf8(inode).ok()?.parse().ok());
    let is_shared_and_writable = modes.contains(&b'w') && modes.contains(&b's');
    (is_shared_and_writable || path.file_name() == Some(OsStr::new(WARM_TIER))).then(|| (path.to_path_buf(), inode))
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
    fn a_writer_is_found_by_whatever_path_it_has_opened_the_log() {
        let place = tempfile::tempdir().unwrap();
        let open = |path: &Path| OpenOptions::new().append(true).create(true).open(path).unwrap();
        let name = "wal-0000000000000001.log";

        let linked = SpacePaths::new(place.path().join("linked"));
        let elsewhere = place.path().join("elsewhere");
        fs::create_dir_all(linked.root()).unwrap();
        fs::create_dir_all(&elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, linked.log()).unwrap();
        let without_name = holder(open(&linked.log().join(name)));
        fs::remove_file(linked.log().join(name)).unwrap();
        assert_eq!(writer(&linked).expect("wal/ is a link").pid, without_name.0.id());

        let named_twice = space(place.path());
        drop(open(&named_twice.log().join(name)));
        fs::hard_link(named_twice.log().join(name), place.path().join("other.bin")).unwrap();
        let by_other_name = holder(open(&place.path().join("other.bin")));
        assert_eq!(writer(&named_twice).expect("another hard link").pid, by_other_name.0.id());
    }

    /// The other two ways to lose sight of a writer: a file without a name that was opened where a mount leads to, and a
    /// process whose first thread has ended.
    #[test]
    fn a_directory_is_known_by_its_identity_and_a_process_by_all_of_its_threads() {
        let place = tempfile::tempdir().unwrap();
        let paths = space(place.path());
        let origin = place.path().join("origin");
        fs::create_dir(&origin).unwrap();
        let mut open_space = OpenSpace::of(paths.root().canonicalize().unwrap());
        open_space.log_identity = identity_of(&origin);
        let target = |name: &str| PathBuf::from(format!("{}/{name} (deleted)", origin.display()));
        let is_of_engine = |name: &str| open_space.is_of_engine(place.path(), &target(name), Some(1), || None);
        assert!(is_of_engine("wal-0000000000000001.log"));
        assert!(!is_of_engine("notes"));

        // As the system shows a process: the first thread has no descriptors and no maps any more.
        let process = place.path().join("77");
        let log = paths.log().canonicalize().unwrap().join("wal-0000000000000001.log");
        fs::write(&log, b"").unwrap();
        for thread in ["77", "78"] {
            for part in ["fd", "fdinfo"] {
                fs::create_dir_all(process.join("task").join(thread).join(part)).unwrap();
            }
            fs::write(process.join("task").join(thread).join("maps"), b"").unwrap();
        }
        fs::create_dir_all(process.join("fd")).unwrap();
        fs::write(process.join("maps"), b"").unwrap();
        assert_eq!(open_space.written_by(&process), Ok(None));
        std::os::unix::fs::symlink(&log, process.join("task/78/fd/3")).unwrap();
        fs::write(process.join("task/78/fdinfo/3"), "pos:\t0\nflags:\t0100001\n").unwrap();
        assert_eq!(open_space.written_by(&process), Ok(Some(log)));
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
        assert_eq!(
            of(&format!("7f00-7f01 rw-s 00000000 08:01 42                 {path}")),
            Some((path.into(), Some(42)))
        );
        for modes in ["r--s", "rw-p", "r--p"] {
            assert_eq!(of(&format!("7f00-7f01 {modes} 00000000 08:01 42                 {path}")), None);
        }
        let warm = "/data/default/warm_tier.dat (deleted)";
        assert_eq!(of(&format!("7f00-7f01 rw-s 0 08:01 42 {warm}")), Some((warm.into(), Some(42))));
        assert_eq!(
            of("7f00-7f01 r--s 0 08:01 42 /data/default/warm_tier.dat"),
            Some(("/data/default/warm_tier.dat".into(), Some(42)))
        );
        assert_eq!(of("7f00-7f01 rw-p 00000000 00:00 0"), None);
    }
}
