//! The ledger: a JSON line for each change of a file. Each line has the digest of the line before it
//! (docs/source-sigilzero.md, D9).
//!
//! `migration/ledger.jsonl` spans all runs and is only appended to. A line is durable before the file is replaced, so
//! each replaced file has one. If the replacement does not happen, a later line withdraws it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::durable::{Disk, DiskError, DiskFile, parent_of, replace_file};
use crate::manifest::Mode;
use crate::manifest::document::checksum::hex;
use crate::migration::Error;
use crate::migration::plan::{escape_name, unescape_name};

/// The name of the ledger in the run directory.
pub const FILE_NAME: &str = "ledger.jsonl";
/// The largest number of files that a line excepts.
pub const EXCEPT_MAX: usize = 2000;
/// The longest line. The longest path, with each byte escaped, fits into it.
const LINE_BYTES_MAX: usize = 64 << 10;
const BUFFER_BYTES: usize = 256 << 10;
/// The name of the file that keeps lines torn by a crash, or cut off by a run that started over.
const TORN_NAME: &str = "ledger.torn";
/// The largest number of such files; the last one is replaced.
const TORN_FILES_MAX: u32 = 100;
/// The largest number of bytes of torn lines that are kept.
const TORN_BYTES_MAX: u64 = 64 << 20;

/// A line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerLine {
    /// The number of the line, from 1.
    pub number: u64,
    /// The SHA-256 of the line before without its line end, in hexadecimal. Zeros in the first line.
    pub previous: String,
    /// The run that was carried out, rolled back or cleaned up.
    pub run: String,
    /// What was done.
    #[serde(flatten)]
    pub entry: LedgerEntry,
}

/// The event that a line records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum LedgerEntry {
    /// A run began.
    Began {
        /// The version that files are migrated to.
        target: String,
        /// The instant of its history records.
        now: String,
        /// The settings of the run.
        settings: String,
        /// Its mode. Lines of older versions have none; there it is the first word of the settings.
        #[serde(skip_serializing_if = "Option::is_none")]
        mode: Option<Mode>,
    },
    /// A file is about to be replaced.
    Written(WrittenFile),
    /// A file was not replaced: it had changed, or the run crashed before.
    Withdrawn {
        /// The file, escaped by [`escape_name`].
        file: String,
        /// The number of the line that is withdrawn.
        line: u64,
    },
    /// A file has its former bytes again.
    Restored {
        /// The file.
        file: String,
        /// The number of the line that is undone.
        line: u64,
    },
    /// A backup was removed by a clean-up.
    Removed {
        /// The file whose backup it was.
        file: String,
        /// The number of the line that names the backup.
        line: u64,
    },
    /// A run ended.
    Ended {
        /// Number of files that it replaced.
        migrated: u64,
    },
    /// A verification found no fault in the files of the run.
    Verified {
        /// The lines of files in which, or in whose backups, it did find one.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        except: Vec<u64>,
    },
    /// The operator accepts a file as it is.
    Accepted {
        /// The file.
        file: String,
        /// SHA-256 of its bytes, in hexadecimal; `None` if it does not exist.
        sha256: Option<String>,
    },
}

/// The replacement of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenFile {
    /// The file, relative to the root, escaped by [`escape_name`].
    pub file: String,
    /// Version before.
    pub from: String,
    /// Version after.
    pub to: String,
    /// SHA-256 of the bytes before, in hexadecimal.
    pub before: String,
    /// SHA-256 of the bytes after, in hexadecimal.
    pub after: String,
    /// Name of the backup in the directory of the file, escaped by [`escape_name`].
    pub backup: String,
    /// The permission bits before and after, in octal.
    pub mode: String,
}

impl WrittenFile {
    /// Returns the path of the file.
    pub fn path(&self) -> Option<PathBuf> {
        unescape_name(&self.file).map(PathBuf::from)
    }

    /// Returns the path of the backup.
    pub fn backup_path(&self) -> Option<PathBuf> {
        Some(self.path()?.with_file_name(unescape_name(&self.backup)?))
    }

    /// Returns the permission bits.
    pub fn mode_bits(&self) -> u32 {
        u32::from_str_radix(&self.mode, 8).unwrap_or(0o600)
    }
}

/// The end of a ledger, at which the next line continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct LedgerPosition {
    /// Length in bytes.
    pub len_bytes: u64,
    /// Number of lines.
    pub lines: u64,
    /// SHA-256 of the last line.
    pub digest: [u8; 32],
}

impl Default for LedgerPosition {
    fn default() -> Self {
        Self::START
    }
}

impl LedgerPosition {
    /// The position of an empty ledger.
    pub const START: Self = Self { len_bytes: 0, lines: 0, digest: [0; 32] };

    fn advance(&mut self, line: &[u8]) {
        self.len_bytes += line.len() as u64 + 1;
        self.lines += 1;
        self.digest = Sha256::digest(line).into();
    }
}

