//! Phase 4 on a set.

use super::files::{command, working_path};
use super::work::Work;
use crate::migration::Error;
use crate::upgrade::cutover::side_files;
use crate::upgrade::request::UpgradeRequest;
use crate::upgrade::verify::{self, Subject, Verification};

/// Verifies every database of the set. What is found is kept as `verify.json`, whether it is right or not.
pub fn verify(work: &Work<'_>, request: &UpgradeRequest) -> Result<(), Error> {
    let found = look(work, request);
    for planned in &work.plan.members {
        side_files::remove(work.disk, &work.layout.backup(work.run_id, &planned.member))?;
    }
    let found = found?;
    work.artifact("verify", &found)?;
    let next = format!(
        "see {}; take the upgrade back with `{}`, or mend what it names and run `{}` again",
        work.layout.artifact("verify").display(),
        command("rollback", &request.directory),
        command("verify", &request.directory)
    );
    found.failure(next).map_or(Ok(()), Err)
}

fn look(work: &Work<'_>, request: &UpgradeRequest) -> Result<Verification, Error> {
    verify::verify(&Subject {
        plan: work.plan,
        plan_digest: work.plan_digest,
        definition: work.definition,
        values: work.values,
        working: &|member| working_path(work.layout, work.plan.mode, member),
        backup: &|member| work.layout.backup(work.run_id, member),
        hooks: &request.hooks.clone().with("HAUL_RUN_ID", work.run_id),
        control: work.control,
    })
}
