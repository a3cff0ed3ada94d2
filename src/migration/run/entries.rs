//! Looks at what has a name in a run directory that haul uses, before anything there is opened or removed: other users may
//! be able to write to the directory, and what they put there must not be overwritten, followed or waited for.

use std::io::ErrorKind;
use std::path::Path;

use serde::Deserialize;

use crate::durable::{Disk, EntryKind};
use crate::migration::{Error, checkpoint, journal};

/// The files of a run and the bytes that each may begin with, in any store.
const FILES: [(&str, &[u8]); 12] = [
    ("lock", b"p"),
    ("plan.json", b"{"),
    ("checkpoint.bin", b""),
    ("checkpoint.prev", b""),
    ("journal.jsonl", b"{"),
    ("findings.jsonl", b"{"),
    ("report.json", b"{"),
    ("ledger.jsonl", b"{"),
    ("moved", b""),
    ("live.json", b"{"),
    ("estimate.json", b"{"),
    ("report.html", b"<"),
];
/// The longest plan in which the id of a run is looked for.
const PLAN_BYTES_MAX: u64 = 1 << 20;
/// Directories whose content only a run makes or moves there, after its plan is durable.
const MADE_BY_RUNS: [&str; 5] = ["staging", "retired", "replaced", "withdrawn", "incoming"];
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
    check_made(disk, directory)
}

/// Fails if there is something in a directory that only runs fill, and nothing next to it has the id of a run.
fn check_made(disk: &dyn Disk, directory: &Path) -> Result<(), Error> {
    for name in MADE_BY_RUNS {
        let path = directory.join(name);
        let is_filled = match disk.list(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            entries => !entries?.is_empty(),
        };
        if is_filled {
            return match has_run(disk, directory)? {
                true => Ok(()),
                false => {
                    Err(refused(&path, "nothing next to it has the id of a run, so nothing shows that haul made it"))
                }
            };
        }
    }
    Ok(())
}

/// Returns true if the plan, a checkpoint or the journal shows that a run has worked in the directory.
fn has_run(disk: &dyn Disk, directory: &Path) -> Result<bool, Error> {
    #[derive(Deserialize)]
    struct Plan {
        run_id: String,
    }
    let is_plan = |bytes: &[u8]| serde_json::from_slice::<Plan>(bytes).is_ok_and(|plan| !plan.run_id.is_empty());
    if start_of(disk, &directory.join("plan.json"), PLAN_BYTES_MAX)?.is_some_and(|bytes| is_plan(&bytes)) {
        return Ok(true);
    }
    for name in [checkpoint::FILE_NAME, checkpoint::PREVIOUS_FILE_NAME] {
        let begins = start_of(disk, &directory.join(name), checkpoint::MAGIC.len() as u64)?;
        if begins.as_deref() == Some(checkpoint::MAGIC) {
            return Ok(true);
        }
    }
    // Without the id of a run, an entry is that of a command which needs none.
    Ok(journal::read(disk, directory)?.entries.iter().any(|entry| entry.run_id.len() > 1))
}

/// Returns the first bytes of a file; `None` if there is none.
fn start_of(disk: &dyn Disk, path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, Error> {
    let file = match disk.open_for_read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut bytes = vec![0; file.len()?.min(bytes_max) as usize];
    file.read_exact_at(0, &mut bytes)?;
    Ok(Some(bytes))
}

/// Returns true if a name in the run directory is that of a file which was to replace one of a run's when its writer died.
pub fn is_temporary_of_run(name: &str) -> bool {
    FILES.iter().any(|(file, _)| name.strip_prefix('.').and_then(|name| name.strip_suffix(".tmp")) == Some(file))
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
    fn what_no_run_has_made_is_refused_and_left() {
        for name in MADE_BY_RUNS {
            let place = tempfile::tempdir().unwrap();
            let run = place.path().join("migration");
            fs::create_dir_all(run.join(name)).unwrap();
            RunDirectory::new(&run).create(&RealDisk).unwrap();
            fs::write(run.join(name).join("precious"), b"precious").unwrap();
            for (file, bytes) in
                [("journal.jsonl", &b""[..]), ("plan.json", b"{\"run\":1}"), ("checkpoint.bin", b"HAUL")]
            {
                fs::write(run.join(file), bytes).unwrap();
                assert!(refusal(&run).contains("nothing shows that haul made it"), "{name}, {file}");
            }
            assert!(run.join(name).join("precious").exists());
            let line = r#"{"at":"2026-11-21T01:18:00.000Z","run_id":"r1","event":"started"}"#;
            for (file, bytes) in
                [("journal.jsonl", line), ("plan.json", r#"{"run_id":"r1"}"#), ("checkpoint.bin", "HAULCKPT2")]
            {
                let before = fs::read(run.join(file)).unwrap();
                fs::write(run.join(file), bytes).unwrap();
                RunDirectory::new(&run).create(&RealDisk).unwrap();
                fs::write(run.join(file), before).unwrap();
            }
        }
    }

    #[test]
    fn only_names_of_state_files_are_temporary() {
        assert!(is_temporary_of_run(".plan.json.tmp") && is_temporary_of_run(".checkpoint.bin.tmp"));
        for name in [".mine.tmp", "plan.json.tmp", ".plan.json", ".tmp", "..tmp"] {
            assert!(!is_temporary_of_run(name), "{name}");
        }
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
