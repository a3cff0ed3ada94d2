//! The files of a definition, and errors that name file and line.

use std::io::Read;
use std::path::{Component, Path};

use sha2::{Digest, Sha256};

use crate::durable::{DiskError, open_named_file};
use crate::migration::Error;

/// The file that says what an upgrade is.
pub const UPGRADE_FILE: &str = "upgrade.toml";
/// The largest length of a file. Definitions are written by hand.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Where the files of a definition come from. Every file that is read counts for the digest.
pub struct SourceFiles<'a> {
    /// The directory in messages.
    place: String,
    from: From<'a>,
    digest: Sha256,
}

enum From<'a> {
    Directory(&'a Path),
    /// Names and texts.
    Texts(&'a [(&'a str, &'a str)]),
}

impl<'a> SourceFiles<'a> {
    /// Reads from a directory.
    pub fn in_directory(directory: &'a Path) -> Self {
        Self { place: directory.display().to_string(), from: From::Directory(directory), digest: Sha256::new() }
    }

    /// Takes texts that are there already. `place` stands for the directory in messages.
    pub fn in_memory(place: &str, texts: &'a [(&'a str, &'a str)]) -> Self {
        Self { place: place.to_owned(), from: From::Texts(texts), digest: Sha256::new() }
    }

    /// Reads a file that `upgrade.toml` names in `line`; 0 for `upgrade.toml` itself.
    pub fn read(&mut self, name: &str, line: u64) -> Result<String, Error> {
        let is_below = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        if name.is_empty() || !is_below {
            return Err(self.fault(
                UPGRADE_FILE,
                line,
                format!("`{name}` is not the name of a file in this directory"),
            ));
        }
        let missing = || self.fault(UPGRADE_FILE, line, format!("there is no file `{name}`"));
        let text = match self.from {
            From::Texts(texts) => {
                let found = texts.iter().find(|(other, _)| *other == name);
                found.map(|(_, text)| (*text).to_owned()).ok_or_else(missing)?
            }
            From::Directory(directory) => {
                self.read_from(&directory.join(name), name).and_then(|text| text.ok_or_else(missing))?
            }
        };
        for part in [name, &text] {
            self.digest.update((part.len() as u64).to_le_bytes());
            self.digest.update(part);
        }
        Ok(text)
    }

    /// Returns nothing for a file that does not exist and that `upgrade.toml` names.
    fn read_from(&self, path: &Path, name: &str) -> Result<Option<String>, Error> {
        let wrap = |error| DiskError::new("read definition", path, error);
        let file = match open_named_file(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && name != UPGRADE_FILE => return Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let what = format!("{}: there is no {UPGRADE_FILE}", self.place);
                let next = "name the directory of an upgrade, or leave --upgrade out for CORTEX 1.0 to 2.0".into();
                return Err(Error::Usage { what, next });
            }
            file => file.map_err(wrap)?,
        };
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(wrap)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(self.fault(name, 0, format!("it is longer than {FILE_BYTES_MAX} bytes")));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            self.fault(name, line_at(before, before.len()), "it is not UTF-8")
        })?;
        match text.find('\0') {
            Some(at) => Err(self.fault(name, line_at(text.as_bytes(), at), "it contains a zero byte")),
            None => Ok(Some(text)),
        }
    }

    /// Returns the error about a line of a file; 0 for the whole file.
    pub fn fault(&self, file: &str, line: u64, what: impl std::fmt::Display) -> Error {
        let line = if line == 0 { String::new() } else { format!(":{line}") };
        Error::Usage {
            what: format!("{}/{file}{line}: {what}", self.place),
            next: "correct the file, then run `haul upgrade plan` again".into(),
        }
    }

    /// Returns the SHA-256 of all files that were read.
    pub fn sha256(self) -> String {
        self.digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Returns the line of an offset, counted from 1.
pub fn line_at(text: &[u8], offset: usize) -> u64 {
    1 + memchr::memchr_iter(b'\n', &text[..offset.min(text.len())]).count() as u64
}
