//! Looks up keys in a map that stays on disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::reverse::{Reverse, ReverseState};
use super::row::{HEADER_LINE, MapRow, ROW_TEXT_BYTES_MAX};
use crate::cas::format::key::Key;
use crate::cas::format::key_text::KeyText;
use crate::durable::{Disk, DiskFile, ReaderKind, RealDisk, SourceFile};
use crate::migration::Error;

/// A search reads the rest at once when it is as short as this.
const WINDOW_BYTES: u64 = 4 << 10;
/// Entries of the reverse file that are read together; few rows share a new key.
const ENTRIES_AT_ONCE: u64 = 4;
/// Bytes that one read returns when all rows are read.
const READ_BYTES: u64 = 256 << 10;
/// Bytes that one read of a cursor returns.
const CURSOR_BYTES: u64 = 16 << 10;
/// Rows that a cursor skips before it searches.
const SKIPPED_MAX: u32 = 256;
/// Most rows that one lookup returns. In the map of a migration, a key has one for each algorithm; a forged map may not
/// fill the memory.
const ROWS_FOUND_MAX: usize = 1024;

/// A map that is open for reading. Threads may share it.
pub struct KeyMap {
    pub(super) path: PathBuf,
    file: Arc<dyn DiskFile>,
    len_bytes: u64,
    pub(super) reverse: ReverseState,
}

impl KeyMap {
    /// Opens the map at `path`, and its reverse file if it has one that fits.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the file does not start with the header line of a map or does not end in a line feed.
    pub fn open(path: &Path) -> Result<Self, Error> {
        // Refuses a pipe, which would block until something writes to it.
        SourceFile::open(path, ReaderKind::Pread)?;
        // A map that the caller names may be a link to one. The files of a run are never links.
        let is_link = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
        match is_link.then(|| std::fs::canonicalize(path)) {
            Some(Ok(path)) => Self::open_on(&RealDisk, &path),
            _ => Self::open_on(&RealDisk, path),
        }
    }

    /// Works like [`open`](Self::open) on any disk.
    pub fn open_on(disk: &dyn Disk, path: &Path) -> Result<Self, Error> {
        let file = disk.open_for_read(path)?;
        let len_bytes = file.len()?;
        check_ends(&*file, path, len_bytes)?;
        let reverse = Reverse::open(disk, path, len_bytes)?;
        Ok(Self { path: path.to_path_buf(), file, len_bytes, reverse })
    }

    /// Returns the path of the map.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the length in bytes.
    pub fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    /// Returns true if there is a reverse file that fits. Without one, the lookup of a new key reads the whole map.
    pub fn has_reverse(&self) -> bool {
        matches!(self.reverse, ReverseState::Fits(_))
    }

    /// Returns the rows of an old key, by the names of their algorithms.
    pub fn find_old(&self, key: Key) -> Result<Vec<MapRow>, Error> {
        let mut found: Vec<MapRow> = Vec::new();
        let mut lines = Lines::new(self, self.lower_bound(key)?, WINDOW_BYTES);
        while let Some((offset, row)) = lines.next(|offset| self.line_number(offset))? {
            if row.old_key != key {
                break;
            }
            if found.last().is_some_and(|last| last.identity() >= row.identity()) {
                return Err(self.corrupt_at(offset, "it is not in order"));
            }
            found.push(row);
        }
        Ok(found)
    }

    /// Visits the rows whose old key begins as the text says and was made as it says, in order, until `visit` returns
    /// false.
    pub fn for_each_old(&self, text: &KeyText, mut visit: impl FnMut(&MapRow) -> bool) -> Result<(), Error> {
        let mut lines = Lines::new(self, self.lower_bound(text.lowest())?, WINDOW_BYTES);
        while let Some((_, row)) = lines.next(|offset| self.line_number(offset))? {
            let is_made_so = text.algorithm.is_none_or(|algorithm| algorithm == row.old_algorithm);
            if !text.begins(row.old_key) || is_made_so && !visit(&row) {
                break;
            }
        }
        Ok(())
    }

