//! Phase 4 on a set.

use super::files::{command, working_path};
use super::work::Work;
use crate::migration::Error;
use crate::migration::units::bytes_text;
use crate::upgrade::cutover::side_files;
use crate::upgrade::freeze::copies::file_sha256;
use crate::upgrade::freeze::snapshot::SetSnapshot;
use crate::upgrade::request::UpgradeRequest;
use crate::upgrade::verify::{self, CheckResult, Subject, Verification};

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

/// Compares every backup with what was measured when it was made.
fn backups(work: &Work<'_>) -> Result<CheckResult, Error> {
    let snapshot = SetSnapshot::read(work.disk, &work.layout.snapshot(work.run_id))?;
    let (mut bytes, mut detail) = (0, Vec::new());
    for planned in &work.plan.members {
        let of = snapshot.of(&planned.member.key);
        let path = work.layout.backup(work.run_id, &planned.member);
        match file_sha256(work.disk, &path, work.control.stop) {
            Ok(found) if of.is_some_and(|of| of.sha256 == found.sha256) => bytes += found.bytes,
            Ok(_) => detail.push(format!("{}: it is not what was backed up", path.display())),
            Err(error @ Error::Stopped { .. }) => return Err(error),
            Err(error) => detail.push(error.to_string()),
        }
    }
    let figure = format!("{} backups, {}, are what was backed up", snapshot.databases.len(), bytes_text(bytes));
    Ok(CheckResult { name: "backups".to_owned(), passed: detail.is_empty(), figure, detail })
}

fn look(work: &Work<'_>, request: &UpgradeRequest) -> Result<Verification, Error> {
    verify::verify(&Subject {
        plan: work.plan,
        plan_digest: work.plan_digest,
        definition: work.definition,
        values: work.values,
        working: &|member| working_path(work.layout, work.plan.mode, member),
        backup: &|member| work.layout.backup(work.run_id, member),
        backups: &|| backups(work),
        hooks: &request.hooks.clone().with("HAUL_RUN_ID", work.run_id),
        control: work.control,
    })
}