/// The ledger, open for appending.
pub struct Ledger {
    file: Arc<dyn DiskFile>,
    run: String,
    position: LedgerPosition,
    written_bytes: u64,
    buffer: Vec<u8>,
}

impl Ledger {
    /// Opens the ledger of the run directory for lines of `run`. Checks the chain of the lines after `known` and passes
    /// each of them to `visit`.
    ///
    /// A crash may tear lines that were not synced. No file was replaced for them yet, so they are copied to
    /// `ledger.torn` and cut off. If `known` is the start and files were written before, a torn line is refused
    /// instead: a run that replaces files has a checkpoint, so a crash does not explain the damage.
    pub fn open(
        disk: &dyn Disk,
        directory: &Path,
        run: &str,
        known: LedgerPosition,
        mut visit: impl FnMut(LedgerLine) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let path = directory.join(FILE_NAME);
        let Some(file) = open_or_create(disk, &path, known == LedgerPosition::START)? else {
            return Err(damaged(&path, 0, format!("the ledger is gone, of {} lines", known.lines)));
        };
        let mut is_in_use = false;
        let Read { position, torn } = read_lines(&*file, &path, known, |line| {
            is_in_use |= matches!(line.entry, LedgerEntry::Written(_));
            visit(line)
        })?;
        if let Some(what) = torn {
            if known == LedgerPosition::START && is_in_use {
                return Err(damaged(&path, position.len_bytes, what));
            }
            put_aside(disk, &*file, &path, position.len_bytes)?;
        }
        file.set_len(position.len_bytes)?;
        Ok(Self::at(file, position, run))
    }

    /// Opens the ledger of a tree whose migration starts over. Passes every line to `visit` up to the first that does not
    /// continue the chain; what comes after is copied to `ledger.torn` and cut off. Also returns what was wrong, if the
    /// ledger is not whole up to `known`.
    pub fn salvage(
        disk: &dyn Disk,
        directory: &Path,
        known: LedgerPosition,
        mut visit: impl FnMut(LedgerLine) -> Result<(), Error>,
    ) -> Result<(Self, Option<String>), Error> {
        let path = directory.join(FILE_NAME);
        let file = open_or_create(disk, &path, true)?.expect("an absent file is created");
        let mut whole = WholeCheck::new(known);
        let Read { position, torn } = read_lines(&*file, &path, LedgerPosition::START, |line| {
            whole.take(&line);
            visit(line)
        })?;
        if torn.is_some() {
            put_aside(disk, &*file, &path, position.len_bytes)?;
        }
        file.set_len(position.len_bytes)?;
        let lost = whole.fault(&position);
        Ok((Self::at(file, position, ""), lost))
    }

    fn at(file: Arc<dyn DiskFile>, position: LedgerPosition, run: &str) -> Self {
        Self { file, run: run.to_owned(), position, written_bytes: position.len_bytes, buffer: Vec::new() }
    }

    /// Makes `run` the run of the lines that follow.
    pub fn begin_run(&mut self, run: &str) {
        run.clone_into(&mut self.run);
    }

