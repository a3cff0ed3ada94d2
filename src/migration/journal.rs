//! The journal: one JSON line for every change of a run's state, for audit. Only ever appended to.
//!
//! No secret may be put into an entry: no password, no connection string with one. Callers redact before they append.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::text::escaped_json;
use super::{Error, clock};
use crate::durable::{Disk, DiskError, DiskFile};

/// Name of the journal in the run directory.
pub const FILE_NAME: &str = "journal.jsonl";
/// The part at the end of a journal that [`read`] takes in.
pub const READ_BYTES_MAX: u64 = 16 << 20;

/// One change of a run's state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalEntry {
    /// When, as RFC 3339 in UTC with milliseconds.
    pub at: String,
    /// Which run.
    pub run_id: String,
    /// What happened, as a lower-case name: `started`, `sealed`, `published`.
    pub event: String,
    /// Further facts.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub detail: serde_json::Value,
}

impl JournalEntry {
    /// An entry of this moment.
    pub fn now(run_id: impl Into<String>, event: impl Into<String>, detail: serde_json::Value) -> Self {
        Self { at: now_text(), run_id: run_id.into(), event: event.into(), detail }
    }
}

/// This moment as RFC 3339 in UTC with milliseconds.
pub fn now_text() -> String {
    format!("{:.3}", clock::now_or_nearest())
}

/// What [`read`] found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct JournalContents {
    /// The entries, oldest first.
    pub entries: Vec<JournalEntry>,
    /// Lines that are no entry: what a crash tore.
    pub damaged_lines: u64,
    /// Bytes at the start that were left out because the journal is longer than [`READ_BYTES_MAX`].
    pub skipped_bytes: u64,
}

/// The journal of a run, open for appending.
pub struct Journal {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// The file and where the next line goes; `None` if an append failed, because a failed sync is final for an open
    /// file and the end must be looked at again.
    tail: Mutex<Option<Tail>>,
}

struct Tail {
    file: Arc<dyn DiskFile>,
    end: u64,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Journal {
    /// Opens the journal in `directory`, creating it durably if it is absent. A line that a crash tore is terminated,
    /// so that what follows starts on a line of its own; nothing is ever cut off.
    pub fn open(disk: Arc<dyn Disk>, directory: &Path) -> Result<Self, Error> {
        let path = directory.join(FILE_NAME);
        if disk.kind(&path)?.is_none() {
            disk.create_file(&path)?;
        }
        // Also where the file exists: the run that created it may have crashed before this step.
        disk.sync_directory(directory)?;
        let tail = Mutex::new(Some(tail(&*disk, &path)?));
        Ok(Self { disk, path, tail })
    }

    /// Where it is.
    #[cfg(test)]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends an entry; it is durable on return.
    pub fn append(&self, entry: &JournalEntry) -> Result<(), Error> {
        let line = serde_json::to_string(entry).expect("an entry has string keys only");
        let mut line = escaped_json(&line).into_owned().into_bytes();
        line.push(b'\n');
        let mut kept = self.tail.lock();
        let Tail { file, end } = match kept.take() {
            Some(tail) => tail,
            None => tail(&*self.disk, &self.path)?,
        };
        file.write_all_at(end, &line)?;
        file.sync()?;
        *kept = Some(Tail { file, end: end + line.len() as u64 });
        Ok(())
    }
}

/// Opens the journal at its end.
fn tail(disk: &dyn Disk, path: &Path) -> Result<Tail, DiskError> {
    let file = disk.open_file(path)?;
    let end = terminate(&*file)?;
    Ok(Tail { file, end })
}

/// Ends the last line if it is not, and returns the length of the file.
fn terminate(file: &dyn DiskFile) -> Result<u64, DiskError> {
    let len_bytes = file.len()?;
    let Some(last_offset) = len_bytes.checked_sub(1) else { return Ok(0) };
    let mut last = [0];
    file.read_exact_at(last_offset, &mut last)?;
    if last == *b"\n" {
        return Ok(len_bytes);
    }
    file.write_all_at(len_bytes, b"\n")?;
    Ok(len_bytes + 1)
}

/// Reads the journal in `directory`, at most the last [`READ_BYTES_MAX`] bytes of it. An absent one is empty.
pub fn read(disk: &dyn Disk, directory: &Path) -> Result<JournalContents, Error> {
    let path = directory.join(FILE_NAME);
    let mut contents = JournalContents::default();
    if disk.kind(&path)?.is_none() {
        return Ok(contents);
    }
    let file = disk.open_for_read(&path)?;
    let len_bytes = file.len()?;
    let mut bytes = vec![0; len_bytes.min(READ_BYTES_MAX) as usize];
    file.read_exact_at(len_bytes - bytes.len() as u64, &mut bytes)?;
    let mut rest = bytes.as_slice();
    if len_bytes > READ_BYTES_MAX {
        let line_start = rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |at| at + 1);
        rest = &rest[line_start..];
        contents.skipped_bytes = len_bytes - rest.len() as u64;
    }
    for line in rest.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice(line) {
            Ok(entry) => contents.entries.push(entry),
            Err(_) => contents.damaged_lines += 1,
        }
    }
    Ok(contents)
}

