//! Rebuilt tables hold the rows that the definition of the upgrade says they must.

use super::result::{CheckResult, Findings};
use super::subject::{Opened, Subject};
use crate::migration::{Error, check_stop};
use crate::upgrade::rebuild::{changes, digests, pending};

/// Checks each pair of queries: the first on the verified backup, the second on the result.
pub fn check(subject: &Subject<'_>, files: &[Opened<'_>]) -> Result<CheckResult, Error> {
    let mut findings = Findings::new("rebuilds");
    let (mut pairs, mut rows, mut databases) = (0, 0, 0);
    for file in files {
        check_stop(subject.control.stop)?;
        let wrap = |error| file.error("rebuilds", error);
        let member = &file.plan.member;
        let rebuilds = pending(&file.connection, subject.definition, member, &file.plan.steps).map_err(wrap)?;
        if rebuilds.is_empty() {
            continue;
        }
        let backup = subject.open_for_read(member, &(subject.backup)(member))?;
        let before = digests(&backup, &rebuilds).map_err(|error| file.error("the backup", error))?;
        for change in changes(&file.connection, &rebuilds, &before).map_err(wrap)? {
            findings.fault(file.file(), change);
        }
        databases += 1;
        pairs += before.len();
        rows += before.iter().map(|(_, rows)| rows).sum::<u64>();
    }
    let state = if findings.is_empty() { "are equal" } else { "were compared" };
    Ok(findings.with_figure(format!("{rows} rows of {pairs} comparisons {state} in {databases} rebuilt databases")))
}