    /// Adds a line in memory and returns its number. [`sync`](Self::sync) makes it durable.
    pub fn append(&mut self, entry: LedgerEntry) -> Result<u64, Error> {
        let number = self.position.lines + 1;
        let line = LedgerLine { number, previous: hex(&self.position.digest), run: self.run.clone(), entry };
        let start = self.buffer.len();
        serde_json::to_writer(&mut self.buffer, &line).expect("a line has string keys only");
        self.position.advance(&self.buffer[start..]);
        self.buffer.push(b'\n');
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        Ok(number)
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        self.file.write_all_at(self.written_bytes, &self.buffer)?;
        self.written_bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Makes all lines durable and returns the position after the last one.
    pub fn sync(&mut self) -> Result<LedgerPosition, Error> {
        if !self.buffer.is_empty() {
            self.flush()?;
            self.file.sync()?;
        }
        Ok(self.position)
    }
}

/// Passes each line of a ledger to `visit`, in order. An absent ledger has no lines.
pub fn for_each_line(
    disk: &dyn Disk,
    directory: &Path,
    visit: impl FnMut(LedgerLine) -> Result<(), Error>,
) -> Result<LedgerPosition, Error> {
    let path = directory.join(FILE_NAME);
    match disk.open_for_read(&path) {
        Ok(file) => match read_lines(&*file, &path, LedgerPosition::START, visit)? {
            Read { position, torn: None } => Ok(position),
            Read { position, torn: Some(what) } => Err(damaged(&path, position.len_bytes, what)),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(LedgerPosition::START),
        Err(error) => Err(error.into()),
    }
}

/// Checks whether a ledger is whole up to a position: one that was removed or cut short continues its chain all the
/// same.
pub struct WholeCheck {
    known: LedgerPosition,
    /// The digest of the last known line, as the line after it has it.
    digest: Option<String>,
}

impl WholeCheck {
    /// Creates the check for the position in the checkpoint.
    pub fn new(known: LedgerPosition) -> Self {
        Self { known, digest: None }
    }

    /// Takes a line of the ledger, in order.
    pub fn take(&mut self, line: &LedgerLine) {
        if line.number == self.known.lines + 1 {
            self.digest = Some(line.previous.clone());
        }
    }

    /// Returns what is wrong, for a ledger that ends at `end`.
    pub fn fault(&self, end: &LedgerPosition) -> Option<String> {
        let (known, lines) = (&self.known, end.lines);
        if lines < known.lines {
            return Some(match lines {
                0 => format!("the ledger is gone, of {} lines", known.lines),
                _ => format!("the ledger was cut short: {lines} lines of {}", known.lines),
            });
        }
        let digest = if lines == known.lines { Some(hex(&end.digest)) } else { self.digest.clone() };
        let is_same = known.lines == 0 || digest.is_none_or(|digest| digest == hex(&known.digest));
        (!is_same).then(|| format!("line {} of the ledger is not the one that the checkpoint names", known.lines))
    }
}

/// Opens the file of a ledger. Returns `None` if it is absent and may not be created.
fn open_or_create(disk: &dyn Disk, path: &Path, may_create: bool) -> Result<Option<Arc<dyn DiskFile>>, DiskError> {
    let file = match disk.kind(path)? {
        Some(_) => disk.open_file(path)?,
        None if may_create => disk.create_file(path)?,
        None => return Ok(None),
    };
    disk.sync_directory(parent_of(path))?;
    Ok(Some(file))
}

/// Copies the bytes that are about to be cut off to a file of their own.
fn put_aside(disk: &dyn Disk, file: &dyn DiskFile, path: &Path, from_bytes: u64) -> Result<(), Error> {
    let mut target = path.with_file_name(TORN_NAME);
    for number in 2..=TORN_FILES_MAX {
        if disk.kind(&target)?.is_none() {
            break;
        }
        target = path.with_file_name(format!("{TORN_NAME}.{number}"));
    }
    let len_bytes = file.len()?.saturating_sub(from_bytes).min(TORN_BYTES_MAX);
    let mut bytes = vec![0; len_bytes as usize];
    file.read_exact_at(from_bytes, &mut bytes)?;
    Ok(replace_file(disk, &target, &bytes)?)
}

/// The result of reading a ledger.
struct Read {
    position: LedgerPosition,
    /// What is wrong with the line after `position`, if that line has an end.
    torn: Option<String>,
}

/// Reads the lines after `known`. Returns the position after the last line that continues the chain.
fn read_lines(
    file: &dyn DiskFile,
    path: &Path,
    known: LedgerPosition,
    mut visit: impl FnMut(LedgerLine) -> Result<(), Error>,
) -> Result<Read, Error> {
    let len_bytes = file.len()?;
    if len_bytes < known.len_bytes {
        let what = format!("the ledger was cut short: {len_bytes} bytes of {}", known.len_bytes);
        return Err(damaged(path, len_bytes, what));
    }
    let mut position = known;
    let mut offset = known.len_bytes;
    let mut pending = Vec::new();
    while offset < len_bytes {
        let kept = pending.len();
        let chunk_bytes = (len_bytes - offset).min(BUFFER_BYTES as u64);
        pending.resize(kept + chunk_bytes as usize, 0);
        file.read_exact_at(offset, &mut pending[kept..])?;
        offset += chunk_bytes;
        let whole = pending.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        for text in pending[..whole].split_inclusive(|&byte| byte == b'\n') {
            let text = &text[..text.len() - 1];
            match checked_line(text, &position) {
                Ok(line) => {
                    position.advance(text);
                    visit(line)?;
                }
                Err(what) => return Ok(Read { position, torn: Some(what) }),
            }
        }
        pending.drain(..whole);
        if pending.len() > LINE_BYTES_MAX {
            return Ok(Read { position, torn: Some("a line is too long".into()) });
        }
    }
    Ok(Read { position, torn: None })
}

fn checked_line(text: &[u8], position: &LedgerPosition) -> Result<LedgerLine, String> {
    let line: LedgerLine = serde_json::from_slice(text).map_err(|e| format!("not a line of a ledger: {e}"))?;
    if line.number != position.lines + 1 {
        return Err(format!("line {} where line {} is expected", line.number, position.lines + 1));
    }
    if line.previous != hex(&position.digest) {
        return Err(format!("line {} does not follow on the line before it", line.number));
    }
    Ok(line)
}

/// What to do about a ledger that is damaged or gone.
pub const NEXT_WITHOUT: &str = "restore the ledger from a copy; without one, `haul manifest migrate --restart` goes on with \
    the lines before, and what is missing of the ledger cannot be rolled back";

/// Returns the error of a ledger that is damaged or gone.
pub fn damaged(path: &Path, offset: u64, what: String) -> Error {
    Error::Corrupt { path: path.to_path_buf(), offset, what, next: NEXT_WITHOUT.into(), source: None }
}

/// Returns a path as lines record it.
pub fn file_text(path: &Path) -> String {
    escape_name(path.as_os_str())
}

#[cfg(test)]
mod tests;
