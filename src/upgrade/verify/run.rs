//! All checks.

use super::result::Verification;
use super::subject::Subject;
use super::{integrity, new_data, objects, old_data, operation, plan_check, rebuilds, records, speed};
use crate::migration::Error;

/// Verifies every database of a plan. What is wrong is in the result; an error means that it could not be found out.
pub fn verify(subject: &Subject<'_>) -> Result<Verification, Error> {
    let files = subject.open()?;
    Ok(Verification::of(vec![
        plan_check::check(subject, &files)?,
        objects::check(subject, &files)?,
        old_data::check(subject, &files)?,
        rebuilds::check(subject, &files)?,
        new_data::check(subject, &files)?,
        records::check(subject, &files)?,
        integrity::check(subject, &files)?,
        operation::boundary(subject)?,
        speed::check(subject, &files)?,
        operation::operation(&files)?,
    ]))
}
