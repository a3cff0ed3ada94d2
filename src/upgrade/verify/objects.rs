//! Every object of the upgrade is there with its full definition, in the file that the plan names, and nothing else is new.

use std::collections::BTreeSet;

use super::result::{CheckResult, Findings};
use super::subject::{Opened, Subject};
use crate::migration::Error;
use crate::upgrade::facts::tables;
use crate::upgrade::rebuild::planned;
use crate::upgrade::schema::{Decision, ObjectKind, group_actions, tracking};

/// Checks the objects.
pub fn check(subject: &Subject<'_>, files: &[Opened<'_>]) -> Result<CheckResult, Error> {
    let mut findings = Findings::new("schema");
    let (mut new_tables, mut indexes, mut columns) = (0, 0, 0);
    for file in files {
        let mut known: BTreeSet<String> =
            file.plan.baseline.tables.keys().map(|name| name.to_ascii_lowercase()).collect();
        for action in
            group_actions(&file.connection, subject.definition, &file.plan.member)?.iter().flat_map(|g| &g.actions)
        {
            match &action.decision {
                Decision::AlreadyThere => {}
                Decision::AlreadyThereAs(name) => {
                    findings.note(format!("{}: {} is {name}", file.file(), action.object()))
                }
                _ => findings.fault(file.file(), action),
            }
            match action.head.kind {
                ObjectKind::Table => new_tables += 1,
                ObjectKind::Index => indexes += 1,
                ObjectKind::Column => columns += 1,
                _ => {}
            }
            known.insert(action.head.name.to_ascii_lowercase());
        }
        let rebuilds = planned(&file.connection, subject.definition, &file.plan.member, &file.plan.steps);
        for rebuild in rebuilds.map_err(|error| file.error("rebuilds", error))? {
            known.extend(rebuild.rebuild.tables.iter().map(|table| table.to_ascii_lowercase()));
        }
        let problem = tracking::problem(&file.connection).map_err(|error| file.error("", error))?;
        problem.into_iter().for_each(|problem| findings.fault(file.file(), problem));
        let now = tables(&file.connection).map_err(|error| file.error("its tables", error))?;
        let is_unknown = |name: &&String| !known.contains(&name.to_ascii_lowercase()) && !tracking::is_own(name);
        now.iter()
            .filter(is_unknown)
            .for_each(|name| findings.fault(file.file(), format!("table {name} was not planned")));
    }
    Ok(findings
        .with_figure(format!("{new_tables} tables, {indexes} indexes, {columns} columns in {} databases", files.len())))
}
