//! The findings of a run for its screen: the first ones whole, all of them counted.

use super::{Error, Finding, Findings, FindingsCount};
use crate::durable::Disk;

/// Findings that are kept whole; further ones are counted.
pub const FINDINGS_KEPT_MAX: usize = 10_000;

/// The first findings of a run, and how many there were of each severity.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FirstFindings {
    /// All of them, by severity.
    pub count: FindingsCount,
    /// The first [`FINDINGS_KEPT_MAX`].
    pub first: Vec<Finding>,
}

impl FirstFindings {
    /// Reads those of a run that wrote a log of them.
    pub fn read(disk: &dyn Disk, log: &Findings) -> Result<Self, Error> {
        let mut findings = Self::default();
        log.for_each(disk, |finding| {
            findings.push(finding);
            Ok(())
        })?;
        Ok(findings)
    }

    /// Takes one more.
    pub fn push(&mut self, finding: Finding) {
        self.count.add(finding.severity);
        if self.first.len() < FINDINGS_KEPT_MAX {
            self.first.push(finding);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migration::Severity;

    #[test]
    fn all_are_counted_and_the_first_are_kept() {
        let finding = |offset| Finding {
            severity: if offset == 0 { Severity::Fatal } else { Severity::Note },
            file: "a".into(),
            offset,
            length: 1,
            reason: "because".into(),
            id: None,
            sequence: None,
            related: None,
        };
        let mut findings = FirstFindings::default();
        let pushed = FINDINGS_KEPT_MAX as u64 + 5;
        (0..pushed).for_each(|offset| findings.push(finding(offset)));
        assert_eq!(findings.count, FindingsCount { note: pushed - 1, refused: 0, fatal: 1 });
        assert_eq!(findings.count.sum(), pushed);
        assert_eq!(findings.first.len(), FINDINGS_KEPT_MAX);
        assert!(findings.first.iter().map(|finding| finding.offset).eq(0..FINDINGS_KEPT_MAX as u64));
    }
}
