//! What must be denied is denied, and maintenance can be planned.

use super::result::{CheckResult, Findings};
use super::subject::{Opened, Subject};
use crate::migration::Error;
use crate::upgrade::hooks::HookTime;
use crate::upgrade::maintenance;
use crate::upgrade::set::Member;

/// Runs the commands that must be denied.
pub fn boundary(subject: &Subject<'_>) -> Result<CheckResult, Error> {
    let mut findings = Findings::new("boundary");
    let figure = match subject.hooks.run(HookTime::Denied, "verify", subject.control) {
        Ok(0) => "no command is to be denied".to_owned(),
        Ok(commands) => format!("{commands} commands denied"),
        Err(error @ Error::Stopped { .. }) => return Err(error),
        Err(error) => {
            findings.fault("set", error);
            "a command was not denied".to_owned()
        }
    };
    Ok(findings.with_figure(figure))
}

/// Plans the maintenance of every database, and applies nothing.
pub fn operation(files: &[Opened<'_>]) -> Result<CheckResult, Error> {
    let mut findings = Findings::new("operation");
    let at_work = |file: &Opened<'_>| Member { path: file.path.clone(), ..file.plan.member.clone() };
    let members: Vec<_> = files.iter().map(at_work).collect();
    let lines = maintenance::plan(&members)?;
    let figure = format!("{} steps of maintenance planned, none applied", lines.len());
    lines.into_iter().for_each(|line| findings.note(line));
    Ok(findings.with_figure(figure))
}
