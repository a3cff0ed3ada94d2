//! Every step of the plan is recorded with its checksum.

use super::result::{CheckResult, Findings};
use super::subject::{Opened, Subject};
use crate::migration::Error;
use crate::upgrade::schema::tracking;

/// Checks `migrations` and `haul_steps`.
pub fn check(subject: &Subject<'_>, files: &[Opened<'_>]) -> Result<CheckResult, Error> {
    let mut findings = Findings::new("records");
    let mut recorded = 0;
    for file in files {
        let wrap = |error| file.error("its records", error);
        let applied = tracking::applied(&file.connection).map_err(wrap)?;
        for step in &file.plan.steps {
            if applied.get(&step.name) != Some(&step.sha256) {
                findings.fault(file.file(), format!("step {} is not in haul_steps with its checksum", step.name));
            }
            if !tracking::is_recorded(&file.connection, &step.name, &step.sha256).map_err(wrap)? {
                findings.fault(file.file(), format!("step {} has no row of success in migrations", step.name));
            }
            recorded += 1;
        }
        if !tracking::is_recorded(&file.connection, tracking::START, subject.plan_digest).map_err(wrap)? {
            findings
                .fault(file.file(), format!("{} with the digest of the plan is not in migrations", tracking::START));
        }
    }
    Ok(findings.with_figure(format!("{recorded} steps recorded in {} databases", files.len())))
}
