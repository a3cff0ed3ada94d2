//! The text of a file: its bytes, or what they unpack to.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::failure::RewriteFailure;
use super::gzip::{GZIP_START, Unpacking};
use super::original::{FileSource, Original};
use super::windows::{first_bytes, for_each_window};
use crate::durable::EntryKind;
use crate::pipeline::StopToken;

/// The first bytes of every SQLite database.
const DATABASE_START: &[u8; 16] = b"SQLite format 3\0";
/// Endings of files that SQLite has next to a database.
const COMPANION_ENDINGS: [&str; 3] = ["-journal", "-wal", "-shm"];

/// How a file has its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// The bytes of the file are the text.
    Plain,
    /// The text is compressed with gzip.
    Gzip,
}

/// The text of a file.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    /// The file.
    pub(super) original: &'a dyn Original,
    /// How it has the text.
    pub(super) form: Form,
    /// Ends the reading early.
    pub(super) stop: &'a StopToken,
}

/// Returns true if the file is a SQLite database.
pub(super) fn is_database(original: &dyn Original) -> Result<bool, RewriteFailure> {
    Ok(first_bytes(original, DATABASE_START.len() as u64)? == DATABASE_START)
}

/// Returns true if the file is the journal or the log of a database, which comes and goes with the use of that.
pub(super) fn belongs_to_database(files: &dyn FileSource, path: &Path) -> Result<bool, RewriteFailure> {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let mut names = COMPANION_ENDINGS.iter().filter_map(|ending| name.strip_suffix(ending.as_bytes()));
    let Some(name) = names.next().filter(|name| !name.is_empty()) else { return Ok(false) };
    let database = path.with_file_name(OsStr::from_bytes(name));
    if files.kind(&database).map_err(RewriteFailure::unreadable)? != Some(EntryKind::File) {
        return Ok(false);
    }
    is_database(&*files.open(&database).map_err(RewriteFailure::unreadable)?)
}

impl<'a> Text<'a> {
    /// Returns the text of a file in the form that its first bytes say, whatever its name is.
    pub(super) fn of(original: &'a dyn Original, stop: &'a StopToken) -> Result<Self, RewriteFailure> {
        let start = first_bytes(original, GZIP_START.len() as u64)?;
        let form = if start == GZIP_START { Form::Gzip } else { Form::Plain };
        Ok(Self { original, form, stop })
    }

    /// Passes the whole text to `take`, piece by piece.
    pub(super) fn for_each_piece(
        &self,
        mut take: impl FnMut(&[u8]) -> Result<(), RewriteFailure>,
    ) -> Result<(), RewriteFailure> {
        match self.form {
            Form::Plain => for_each_window(self.original, self.stop, take),
            Form::Gzip => {
                Unpacking::of(self.original, self.stop).each(&mut |piece| take(piece).map(|()| true)).map(drop)
            }
        }
    }

    /// Returns the beginning of the text, at most so many bytes.
    pub(super) fn start(&self, bytes_max: u64) -> Result<Vec<u8>, RewriteFailure> {
        if self.form == Form::Plain {
            return first_bytes(self.original, bytes_max);
        }
        let mut start = Vec::new();
        Unpacking::of(self.original, self.stop).each(&mut |piece| {
            start.extend_from_slice(piece);
            Ok((start.len() as u64) < bytes_max)
        })?;
        start.truncate(bytes_max as usize);
        Ok(start)
    }
}