/// The last `count` entries of the journal in `directory`, oldest first.
pub fn last(disk: &dyn Disk, directory: &Path, count: usize) -> Result<Vec<JournalEntry>, Error> {
    let mut entries = read(disk, directory)?.entries;
    entries.drain(..entries.len().saturating_sub(count));
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::durable::{InjectedFault, SimulatedDisk};
    use crate::migration::test_disk::{bytes_of, crash_faults, disk, put};

    fn directory() -> &'static Path {
        Path::new("/run")
    }

    fn entry(event: &str) -> JournalEntry {
        JournalEntry {
            at: "2026-11-21T01:18:00.000Z".into(),
            run_id: "r1".into(),
            event: event.into(),
            detail: json!({"n": 1}),
        }
    }

    fn events(disk: &SimulatedDisk) -> (Vec<String>, u64) {
        let contents = read(disk, directory()).unwrap();
        (contents.entries.into_iter().map(|entry| entry.event).collect(), contents.damaged_lines)
    }

    #[test]
    fn a_line_is_frozen() {
        let disk = Arc::new(disk());
        let journal = Journal::open(disk.clone(), directory()).unwrap();
        journal.append(&entry("two\nlines")).unwrap();
        journal.append(&JournalEntry { detail: json!(null), ..entry("plain") }).unwrap();
        insta::assert_snapshot!(String::from_utf8(bytes_of(&disk, journal.path())).unwrap(), @r#"
        {"at":"2026-11-21T01:18:00.000Z","run_id":"r1","event":"two\nlines","detail":{"n":1}}
        {"at":"2026-11-21T01:18:00.000Z","run_id":"r1","event":"plain"}
        "#);
    }

    #[test]
    fn times_are_utc_with_milliseconds() {
        let at = JournalEntry::now("r1", "started", json!(null)).at;
        assert_eq!((at.len(), &at[10..11], &at[19..20], &at[23..]), (24, "T", ".", "Z"), "{at}");
    }

    #[test]
    fn entries_of_several_runs_are_read_in_order() {
        let disk = Arc::new(disk());
        assert_eq!(read(&*disk, directory()).unwrap(), JournalContents::default());
        for event in ["started", "sealed", "published"] {
            Journal::open(disk.clone(), directory()).unwrap().append(&entry(event)).unwrap();
        }
        assert_eq!(events(&disk), (vec!["started".into(), "sealed".into(), "published".into()], 0));
    }

    #[test]
    fn the_last_entries_come_oldest_first() {
        let disk = Arc::new(disk());
        let journal = Journal::open(disk.clone(), directory()).unwrap();
        ["first", "second", "third"].iter().for_each(|name| journal.append(&entry(name)).unwrap());
        let names = |count| -> Vec<_> {
            last(&*disk, directory(), count).unwrap().into_iter().map(|entry| entry.event).collect()
        };
        assert_eq!(names(2), ["second", "third"]);
        assert_eq!((names(0).len(), names(9).len()), (0, 3));
    }

    #[test]
    fn a_line_torn_at_any_byte_loses_no_other() {
        let disk = Arc::new(disk());
        let journal = Journal::open(disk.clone(), directory()).unwrap();
        journal.append(&entry("first")).unwrap();
        let first = bytes_of(&disk, journal.path());
        journal.append(&entry("second")).unwrap();
        let both = bytes_of(&disk, journal.path());
        for len in first.len()..=both.len() {
            put(&disk, journal.path(), &both[..len]);
            Journal::open(disk.clone(), directory()).unwrap().append(&entry("third")).unwrap();
            let whole = len + 1 >= both.len();
            let torn = u64::from(!whole && len > first.len());
            let expected: &[&str] = if whole { &["first", "second", "third"] } else { &["first", "third"] };
            assert_eq!(events(&disk), (expected.iter().map(|&e| e.into()).collect(), torn), "{len}");
            assert!(bytes_of(&disk, journal.path()).starts_with(&both[..len]));
        }
    }

    #[test]
    fn an_append_after_a_failed_one_starts_a_line() {
        for fault in InjectedFault::ALL {
            for operation in 0..2 {
                let disk = Arc::new(disk());
                let journal = Journal::open(disk.clone(), directory()).unwrap();
                journal.append(&entry("first")).unwrap();
                disk.fail_operation(operation, fault);
                journal.append(&entry("a much longer one that fails in its middle")).unwrap_err();
                journal.append(&entry("third")).unwrap();
                let (events, _) = events(&disk);
                assert_eq!((events[0].as_str(), events.last().unwrap().as_str()), ("first", "third"));
            }
        }
    }

    #[test]
    fn what_was_appended_survives_every_crash() {
        let disk = Arc::new(disk());
        let journal = Journal::open(disk.clone(), directory()).unwrap();
        let names = ["first", "second", "third"];
        let mut appended = Vec::new();
        for name in names {
            let detail = json!("long enough for several sectors ".repeat(60));
            journal.append(&JournalEntry { detail, ..entry(name) }).unwrap();
            appended.push(disk.operations());
        }
        for fault in crash_faults() {
            for (after, image) in disk.crash_images(fault).enumerate() {
                let durable = appended.iter().filter(|&&operations| operations <= after).count();
                let image = Arc::new(image);
                let (found, _) = events(&image);
                assert!(found.len() >= durable && found == names[..found.len()], "{fault:?} behind {after}: {found:?}");

                Journal::open(image.clone(), directory()).unwrap().append(&entry("resumed")).unwrap();
                let (resumed, _) = events(&image);
                assert!(resumed.len() > durable && resumed.last().unwrap() == "resumed", "{fault:?} behind {after}");
            }
        }
    }

    #[test]
    fn a_long_journal_is_read_from_a_line_near_its_end() {
        let disk = Arc::new(disk());
        let line = format!("{}\n", serde_json::to_string(&entry("old")).unwrap());
        let mut bytes = line.repeat((READ_BYTES_MAX as usize / line.len()) + 10).into_bytes();
        bytes.extend_from_slice(line.replace("old", "new").as_bytes());
        let path = directory().join(FILE_NAME);
        put(&disk, &path, &bytes);
        let contents = read(&*disk, directory()).unwrap();
        assert_eq!((contents.entries.last().unwrap().event.as_str(), contents.damaged_lines), ("new", 0));
        assert_eq!(contents.skipped_bytes + (contents.entries.len() * line.len()) as u64, bytes.len() as u64);
        assert!(contents.skipped_bytes > 0);
    }
}
