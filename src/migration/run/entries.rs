//! Looks at what has a name in a run directory that haul uses, before anything there is opened or removed: other users may
//! be able to write to the directory, and what they put there must not be overwritten, followed or waited for.

use std::io::ErrorKind;
use std::path::Path;

use crate::durable::{Disk, EntryKind};
use crate::migration::Error;

/// The files of a run and the bytes that each may begin with, in any store.
const FILES: [(&str, &[u8]); 9] = [
    ("lock", b"p"),
    ("plan.json", b"{"),
    ("checkpoint.bin", b""),
    ("checkpoint.prev", b""),
    ("journal.jsonl", b"{"),
    ("findings.jsonl", b"{"),
    ("report.json", b"{"),
    ("ledger.jsonl", b"{"),
    ("moved", b""),
];
/// The directories of a run.
const DIRECTORIES: [&str; 8] =
    ["staging", "scratch", "verify", "retired", "replaced", "withdrawn", "incoming", "damaged"];
/// What a crash may leave at the start of a file that was not synced, and the end that is put after a torn line.
const LEFT_BY_CRASHES: &[u8] = b"\0\n";

/// Fails if the run directory, or something in it that has a name of haul's, is not what haul makes there. Links are not
/// followed. A directory that is not there is no error.
pub(super) fn check_entries(disk: &dyn Disk, directory: &Path) -> Result<(), Error> {
    match disk.kind(directory)? {
        None => return Ok(()),
        Some(EntryKind::Directory) => {}
        Some(kind) => return Err(foreign(directory, kind)),
    }
    for (name, begins) in FILES {
        let path = directory.join(name);
        match disk.kind(&path)? {
            None => {}
            Some(EntryKind::File) => check_start(disk, &path, begins)?,
            Some(kind) => return Err(foreign(&path, kind)),
        }
    }
    for name in DIRECTORIES {
        let path = directory.join(name);
        match disk.kind(&path)? {
            None | Some(EntryKind::Directory) => {}
            Some(kind) => return Err(foreign(&path, kind)),
        }
    }
    Ok(())
}

/// Fails if a file begins as none of haul's does.
fn check_start(disk: &dyn Disk, path: &Path, begins: &[u8]) -> Result<(), Error> {
    if begins.is_empty() {
        return Ok(());
    }
    let file = match disk.open_for_read(path) {
        // Another process has removed it since it was looked up.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        file => file?,
    };
    let mut first = [0];
    if file.is_empty()? {
        return Ok(());
    }
    match file.read_exact_at(0, &mut first) {
        // Another process is about to write its name into the lock's file.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
        read => read?,
    }
    match begins.contains(&first[0]) || LEFT_BY_CRASHES.contains(&first[0]) {
        true => Ok(()),
        false => Err(refused(path, "it does not begin like a file of haul")),
    }
}

fn foreign(path: &Path, kind: EntryKind) -> Error {
    refused(
        path,
        match kind {
            EntryKind::File => "it is a file, and haul makes a directory there",
            EntryKind::Directory => "it is a directory, and haul makes a file there",
            EntryKind::Other => "it is a link, a pipe or a device, which haul does not make",
        },
    )
}

fn refused(path: &Path, what: &str) -> Error {
    Error::State {
        path: path.to_path_buf(),
        what: format!("{what}; it is left untouched"),
        next: "find out who put it there and move it away, then run the same command again".into(),
        damaged: false,
        source: None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests put foreign entries into a run directory")]

    use std::fs;
    use std::os::unix::fs::symlink;

    use rustix::fs::{CWD, Mode, mkfifoat};

    use super::*;
    use crate::durable::RealDisk;
    use crate::migration::RunDirectory;

    fn refusal(directory: &Path) -> String {
        RunDirectory::new(directory).create(&RealDisk).unwrap_err().to_string()
    }

    #[test]
    fn whatever_is_not_of_haul_is_refused_by_name_and_left() {
        let place = tempfile::tempdir().unwrap();
        let (run, precious) = (place.path().join("migration"), place.path().join("precious"));
        fs::write(&precious, b"precious").unwrap();
        fs::create_dir(&run).unwrap();
        let names = FILES.iter().map(|(name, _)| *name).chain(DIRECTORIES);
        for name in names {
            let path = run.join(name);
            symlink(&precious, &path).unwrap();
            assert!(refusal(&run).starts_with(&format!("{}: it is a link, a pipe", path.display())), "{name}");
            fs::remove_file(&path).unwrap();
            mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
            assert!(refusal(&run).contains("it is a link, a pipe or a device"), "{name}");
            fs::remove_file(&path).unwrap();
        }
        for name in DIRECTORIES {
            fs::write(run.join(name), b"").unwrap();
            assert!(refusal(&run).contains("haul makes a directory there"), "{name}");
            fs::remove_file(run.join(name)).unwrap();
        }
        for (name, begins) in FILES {
            fs::create_dir(run.join(name)).unwrap();
            assert!(refusal(&run).contains("haul makes a file there"), "{name}");
            fs::remove_dir(run.join(name)).unwrap();
            if !begins.is_empty() {
                fs::write(run.join(name), b"my own notes").unwrap();
                assert!(refusal(&run).contains("does not begin like a file of haul"), "{name}");
                fs::remove_file(run.join(name)).unwrap();
            }
        }
        assert_eq!(fs::read(&precious).unwrap(), b"precious");
    }

    #[test]
    fn a_run_directory_that_is_a_link_is_refused() {
        let place = tempfile::tempdir().unwrap();
        symlink(place.path(), place.path().join("migration")).unwrap();
        assert!(refusal(&place.path().join("migration")).contains("it is a link"));
    }

    #[test]
    fn what_crashes_leave_is_of_haul() {
        let place = tempfile::tempdir().unwrap();
        for start in [&b""[..], b"\0\0\0", b"\n", b"{\"at\":\"20"] {
            fs::write(place.path().join("journal.jsonl"), start).unwrap();
            RunDirectory::new(place.path()).create(&RealDisk).unwrap();
        }
    }
}