    /// Visits the new keys that begin as the text says, until `visit` returns false. Without a reverse file that fits,
    /// this reads the whole map.
    pub fn for_each_new(&self, text: &KeyText, mut visit: impl FnMut(Key) -> bool) -> Result<(), Error> {
        match &self.reverse {
            ReverseState::Fits(reverse) => {
                for entry in reverse.entries_from(reverse.lower_bound(text.lowest())?, ENTRIES_AT_ONCE) {
                    let key = entry?.1.key();
                    if !text.begins(key) || !visit(key) {
                        break;
                    }
                }
            }
            ReverseState::Unfit(_) | ReverseState::Absent => {
                for row in self.rows() {
                    let key = row?.row.new_key;
                    if text.begins(key) && !visit(key) {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Returns the rows of a new key in the order of the map. Without a reverse file that fits, this reads the whole
    /// map.
    pub fn find_new(&self, key: Key) -> Result<Vec<MapRow>, Error> {
        let mut found = Vec::new();
        let mut add = |row| {
            found.push(row);
            if found.len() <= ROWS_FOUND_MAX { Ok(()) } else { Err(self.too_many(key)) }
        };
        match &self.reverse {
            ReverseState::Fits(reverse) => self.for_each_reversed(reverse, key, &mut add)?,
            ReverseState::Unfit(_) | ReverseState::Absent => {
                for row in self.rows() {
                    let row = row?.row;
                    if row.new_key == key {
                        add(row)?;
                    }
                }
            }
        }
        Ok(found)
    }

    /// Returns all rows in order, each with its position.
    pub fn rows(&self) -> Rows<'_> {
        Rows { lines: Lines::new(self, HEADER_LINE.len() as u64, READ_BYTES), line: 1, failed: false }
    }

    fn for_each_reversed(
        &self,
        reverse: &Reverse,
        key: Key,
        add: &mut dyn FnMut(MapRow) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for entry in reverse.entries_from(reverse.lower_bound(key)?, ENTRIES_AT_ONCE) {
            let (index, entry) = entry?;
            if entry.key() != key {
                break;
            }
            add(self.row_of_entry(reverse, index, key, entry.offset.get())?)?;
        }
        Ok(())
    }

    /// Returns the row to which entry `index` of the reverse file leads.
    pub(super) fn row_of_entry(&self, reverse: &Reverse, index: u64, key: Key, offset: u64) -> Result<MapRow, Error> {
        let wrong =
            || reverse.corrupt(Reverse::offset_of(index), format!("entry {index} leads to no line with its key"));
        if offset < HEADER_LINE.len() as u64 || offset >= self.len_bytes {
            return Err(wrong());
        }
        // The byte before the line must be a line feed: an entry of a damaged reverse file may point into a line.
        let window = self.window(offset - 1, ROW_TEXT_BYTES_MAX as u64 + 1)?;
        if window[0] != b'\n' {
            return Err(wrong());
        }
        let (row, _) = self.parse(&window[1..], offset, || self.line_number(offset))?;
        if row.new_key == key { Ok(row) } else { Err(wrong()) }
    }

    /// Returns where the first line starts whose old key is not below `key`; the end of the map if there is none.
    fn lower_bound(&self, key: Key) -> Result<u64, Error> {
        // Lines that start before `low` are below the key, those that start at `high` or later are not.
        let (mut low, mut high) = (HEADER_LINE.len() as u64, self.len_bytes);
        while high - low > WINDOW_BYTES {
            let (start, window) = self.line_from(low + (high - low) / 2)?;
            let (row, line_bytes) = self.parse(&window, start, || self.line_number(start))?;
            if row.old_key < key {
                low = start + line_bytes as u64;
            } else {
                high = start;
            }
        }
        let mut lines = Lines::new(self, low, WINDOW_BYTES);
        while let Some((offset, row)) = lines.next(|offset| self.line_number(offset))? {
            if row.old_key >= key {
                return Ok(offset);
            }
        }
        Ok(self.len_bytes)
    }

    /// Returns the first line that starts after `offset`, with the bytes after it. In a map, one starts within the
    /// length of two lines.
    fn line_from(&self, offset: u64) -> Result<(u64, Vec<u8>), Error> {
        let mut window = self.window(offset, 2 * ROW_TEXT_BYTES_MAX as u64)?;
        let end = window[..ROW_TEXT_BYTES_MAX].iter().position(|&byte| byte == b'\n');
        let Some(end) = end else {
            return Err(self.corrupt_at(offset, "the line is longer than a row"));
        };
        window.drain(..=end);
        Ok((offset + end as u64 + 1, window))
    }

    /// Returns the bytes at `offset`, fewer if the map ends before.
    fn window(&self, offset: u64, bytes_max: u64) -> Result<Vec<u8>, Error> {
        let mut window = vec![0; bytes_max.min(self.len_bytes - offset) as usize];
        self.read_at(offset, &mut window)?;
        Ok(window)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        Ok(self.file.read_exact_at(offset, buffer)?)
    }

    /// Returns the row at the start of `bytes`, which are at `offset` of the map, and the length of its line. `line`
    /// gives the number of the line for an error.
    fn parse(
        &self,
        bytes: &[u8],
        offset: u64,
        line: impl FnOnce() -> Result<u64, Error>,
    ) -> Result<(MapRow, usize), Error> {
        let bytes = &bytes[..bytes.len().min(ROW_TEXT_BYTES_MAX)];
        let end =
            bytes.iter().position(|&byte| byte == b'\n').ok_or_else(|| "the line is longer than a row".to_owned());
        match end.and_then(|end| Ok((MapRow::parse_line(&bytes[..end]).map_err(|e| e.to_string())?, end + 1))) {
            Ok(found) => Ok(found),
            Err(what) => Err(self.corrupt(offset, line()?, &what)),
        }
    }

    /// Returns the number of the line at `offset`.
    fn line_number(&self, offset: u64) -> Result<u64, Error> {
        let (mut line, mut at) = (1, 0);
        while at < offset {
            let window = self.window(at, (offset - at).min(64 << 10))?;
            line += window.iter().filter(|&&byte| byte == b'\n').count() as u64;
            at += window.len() as u64;
        }
        Ok(line)
    }

    /// Returns the error about the line at `offset`.
    fn corrupt_at(&self, offset: u64, what: &str) -> Error {
        match self.line_number(offset) {
            Ok(line) => self.corrupt(offset, line, what),
            Err(error) => error,
        }
    }

    pub(super) fn corrupt(&self, offset: u64, line: u64, what: &str) -> Error {
        corrupt(&self.path, offset, format!("line {line}: {what}"))
    }

    fn too_many(&self, key: Key) -> Error {
        corrupt(&self.path, 0, format!("more than {ROWS_FOUND_MAX} rows lead to {key}"))
    }
}

impl std::fmt::Debug for KeyMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyMap").field("path", &self.path).field("len_bytes", &self.len_bytes).finish_non_exhaustive()
    }
}

/// Finds the rows of many old keys. Keys in ascending order cost little more than one pass over their lines.
pub struct MapCursor<'a> {
    map: &'a KeyMap,
    lines: Option<Lines<'a>>,
    /// The first row after those of the last key.
    ahead: Option<MapRow>,
    last: Key,
    found: Vec<MapRow>,
}

impl<'a> MapCursor<'a> {
    /// Creates a cursor.
    pub fn new(map: &'a KeyMap) -> Self {
        Self { map, lines: None, ahead: None, last: Key([0; 32]), found: Vec::new() }
    }

