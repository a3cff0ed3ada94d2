//! The plan holds: nothing blocks it, and definition and scripts are those that it names.

use super::result::{CheckResult, Findings};
use super::subject::{Opened, Subject};
use crate::migration::Error;
use crate::upgrade::backfill;
use crate::upgrade::plan::{PlannedStep, StepState};
use crate::upgrade::rebuild;
use crate::upgrade::schema::step_states;

/// Checks that nothing has drifted since the plan was made.
pub fn check(subject: &Subject<'_>, files: &[Opened<'_>]) -> Result<CheckResult, Error> {
    let mut findings = Findings::new("plan");
    let mut steps_count = 0;
    for block in &subject.plan.blocks {
        findings.fault(block.file.as_deref().unwrap_or("set"), format!("the plan is blocked: {}", block.what));
    }
    if subject.plan.definition_sha256 != subject.definition.sha256 {
        findings.fault("set", "the definition is not the one of the plan");
    }
    for file in files {
        let now = steps(subject, file)?;
        steps_count += now.len();
        for step in now.iter().filter(|step| step.state == StepState::Drifted) {
            findings.fault(file.file(), format!("step {} was applied with other scripts", step.name));
        }
        let key = |step: &PlannedStep| (step.name.clone(), step.sha256.clone());
        if !now.iter().map(key).eq(file.plan.steps.iter().map(key)) {
            findings.fault(file.file(), "its steps are not those of the plan");
        }
    }
    Ok(findings.with_figure(format!("{steps_count} steps in {} databases as planned", files.len())))
}

fn steps(subject: &Subject<'_>, file: &Opened<'_>) -> Result<Vec<PlannedStep>, Error> {
    let mut steps = step_states(&file.connection, subject.definition, &file.plan.member)?;
    steps.extend(rebuild::step_states(&file.connection, subject.definition, &file.plan.member, &file.plan.steps)?);
    steps.extend(backfill::step_states(&file.connection, subject.definition, &file.plan.member)?);
    Ok(steps)
}
