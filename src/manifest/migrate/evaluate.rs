//! The evaluation of one file, which a run and a dry run share.

use std::path::Path;

use crate::durable::{AttributesNotKept, DiskError, FileState, ReadRoot};
use crate::manifest::document::error_codes::{DocumentStatus, ErrorCode};
use crate::manifest::document::json::LEN_MAX_BYTES;
use crate::manifest::document::verdict::{Notice, Refusal, Verdict};
use crate::manifest::outcome::Counts;
use crate::manifest::transform::Transformer;
use crate::manifest::tree::file_faults::concerns_one_file;
use crate::manifest::tree::scan::{SkipReason, is_place_of_manifests};
use crate::manifest::tree::siblings::SiblingFiles;
use crate::migration::plan::escape_name;
use crate::migration::{Finding, Severity};

/// The longest file that is read, whatever the memory.
pub const MANIFEST_BYTES_MAX: u64 = LEN_MAX_BYTES as u64;
/// The unit in which file systems allocate space, for estimates.
pub const BLOCK_BYTES: u64 = 4096;

/// The outcomes and findings of a batch of files.
#[derive(Debug, Default)]
pub struct Tally {
    /// Number of files by outcome.
    pub counts: Counts,
    /// Refusals and warnings.
    pub findings: Vec<Finding>,
    /// Number of bytes read.
    pub source_bytes: u64,
}

impl Tally {
    /// Counts a refused file and adds a finding.
    pub fn refuse(&mut self, file: &Path, refusal: &Refusal) {
        self.counts.add_refused(refusal.status());
        let place = refusal.at.map_or(String::new(), |at| format!(" at line {}, column {}", at.line, at.column));
        let reason = format!("{}{place}", refusal.text);
        let offset = refusal.at.map_or(0, |at| at.offset);
        self.findings.push(Finding { offset, ..finding(Severity::Refused, file, refusal.code.name(), reason) });
    }

    /// Counts a name that is skipped. A link in the place of a job, of a run or of a manifest is named: what it leads to
    /// may look like a part of the tree.
    pub fn skip(&mut self, path: &Path, reason: SkipReason) {
        self.counts.add_skipped(reason);
        if reason == SkipReason::Link && is_place_of_manifests(path) {
            let text = "a symbolic link is not followed: what it leads to is not migrated here".to_owned();
            self.findings.push(finding(Severity::Note, path, "W_LINK", text));
        }
        if reason == SkipReason::OtherSpelling {
            let text = "it is passed over, because it is not spelled manifest.json".to_owned();
            self.findings.push(finding(Severity::Note, path, "W_SPELLING", text));
        }
    }

    /// Refuses a file for an error of the disk. An error that is not the file's ends the run.
    pub fn refuse_unread(&mut self, file: &Path, error: DiskError) -> Result<(), DiskError> {
        match NotReplaced::from(error) {
            NotReplaced::Refused(refusal) => {
                self.refuse(file, &refusal);
                Ok(())
            }
            NotReplaced::Failed(error) => Err(error),
        }
    }

    /// Adds the warnings about a file that is not refused.
    pub fn notice(&mut self, file: &Path, notices: &[Notice]) {
        let note = |notice: &Notice| finding(Severity::Note, file, notice.code, notice.text.clone());
        self.findings.extend(notices.iter().map(note));
    }

    /// Counts a file that stays unchanged. Returns the new document of a file that is to be replaced, which is counted
    /// once it has been.
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

/// Returns a finding that is identified by a code.
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

/// Returns the refusal of a file for an error of the disk.
pub fn disk_refusal(error: &DiskError) -> Refusal {
    Refusal { code: ErrorCode::Io, text: format!("cannot {}: {}", error.operation, error.source), at: None, from: None }
}

/// Returns the note on a file that has not everything that the replaced one had.
pub fn not_kept_notice(not_kept: &AttributesNotKept) -> Option<Notice> {
    let text = || format!("not kept when the file was replaced, because this user may not set it: {not_kept}");
    (!not_kept.is_empty()).then(|| Notice { code: "W_ATTRIBUTES", text: text() })
}

/// Returns the refusal of a file that changed in the meantime.
pub fn changed_refusal(what: &str) -> Refusal {
    Refusal {
        code: ErrorCode::Changed,
        text: format!("the file changed since it was read: {what}"),
        at: None,
        from: None,
    }
}

/// The reason why a file is not replaced.
#[derive(Debug)]
pub enum NotReplaced {
    /// The file is refused.
    Refused(Refusal),
    /// The run cannot continue.
    Failed(DiskError),
}

impl From<Refusal> for NotReplaced {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<DiskError> for NotReplaced {
    fn from(error: DiskError) -> Self {
        if concerns_one_file(&error) { Self::Refused(disk_refusal(&error)) } else { Self::Failed(error) }
    }
}

/// Evaluates `bytes`, which were just read from `file`.
pub fn evaluate(
    root: &dyn ReadRoot,
    transformer: &Transformer,
    file: &Path,
    bytes: &[u8],
    state: &FileState,
) -> Verdict {
    if bytes.len() as u64 != state.len_bytes {
        return Verdict::Refused(changed_refusal("its length differs"));
    }
    transformer.transform(bytes, &SiblingFiles { root, manifest: file, stop: None })
}