    /// Returns the rows of an old key.
    pub fn find_old(&mut self, key: Key) -> Result<&[MapRow], Error> {
        if self.lines.is_none() || key <= self.last {
            self.seek(key)?;
        }
        self.last = key;
        let mut skipped = 0;
        while self.ahead.is_some_and(|row| row.old_key < key) {
            if skipped == SKIPPED_MAX {
                self.seek(key)?;
                break;
            }
            skipped += 1;
            self.step()?;
        }
        self.found.clear();
        while let Some(row) = self.ahead.filter(|row| row.old_key == key) {
            self.found.push(row);
            self.step()?;
        }
        Ok(&self.found)
    }

    fn seek(&mut self, key: Key) -> Result<(), Error> {
        self.lines = Some(Lines::new(self.map, self.map.lower_bound(key)?, CURSOR_BYTES));
        self.step()
    }

    fn step(&mut self) -> Result<(), Error> {
        let lines = self.lines.as_mut().expect("it was sought");
        self.ahead = lines.next(|offset| self.map.line_number(offset))?.map(|(_, row)| row);
        Ok(())
    }
}

/// Lines from an offset on, read in windows.
struct Lines<'a> {
    map: &'a KeyMap,
    /// Where the next line starts.
    offset: u64,
    read_bytes: u64,
    window: Vec<u8>,
    /// Bytes of the window before `offset`.
    used: usize,
}

