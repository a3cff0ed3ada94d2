//! Findings: what a run has to say about single records, one JSON line each, in memory that does not grow with them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::error::{Cause, Error};
use super::text::escaped_json;
use crate::durable::{Disk, DiskFile, parent_of};

/// The longest text kept in a field of a finding, in bytes; the rest is cut off and marked with `…`.
pub const TEXT_BYTES_MAX: usize = 4096;
/// The longest line: four texts with every byte escaped, and the numbers.
const LINE_BYTES_MAX: usize = 4 * 6 * (TEXT_BYTES_MAX + 8) + 1024;
const BUFFER_BYTES: usize = 256 << 10;
const RESTART: &str = "start over with --restart";

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing was left out because of it.
    Note,
    /// The record is not in the target.
    Refused,
    /// The run cannot be published.
    Fatal,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Note => "note",
            Self::Refused => "refused",
            Self::Fatal => "fatal",
        })
    }
}

/// Something about one record or one stretch of a source file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// The source file, relative to the source.
    pub file: String,
    /// Where in it, in bytes.
    pub offset: u64,
    /// How much of it, in bytes.
    pub length: u64,
    /// What is the matter.
    pub reason: String,
    /// The record's identity, if it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The record's sequence number, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// The identity of another record that this is about, such as the one kept of two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub related: Option<String>,
}

impl Finding {
    /// The finding with no text over [`TEXT_BYTES_MAX`], as one line.
    fn line(&self) -> Vec<u8> {
        let short = |text: &String| match text.len() {
            ..=TEXT_BYTES_MAX => text.clone(),
            _ => format!("{}…", &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]),
        };
        let shortened = Self {
            file: short(&self.file),
            reason: short(&self.reason),
            id: self.id.as_ref().map(short),
            related: self.related.as_ref().map(short),
            ..*self
        };
        let line = serde_json::to_string(&shortened).expect("a finding has string keys only");
        let mut line = escaped_json(&line).into_owned().into_bytes();
        line.push(b'\n');
        debug_assert!(line.len() <= LINE_BYTES_MAX);
        line
    }
}

/// The findings of a run, open for appending. What is appended is buffered; [`flush`](Self::flush) writes it, and the
/// sync of [`file`](Self::file), on whichever thread, makes it durable.
pub struct FindingsLog {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    written_bytes: u64,
    buffer: Vec<u8>,
}

impl std::fmt::Debug for FindingsLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FindingsLog").field("path", &self.path).field("len_bytes", &self.len_bytes()).finish()
    }
}

impl FindingsLog {
    /// Opens the log and cuts it to `len_bytes`: 0 at the start of a run, what the checkpoint says on resume.
    pub fn open(disk: &dyn Disk, path: &Path, len_bytes: u64) -> Result<Self, Error> {
        let file = match disk.kind(path)? {
            Some(_) => disk.open_file(path)?,
            None => disk.create_file(path)?,
        };
        disk.sync_directory(parent_of(path))?;
        check_len(&*file, path, len_bytes)?;
        file.set_len(len_bytes)?;
        Ok(Self { path: path.to_path_buf(), file, written_bytes: len_bytes, buffer: Vec::new() })
    }

    /// Adds a finding. Texts over [`TEXT_BYTES_MAX`] are shortened.
    pub fn append(&mut self, finding: &Finding) -> Result<(), Error> {
        self.buffer.extend_from_slice(&finding.line());
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes what is buffered, without waiting for the disk, and returns the length that a checkpoint may name once
    /// [`file`](Self::file) is synced.
    pub fn flush(&mut self) -> Result<u64, Error> {
        self.file.write_all_at(self.written_bytes, &self.buffer)?;
        self.written_bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(self.written_bytes)
    }

    /// Length including what is buffered.
    pub fn len_bytes(&self) -> u64 {
        self.written_bytes + self.buffer.len() as u64
    }

    /// The file, for a sync on another thread.
    pub fn file(&self) -> Arc<dyn DiskFile> {
        self.file.clone()
    }

    /// The findings that are flushed.
    #[cfg(test)]
    pub fn findings(&self) -> Findings {
        Findings { path: self.path.clone(), len_bytes: self.written_bytes }
    }
}

/// Findings on disk, for reading.
#[derive(Debug, Clone)]
pub struct Findings {
    path: PathBuf,
    len_bytes: u64,
}

impl Findings {
    /// The first `len_bytes` of the log at `path`.
    pub fn new(path: impl Into<PathBuf>, len_bytes: u64) -> Self {
        Self { path: path.into(), len_bytes }
    }

    /// All of the log at `path`, if there is one: of a run that has ended.
    pub fn whole(disk: &dyn Disk, path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        let len_bytes = if disk.kind(&path)?.is_some() { disk.open_for_read(&path)?.len()? } else { 0 };
        Ok(Self { path, len_bytes })
    }

