//! Findings about single references and files: the first ones in memory, all of them in a file.

use std::io::ErrorKind;
use std::path::Path;

use super::scan::Reference;
use crate::durable::Disk;
use crate::migration::{Error, Finding, FindingsLog, Severity};

/// Most findings that are kept in memory.
pub const FINDINGS_KEPT_MAX: usize = 1000;

/// Findings of a run.
#[derive(Debug, Default)]
pub struct FindingsKept {
    first: Vec<Finding>,
    left_out: u64,
    log: Option<FindingsLog>,
}

impl FindingsKept {
    /// Keeps the first [`FINDINGS_KEPT_MAX`] in memory and counts the others.
    pub fn in_memory() -> Self {
        Self::default()
    }

    /// Works like [`in_memory`](Self::in_memory), and writes all findings to a file that must not exist, one JSON
    /// object for each line.
    pub fn logged(disk: &dyn Disk, path: &Path) -> Result<Self, Error> {
        // Two runs may be given the same name: only one of them creates it.
        match disk.create_file(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(Error::Usage {
                    what: format!("{} exists already", path.display()),
                    next: "give the report a name of its own".into(),
                });
            }
            created => _ = created?,
        }
        Ok(Self { log: Some(FindingsLog::open(disk, path, 0)?), ..Self::default() })
    }

    /// Returns the first findings and the number of the others.
    pub(super) fn finish(mut self) -> Result<(Vec<Finding>, u64), Error> {
        if let Some(log) = &mut self.log {
            log.flush()?;
            log.file().sync()?;
        }
        Ok((self.first, self.left_out))
    }

    /// Adds a finding about a reference that stays as it is.
    pub(super) fn reference(
        &mut self,
        severity: Severity,
        file: &Path,
        reference: &Reference,
        reason: &str,
    ) -> Result<(), Error> {
        self.add(Finding {
            offset: reference.offset,
            length: reference.len_bytes,
            id: Some(reference.key.to_string()),
            ..finding(severity, file, reason.to_owned())
        })
    }

    /// Adds a finding about a whole file or directory.
    pub(super) fn file(&mut self, severity: Severity, file: &Path, reason: String) -> Result<(), Error> {
        self.add(finding(severity, file, reason))
    }

    fn add(&mut self, finding: Finding) -> Result<(), Error> {
        if let Some(log) = &mut self.log {
            log.append(&finding)?;
        }
        if self.first.len() < FINDINGS_KEPT_MAX {
            self.first.push(finding);
        } else {
            self.left_out += 1;
        }
        Ok(())
    }
}

fn finding(severity: Severity, file: &Path, reason: String) -> Finding {
    let file = file.display().to_string();
    Finding { severity, file, offset: 0, length: 0, reason, id: None, sequence: None, related: None }
}
