//! One file, read once and judged: what a dry run and a run have in common.

use std::io::ErrorKind;
use std::path::Path;

use crate::durable::{DiskError, FileState, ReadRoot};
use crate::manifest::document::error_codes::{DocumentStatus, ErrorCode};
use crate::manifest::document::verdict::{Notice, Refusal, Verdict};
use crate::manifest::outcome::Counts;
use crate::manifest::transform::Transformer;
use crate::manifest::tree::siblings::SiblingFiles;
use crate::migration::plan::escape_name;
use crate::migration::{Finding, Severity};

/// The longest file that is read.
pub const MANIFEST_BYTES_MAX: u64 = 256 << 20;
/// Space on the disk comes in such pieces.
pub const BLOCK_BYTES: u64 = 4096;

/// Outcomes and findings of some of the files.
#[derive(Debug, Default)]
pub struct Tally {
    /// Outcomes.
    pub counts: Counts,
    /// What there is to say.
    pub findings: Vec<Finding>,
    /// Bytes read.
    pub source_bytes: u64,
}

impl Tally {
    /// Counts and names a file that stays as it is for what is wrong with it.
    pub fn refuse(&mut self, file: &Path, refusal: &Refusal) {
        self.counts.add_refused(refusal.status());
        let place = refusal.at.map_or(String::new(), |at| format!(" at line {}, column {}", at.line, at.column));
        let reason = format!("{}{place}", refusal.text);
        let offset = refusal.at.map_or(0, |at| at.offset);
        self.findings.push(Finding { offset, ..finding(Severity::Refused, file, refusal.code.name(), reason) });
    }

    /// Names what is worth saying of a file that is not refused.
    pub fn notice(&mut self, file: &Path, notices: &[Notice]) {
        let note = |notice: &Notice| finding(Severity::Note, file, notice.code, notice.text.clone());
        self.findings.extend(notices.iter().map(note));
    }

    /// Counts what needs no new bytes; gives back what does.
    pub fn record(&mut self, file: &Path, verdict: Verdict) -> Option<crate::manifest::document::verdict::Migrated> {
        match verdict {
            Verdict::Migrated(migrated) => {
                self.notice(file, &migrated.notices);
                return Some(migrated);
            }
            Verdict::Current(current) => {
                match current.status() {
                    DocumentStatus::NeedsAttention => self.counts.current_incomplete += 1,
                    _ => self.counts.current += 1,
                }
                self.notice(file, &current.findings);
            }
            Verdict::Skipped(skip) => {
                self.counts.skipped_foreign += 1;
                self.findings.push(finding(Severity::Note, file, skip.code.name(), skip.text));
            }
            Verdict::Refused(refusal) => self.refuse(file, &refusal),
        }
        None
    }
}

/// A finding of which the code stands for its identity.
pub fn finding(severity: Severity, file: &Path, code: &str, reason: String) -> Finding {
    Finding {
        severity,
        file: escape_name(file.as_os_str()),
        offset: 0,
        length: 0,
        reason,
        id: Some(code.to_owned()),
        sequence: None,
        related: None,
    }
}

/// A refusal for what the disk says.
pub fn disk_refusal(error: &DiskError) -> Refusal {
    Refusal { code: ErrorCode::Io, text: format!("cannot {}: {}", error.operation, error.source), at: None, from: None }
}

/// A refusal for what happened to the file meanwhile.
pub fn changed_refusal(what: &str) -> Refusal {
    Refusal {
        code: ErrorCode::Changed,
        text: format!("the file changed since it was read: {what}"),
        at: None,
        from: None,
    }
}

/// True if the error is about this file or its directory alone, and other files may fare better.
pub fn concerns_one_file(error: &DiskError) -> bool {
    use ErrorKind::{InvalidData, InvalidInput, NotADirectory, NotFound, PermissionDenied};
    matches!(error.kind(), InvalidData | InvalidInput | NotADirectory | NotFound | PermissionDenied)
}

/// Judges what `bytes`, just read from `file`, hold.
pub fn evaluate(
    root: &dyn ReadRoot,
    transformer: &Transformer,
    file: &Path,
    bytes: &[u8],
    state: &FileState,
) -> Verdict {
    if bytes.len() as u64 != state.len_bytes {
        return Verdict::Refused(changed_refusal("its length is another one"));
    }
    transformer.transform(bytes, &SiblingFiles { root, manifest: file })
}
