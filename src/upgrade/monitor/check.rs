//! One look at the databases.

use serde::Serialize;

use crate::migration::Error;
use crate::upgrade::definition::{Definition, Files, Monitor};
use crate::upgrade::questions;
use crate::upgrade::set::Member;
use crate::upgrade::values::Values;

/// What a look needs.
pub struct MonitorRequest<'a> {
    /// The upgrade.
    pub definition: &'a Definition,
    /// The databases.
    pub members: &'a [Member],
    /// What SQL may ask for.
    pub values: &'a Values,
}

/// A number and its limit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MonitorCheck {
    /// What is watched.
    pub name: String,
    /// The database.
    pub file: String,
    /// The number; `None` if there is nothing yet that it could be about.
    pub value: Option<f64>,
    /// The largest value that is right.
    pub max: f64,
    /// How many things it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<u64>,
    /// What a value over the limit asks for, if it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
}

/// What a look has shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MonitorEnd {
    /// Every number.
    pub checks: Vec<MonitorCheck>,
}

impl MonitorEnd {
    /// Returns the numbers that are over their limits.
    pub fn triggers(&self) -> impl Iterator<Item = &MonitorCheck> {
        self.checks.iter().filter(|check| check.trigger.is_some())
    }
}

/// Asks for every number that the definition watches.
pub fn monitor(request: &MonitorRequest<'_>) -> Result<MonitorEnd, Error> {
    let mut checks = Vec::new();
    for monitor in &request.definition.monitors {
        for member in request.members.iter().filter(|member| concerns(monitor, member)) {
            checks.push(check(request, monitor, member)?);
        }
    }
    Ok(MonitorEnd { checks })
}

fn concerns(monitor: &Monitor, member: &Member) -> bool {
    member.tier == monitor.tier && (member.is_primary || monitor.files == Files::All)
}

fn check(request: &MonitorRequest<'_>, monitor: &Monitor, member: &Member) -> Result<MonitorCheck, Error> {
    let connection = questions::open(&member.path, request.values)?;
    let found = questions::number(&connection, &member.path, &monitor.sql)?;
    let is_enough = found.sample.is_none_or(|sample| sample >= monitor.sample_min);
    let is_over = is_enough && found.value.is_some_and(|value| value > monitor.max);
    Ok(MonitorCheck {
        name: monitor.name.clone(),
        file: member.key.clone(),
        value: found.value,
        max: monitor.max,
        sample: found.sample,
        trigger: is_over.then(|| monitor.trigger.clone()),
    })
}