impl<'a> Lines<'a> {
    fn new(map: &'a KeyMap, offset: u64, read_bytes: u64) -> Self {
        Self { map, offset, read_bytes, window: Vec::new(), used: 0 }
    }

    /// Returns the next row and where it starts; `line` gives its number for an error.
    fn next(&mut self, line: impl FnOnce(u64) -> Result<u64, Error>) -> Result<Option<(u64, MapRow)>, Error> {
        let offset = self.offset;
        if offset >= self.map.len_bytes {
            return Ok(None);
        }
        if self.window.len() - self.used < ROW_TEXT_BYTES_MAX {
            self.load()?;
        }
        let (row, line_bytes) = self.map.parse(&self.window[self.used..], offset, || line(offset))?;
        self.used += line_bytes;
        self.offset += line_bytes as u64;
        Ok(Some((offset, row)))
    }

    /// Keeps what is left of the window and reads on behind it.
    fn load(&mut self) -> Result<(), Error> {
        self.window.drain(..self.used);
        self.used = 0;
        let kept = self.window.len();
        let at = self.offset + kept as u64;
        let more_bytes = self.read_bytes.min(self.map.len_bytes - at);
        self.window.resize(kept + more_bytes as usize, 0);
        self.map.read_at(at, &mut self.window[kept..])
    }
}

/// A row and its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberedRow {
    /// Number of the line; the header is line 1.
    pub line: u64,
    /// Where the line starts, in bytes.
    pub offset: u64,
    /// The row.
    pub row: MapRow,
}

/// The rows of a map in the order of its lines. Nothing follows an error.
pub struct Rows<'a> {
    lines: Lines<'a>,
    line: u64,
    failed: bool,
}

impl Rows<'_> {
    fn next_row(&mut self) -> Result<Option<NumberedRow>, Error> {
        self.line += 1;
        let line = self.line;
        let found = self.lines.next(|_| Ok(line))?;
        Ok(found.map(|(offset, row)| NumberedRow { line, offset, row }))
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<NumberedRow, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.next_row().transpose();
        self.failed = next.as_ref().is_some_and(Result::is_err);
        next
    }
}

fn check_ends(file: &dyn DiskFile, path: &Path, len_bytes: u64) -> Result<(), Error> {
    let header_bytes = HEADER_LINE.len() as u64;
    let mut header = vec![0; header_bytes.min(len_bytes) as usize];
    file.read_exact_at(0, &mut header)?;
    if header != HEADER_LINE {
        return Err(corrupt(path, 0, "line 1: this is not the header of a key map".into()));
    }
    let mut last = [0];
    file.read_exact_at(len_bytes - 1, &mut last)?;
    if last != *b"\n" {
        return Err(corrupt(path, len_bytes, "the last line has no end: the file was cut".into()));
    }
    Ok(())
}

fn corrupt(path: &Path, offset: u64, what: String) -> Error {
    let next = "use the map as the migration wrote it; haul cas map check reads all of it".into();
    Error::Corrupt { path: path.to_path_buf(), offset, what, next, source: None }
}