    /// Visits each finding in the order in which they were appended, without holding them all.
    pub fn for_each(&self, disk: &dyn Disk, mut visit: impl FnMut(Finding) -> Result<(), Error>) -> Result<(), Error> {
        if self.len_bytes == 0 {
            return Ok(());
        }
        let file = disk.open_for_read(&self.path)?;
        check_len(&*file, &self.path, self.len_bytes)?;
        let mut pending = Vec::new();
        let mut offset_bytes = 0;
        while offset_bytes < self.len_bytes {
            let kept_bytes = pending.len();
            let chunk_bytes = (self.len_bytes - offset_bytes).min(BUFFER_BYTES as u64);
            pending.resize(kept_bytes + chunk_bytes as usize, 0);
            file.read_exact_at(offset_bytes, &mut pending[kept_bytes..])?;
            let line_offset_bytes = offset_bytes - kept_bytes as u64;
            offset_bytes += chunk_bytes;
            let whole_bytes = pending.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            for line in pending[..whole_bytes].split_inclusive(|&byte| byte == b'\n') {
                let finding = serde_json::from_slice(line).map_err(|error| {
                    let what = format!("findings after offset {line_offset_bytes}: {error}");
                    damaged_by(&self.path, what, Some(Box::new(error)))
                })?;
                visit(finding)?;
            }
            pending.drain(..whole_bytes);
            if pending.len() > LINE_BYTES_MAX {
                return Err(damaged(&self.path, format!("findings after offset {line_offset_bytes}: no line ends")));
            }
        }
        Ok(())
    }
}

/// Fails unless the file is at least `len_bytes` long and a line ends there.
fn check_len(file: &dyn DiskFile, path: &Path, len_bytes: u64) -> Result<(), Error> {
    let Some(last_offset) = len_bytes.checked_sub(1) else { return Ok(()) };
    let found_bytes = file.len()?;
    if found_bytes < len_bytes {
        return Err(damaged(path, format!("findings cut short: {found_bytes} bytes of {len_bytes}")));
    }
    let mut last = [0];
    file.read_exact_at(last_offset, &mut last)?;
    if last != *b"\n" {
        return Err(damaged(path, format!("findings damaged: no line ends at {len_bytes}")));
    }
    Ok(())
}

fn damaged(path: &Path, what: String) -> Error {
    damaged_by(path, what, None)
}

fn damaged_by(path: &Path, what: String, source: Option<Cause>) -> Error {
    Error::State { path: path.to_path_buf(), what, next: RESTART.into(), damaged: true, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::SimulatedDisk;
    use crate::migration::test_disk::{bytes_of, crash_faults, disk, put};

    fn path() -> &'static Path {
        Path::new("/run/findings.jsonl")
    }

    fn finding(sequence: u64) -> Finding {
        Finding {
            severity: Severity::Refused,
            file: "wal/000001.log".into(),
            offset: sequence * 10,
            length: 10,
            reason: "checksum mismatch".into(),
            id: None,
            sequence: Some(sequence),
            related: None,
        }
    }

    #[test]
    fn a_line_shows_nothing_that_a_terminal_obeys_and_says_the_same() {
        let id = Some("\u{202e}a\u{9b}b\u{2028}\u{1b}[1m".to_owned());
        let line = String::from_utf8(Finding { id: id.clone(), ..finding(1) }.line()).unwrap();
        assert!(line.contains(r#""\u202ea\u009bb\u2028\u001b[1m""#), "{line}");
        assert_eq!(serde_json::from_str::<Finding>(&line).unwrap().id, id);
    }

    fn sequences(disk: &SimulatedDisk, findings: &Findings) -> Vec<u64> {
        let mut found = Vec::new();
        findings
            .for_each(disk, |finding| {
                found.push(finding.sequence.unwrap());
                Ok(())
            })
            .unwrap();
        found
    }

    fn log_of(disk: &SimulatedDisk, count: u64) -> FindingsLog {
        let mut log = FindingsLog::open(disk, path(), 0).unwrap();
        for sequence in 0..count {
            log.append(&finding(sequence)).unwrap();
        }
        log
    }

    #[test]
    fn a_line_is_frozen() {
        let disk = disk();
        let mut log = log_of(&disk, 1);
        let whole =
            Finding { id: Some("e-1".into()), related: Some("e-2".into()), severity: Severity::Note, ..finding(1) };
        log.append(&whole).unwrap();
        log.flush().unwrap();
        insta::assert_snapshot!(String::from_utf8(bytes_of(&disk, path())).unwrap(), @r#"
        {"severity":"refused","file":"wal/000001.log","offset":0,"length":10,"reason":"checksum mismatch","sequence":0}
        {"severity":"note","file":"wal/000001.log","offset":10,"length":10,"reason":"checksum mismatch","id":"e-1","sequence":1,"related":"e-2"}
        "#);
    }

    #[test]
    fn what_is_appended_is_read_back_in_order_across_many_buffers() {
        let disk = disk();
        let mut log = log_of(&disk, 10_000);
        assert!(log.len_bytes() > 4 * BUFFER_BYTES as u64);
        assert!(log.buffer.capacity() < 2 * (BUFFER_BYTES + LINE_BYTES_MAX));
        assert_eq!(log.flush().unwrap(), log.len_bytes());
        assert_eq!(sequences(&disk, &log.findings()), (0..10_000).collect::<Vec<_>>());
    }

    #[test]
    fn only_what_is_flushed_is_read() {
        let disk = disk();
        let mut log = log_of(&disk, 2);
        assert_eq!(sequences(&disk, &log.findings()), [0u64; 0]);
        log.flush().unwrap();
        log.append(&finding(2)).unwrap();
        assert_eq!(sequences(&disk, &log.findings()), [0, 1]);
    }

    #[test]
    fn resuming_cuts_what_the_checkpoint_does_not_know() {
        let disk = disk();
        let mut log = log_of(&disk, 2);
        let checkpointed_bytes = log.flush().unwrap();
        log.append(&finding(7)).unwrap();
        log.flush().unwrap();

        let mut log = FindingsLog::open(&disk, path(), checkpointed_bytes).unwrap();
        log.append(&finding(2)).unwrap();
        log.flush().unwrap();
        assert_eq!(sequences(&disk, &log.findings()), [0, 1, 2]);

        FindingsLog::open(&disk, path(), 0).unwrap();
        assert_eq!(bytes_of(&disk, path()), b"");
    }

    #[test]
    fn what_was_synced_survives_every_crash_and_is_all_that_is_kept() {
        let disk = disk();
        let mut log = log_of(&disk, 5);
        let checkpointed_bytes = log.flush().unwrap();
        log.file().sync().unwrap();
        let synced_operations = disk.operations();
        log.append(&finding(7)).unwrap();
        log.flush().unwrap();
        log.file().sync().unwrap();
        for fault in crash_faults() {
            for after in synced_operations..=disk.operations() {
                let image = disk.crash_image(after, fault);
                let log = FindingsLog::open(&image, path(), checkpointed_bytes).unwrap();
                assert_eq!(sequences(&image, &log.findings()), [0, 1, 2, 3, 4], "{fault:?} behind {after}");
            }
        }
    }

    #[test]
    fn a_log_that_cannot_hold_the_length_is_refused() {
        let disk = disk();
        let len_bytes = log_of(&disk, 2).flush().unwrap();
        for wrong_bytes in [len_bytes + 1, len_bytes - 1] {
            let error = FindingsLog::open(&disk, path(), wrong_bytes).unwrap_err();
            assert!(matches!(error, Error::State { damaged: true, .. }), "{error}");
            Findings::new(path(), wrong_bytes).for_each(&disk, |_| Ok(())).unwrap_err();
        }
        assert_eq!(bytes_of(&disk, path()).len() as u64, len_bytes);
    }

    #[test]
    fn damage_is_refused_with_its_place() {
        let disk = disk();
        let len_bytes = log_of(&disk, 2).flush().unwrap();
        disk.open_file(path()).unwrap().write_all_at(3, b"\0\0").unwrap();
        let error = Findings::new(path(), len_bytes).for_each(&disk, |_| Ok(())).unwrap_err();
        assert!(error.to_string().contains("findings after offset 0"), "{error}");

        let mut endless = vec![b' '; 3 * BUFFER_BYTES];
        endless.push(b'\n');
        put(&disk, path(), &endless);
        let error = Findings::new(path(), endless.len() as u64).for_each(&disk, |_| Ok(())).unwrap_err();
        assert!(error.to_string().contains("no line ends"), "{error}");
    }

    #[test]
    fn hostile_texts_are_shortened_and_still_read() {
        let disk = disk();
        let mut log = FindingsLog::open(&disk, path(), 0).unwrap();
        let long = "\u{1}".repeat(3 << 20);
        let hostile = Finding {
            file: long.clone(),
            reason: "é".repeat(5000),
            id: Some(long.clone()),
            related: Some(long),
            ..finding(0)
        };
        log.append(&hostile).unwrap();
        assert!(log.flush().unwrap() <= LINE_BYTES_MAX as u64);
        log.findings()
            .for_each(&disk, |found| {
                assert_eq!(found.reason, format!("{}…", "é".repeat(2048)));
                assert_eq!(found.id.unwrap().chars().count(), TEXT_BYTES_MAX + 1);
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn a_visitor_can_end_it() {
        let disk = disk();
        let mut log = log_of(&disk, 2);
        log.flush().unwrap();
        let error = log.findings().for_each(&disk, |_| Err(Error::Accounting { what: "enough".into() })).unwrap_err();
        assert!(error.to_string().contains("enough"));
    }
}
