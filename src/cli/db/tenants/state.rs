//! `haul db status` and `haul db verify` on tenants.

use serde::Serialize;

use super::work::{Purpose, TenantWork};
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::cli::error_output::say_error;
use crate::cli::table::Table;
use crate::db::UnfinishedBuild;
use crate::db::runner::Plan;
use crate::migration::{Error, exit};

/// The state of all tenants.
#[derive(Serialize)]
struct States {
    /// The number of tenants whose state is known, and of the others.
    known: usize,
    unknown: usize,
    tenants: Vec<State>,
}

/// The state of one tenant. The counts are missing if there is an error.
#[derive(Serialize)]
struct State {
    tenant: String,
    database: String,
    #[serde(flatten)]
    counts: Option<Counts>,
    /// The labels of the pending migrations.
    pending_names: Vec<String>,
    /// The applied migrations that differ from their files, or have none.
    differences: Vec<String>,
    /// The indexes and partitions that concurrent statements have left half done.
    unfinished_builds: Vec<UnfinishedBuild>,
    error: Option<String>,
    next: Option<String>,
}

#[derive(Serialize, Clone, Copy)]
struct Counts {
    applied: usize,
    pending: usize,
    changed: usize,
    missing: usize,
}

/// What a look at a tenant found.
struct Look {
    counts: Counts,
    pending: Vec<String>,
    differences: Vec<String>,
    unfinished_builds: Vec<UnfinishedBuild>,
}

/// Shows how many migrations are applied and pending in each tenant.
pub fn status(work: &TenantWork, with_exit_code: bool, output: OutputArgs) -> anyhow::Result<u8> {
    let states = states(work)?;
    let counts = || states.tenants.iter().filter_map(|state| state.counts);
    let differs = counts().any(|counts| counts.changed + counts.missing > 0);
    let answer = Answer::new(&states)
        .exit_if(with_exit_code && differs, exit::BAD_DATA)
        .exit_if(states.unknown > 0, exit::REFUSED_RECORDS)
        .exit_if(with_exit_code && counts().any(|counts| counts.pending > 0), exit::FAILED);
    let code = answer.print(output, |table| render(table, &states))?;
    say_errors(&states);
    Ok(code)
}

/// Compares each applied migration with its file, in each tenant.
pub fn verify(work: &TenantWork, output: OutputArgs) -> anyhow::Result<u8> {
    let states = states(work)?;
    let differs = states.tenants.iter().any(|state| !state.differences.is_empty());
    let answer = Answer::new(&states)
        .exit_if(differs, exit::BAD_DATA)
        .exit_if(states.unknown > 0, exit::REFUSED_RECORDS)
        .next(differs.then(|| "`haul db verify` on one of these tenants says what to do".to_owned()));
    let code = answer.print(output, |table| {
        for state in &states.tenants {
            state.differences.iter().for_each(|text| table.item("differs", &state.tenant, text));
            notes(table, state);
        }
        let checked: usize = states.tenants.iter().filter_map(|state| state.counts).map(|counts| counts.applied).sum();
        let differ: usize = states.tenants.iter().map(|state| state.differences.len()).sum();
        table.line(format_args!(
            "{} tenants: {checked} checked, {differ} differ{}",
            states.tenants.len(),
            not_known(&states)
        ));
    })?;
    say_errors(&states);
    Ok(code)
}

fn states(work: &TenantWork) -> Result<States, Error> {
    let looks = work.look(Purpose::Read, |plan| Ok(look(plan)))?;
    let state = |(tenant, look): (&crate::db::tenants::Tenant, Result<Look, Error>)| {
        let (tenant, database) = (tenant.name.clone(), tenant.target.to_string());
        match look {
            Ok(Look { counts, pending, differences, unfinished_builds }) => State {
                tenant,
                database,
                counts: Some(counts),
                pending_names: pending,
                differences,
                unfinished_builds,
                error: None,
                next: None,
            },
            Err(error) => State {
                tenant,
                database,
                counts: None,
                pending_names: Vec::new(),
                differences: Vec::new(),
                unfinished_builds: Vec::new(),
                error: Some(error.to_string()),
                next: error.next_step(),
            },
        }
    };
    let tenants: Vec<_> = work.tenants.iter().zip(looks).map(state).collect();
    let unknown = tenants.iter().filter(|state| state.error.is_some()).count();
    Ok(States { known: tenants.len() - unknown, unknown, tenants })
}

fn look(plan: Plan) -> Look {
    let differing = plan.applied.iter().map(|row| (plan.state_of(row), &row.name));
    let differing = differing.filter(|(state, _)| !["applied", "ignored"].contains(state));
    Look {
        counts: Counts {
            applied: plan.applied.len(),
            pending: plan.pending.len(),
            changed: plan.changed.len() + plan.replaced.len(),
            missing: plan.missing.len(),
        },
        pending: plan.pending.iter().map(|pending| pending.name.clone()).collect(),
        differences: differing.map(|(state, name)| format!("{name} is {state}")).collect(),
        unfinished_builds: plan.unfinished_builds,
    }
}

fn render(table: &mut Table, states: &States) {
    for state in &states.tenants {
        match state.counts {
            Some(Counts { applied, pending, changed, missing }) => {
                let kind = if changed + missing > 0 {
                    "differs"
                } else if pending > 0 {
                    "pending"
                } else {
                    "current"
                };
                let sums = format!("{applied} applied, {pending} pending, {changed} changed, {missing} missing");
                table.item(kind, &state.tenant, sums);
            }
            None => table.item("unknown", &state.tenant, ""),
        }
        notes(table, state);
    }
    let pending = states.tenants.iter().filter(|state| state.counts.is_some_and(|counts| counts.pending > 0)).count();
    let count = states.tenants.len();
    table.line(format_args!("{count} tenants: {pending} with pending migrations{}", not_known(states)));
}

fn notes(table: &mut Table, state: &State) {
    for build in &state.unfinished_builds {
        table.item("note", &state.tenant, format_args!("{}; `{}`", build.what(), build.remedy));
    }
}

fn not_known(states: &States) -> String {
    if states.unknown > 0 { format!(", {} cannot be looked at", states.unknown) } else { String::new() }
}

fn say_errors(states: &States) {
    for state in states.tenants.iter().filter(|state| state.error.is_some()) {
        say_error(&format!("{}: {}", state.tenant, state.error.as_deref().unwrap_or_default()), state.next.as_deref());
    }
}
