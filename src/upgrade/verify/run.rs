//! All checks.

use super::result::Verification;
use super::subject::Subject;
use super::{integrity, new_data, objects, old_data, operation, plan_check, rebuilds, records, speed};
use crate::migration::Error;
use crate::upgrade::backfill::SetFacts;

/// Verifies every database of a plan. What is wrong is in the result; an error means that it could not be found out.
pub fn verify(subject: &Subject<'_>) -> Result<Verification, Error> {
    let files = subject.open()?;
    let (integrity, now) = integrity::check(subject, &files)?;
    let now = SetFacts { files: now, measures: subject.plan.measures.clone() };
    let (speed, latency) = speed::check(subject, &files)?;
    let (new_data, mut expectations) = new_data::check(subject, &files, &now)?;
    expectations.push(latency);
    let checks = vec![
        (subject.backups)()?,
        plan_check::check(subject, &files)?,
        objects::check(subject, &files)?,
        old_data::check(subject, &files)?,
        rebuilds::check(subject, &files)?,
        new_data,
        records::check(subject, &files)?,
        integrity,
        operation::boundary(subject)?,
        speed,
        operation::operation(&files)?,
    ];
    Ok(Verification::of(checks, expectations, subject.definition))
}
