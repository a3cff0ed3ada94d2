//! Findings of a run that wrote no report, as people read them.

use std::fmt::{self, Write};

use crate::migration::units::count_text;
use crate::migration::{Finding, FindingsCount};

/// Findings that the text shows; the document has more.
const FINDINGS_SHOWN_MAX: usize = 20;

/// How many findings there are, then the first of them, a line each: `fatal: <place>: checksum mismatch`.
pub fn write_findings(
    text: &mut String,
    count: &FindingsCount,
    first: &[Finding],
    place: impl Fn(&Finding) -> String,
) -> fmt::Result {
    if count.sum() == 0 {
        return writeln!(text, "{:<28}{:>18}", "findings", "none");
    }
    writeln!(text, "findings: {} fatal, {} refused, {} noted", count.fatal, count.refused, count.note)?;
    for finding in first.iter().take(FINDINGS_SHOWN_MAX) {
        writeln!(text, "  {}: {}: {}", finding.severity, place(finding), finding.reason)?;
    }
    let more = count.sum().saturating_sub(FINDINGS_SHOWN_MAX as u64);
    if more > 0 {
        writeln!(text, "  … and {} more", count_text(more))?;
    }
    Ok(())
}
