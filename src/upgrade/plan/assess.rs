//! Phase 0: makes the plan of an upgrade. It changes nothing.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::estimate::{Measured, estimate};
use super::look::{Looked, look};
use super::members::{Found, planned_members};
use super::model::{Block, Environment, Plan, PlanNote};
use super::rehearse::{Rehearsal, is_done};
use super::space::{needed_bytes, no_space};
use crate::durable::Disk;
use crate::migration::{Error, check_stop, clock, exit};
use crate::pipeline::Control;
use crate::upgrade::backfill;
use crate::upgrade::definition::Definition;
use crate::upgrade::facts::hex;
use crate::upgrade::hooks::HookTime;
use crate::upgrade::request::UpgradeRequest;
use crate::upgrade::set::{Discovered, SetRequest, assemble, discover};
use crate::upgrade::values::Values;

/// Version of the form of plans.
const VERSION: u32 = 1;

/// Makes the plan: looks at private copies of all databases, takes their baselines, and if nothing stands in the way
/// carries the upgrade out on the copies.
///
/// What stands in the way is in the plan; an error is what kept the plan from being made. No connection of this process
/// may have a database of the set open, because looking at a file closes it, and that would release the locks.
pub fn assess(request: &UpgradeRequest, disk: &dyn Disk, control: &Control<'_>) -> Result<Plan, Error> {
    let now = clock::now()?;
    let values = Values {
        run_clock: now,
        zone: request.zone.clone(),
        inputs: request.inputs.clone(),
        settings: settings(request),
    };
    check_tiers(request)?;
    let set = SetRequest { directory: &request.directory, files: &request.files, excluded: &request.excluded };
    let found = discover(&set, disk)?;
    let mut plan = empty_plan(request, &values);
    plan.excluded.clone_from(&found.excluded);
    let mut measured = Measured::default();
    let looked = look_at_all(found, request, control, &mut plan, &mut measured)?;
    let mut all = take_stock(looked, request, &values, control, &mut plan, &mut measured)?;
    // A file that cannot be looked at may be the one of the tier.
    if plan.blocks.is_empty() {
        plan.blocks = missing_tiers(&request.definition, &all, &request.directory);
    }
    plan.members = all.iter().map(|found| found.planned.clone()).collect();
    plan.space_needed_bytes = needed_bytes(&plan.members, plan.mode);
    plan.blocks.extend(no_space(&request.directory, plan.space_needed_bytes, plan.mode, disk)?);
    if plan.blocks.is_empty() {
        rehearse(&mut all, request, &values, control, &mut plan, &mut measured)?;
    }
    plan.blocks.sort_by_key(|block| urgency(block.exit_code));
    run_tests(request, control, &mut plan)?;
    plan.estimate = estimate(&measured);
    Ok(plan)
}

/// What is wrong with the data comes before what does not fit, and that before what may pass.
fn urgency(exit_code: u8) -> Option<usize> {
    [exit::BAD_DATA, exit::USAGE, exit::TEMPORARY].iter().position(|known| *known == exit_code)
}

/// Returns the numbers of the definition, some with the value of the operator.
pub(super) fn settings(request: &UpgradeRequest) -> BTreeMap<String, f64> {
    let mut settings = request.definition.settings.clone();
    settings.extend(request.settings.clone());
    settings
}

/// Refuses tiers that the definition does not have.
fn check_tiers(request: &UpgradeRequest) -> Result<(), Error> {
    let known = &request.definition.tiers;
    let given = request.files.iter().filter_map(|(tier, _)| tier.as_ref());
    for tier in given {
        if known.iter().all(|known| known.name != *tier) {
            let names: Vec<_> = known.iter().map(|tier| tier.name.as_str()).collect();
            return Err(Error::Usage {
                what: format!("plan: --db names the tier {tier}, which {} does not have", request.definition.name),
                next: format!("name one of {}", names.join(", ")),
            });
        }
    }
    Ok(())
}

fn empty_plan(request: &UpgradeRequest, values: &Values) -> Plan {
    let definition = &request.definition;
    Plan {
        version: VERSION,
        tool_version: env!("CARGO_PKG_VERSION").into(),
        made_at: format!("{:.3}", values.run_clock),
        upgrade: definition.name.clone(),
        definition_sha256: definition.sha256.clone(),
        from: definition.from.clone(),
        to: definition.to.clone(),
        application: request.application.clone(),
        mode: request.mode,
        assume_tz: request.zone.to_string(),
        inputs_sha256: inputs_sha256(request),
        settings: values.settings.clone(),
        environment: environment(),
        members: Vec::new(),
        measures: Vec::new(),
        excluded: Vec::new(),
        blocks: Vec::new(),
        notes: input_notes(request),
        estimate: Vec::new(),
        space_needed_bytes: 0,
    }
}

/// Returns the SHA-256 of each list of the operator, by name.
pub(super) fn inputs_sha256(request: &UpgradeRequest) -> BTreeMap<String, String> {
    request.inputs.iter().map(|(name, text)| (name.clone(), hex(&Sha256::digest(text)))).collect()
}

fn environment() -> Environment {
    Environment {
        sqlite_version: rusqlite::version().into(),
        system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        cpus: std::thread::available_parallelism().map_or(1, |count| count.get() as u64),
    }
}

/// Returns what is to be said of the lists that the definition asks for.
fn input_notes(request: &UpgradeRequest) -> Vec<PlanNote> {
    let mut notes = Vec::new();
    for input in &request.definition.inputs {
        let (code, lines) = match request.inputs.get(&input.name) {
            None => ("no-input", vec![format!("no list of {} was given: what it fills stays empty", input.name)]),
            // What is refused was refused when the list was read.
            Some(text) => ("unusual-input", input.check(&input.name, text).unwrap_or_default()),
        };
        notes.extend(lines.into_iter().map(|what| PlanNote { code: code.into(), file: None, what }));
    }
    notes
}

fn look_at_all(
    found: Discovered,
    request: &UpgradeRequest,
    control: &Control<'_>,
    plan: &mut Plan,
    measured: &mut Measured,
) -> Result<Vec<Looked>, Error> {
    plan.blocks.extend(found.refused.into_iter().map(Block::of_refused));
    let mut all = Vec::new();
    for candidate in &found.candidates {
        check_stop(control.stop)?;
        match look(candidate, &request.definition, control.stop)? {
            Ok(looked) => {
                measured.copy += looked.copy_time;
                measured.files += 1;
                all.push(looked);
            }
            Err(block) => plan.blocks.push(block),
        }
    }
    Ok(all)
}

/// Makes the databases members of the set, and measures each.
fn take_stock(
    looked: Vec<Looked>,
    request: &UpgradeRequest,
    values: &Values,
    control: &Control<'_>,
    plan: &mut Plan,
    measured: &mut Measured,
) -> Result<Vec<Found>, Error> {
    let databases = looked.iter().map(|looked| looked.database.clone()).collect();
    let members = assemble(databases, &request.definition, &request.directory, &request.primaries)?;
    plan.notes.extend(chosen_primaries(&members, request));
    planned_members(members, looked, &request.definition, values, control.stop, plan, measured)
}

/// Notes which file was taken for the primary one where several are of a tier and none was named.
fn chosen_primaries(members: &[crate::upgrade::set::Member], request: &UpgradeRequest) -> Vec<PlanNote> {
    let mut notes = Vec::new();
    for primary in members.iter().filter(|member| member.is_primary) {
        let len = members.iter().filter(|member| member.tier == primary.tier).count();
        if len > 1 && request.primaries.is_empty() {
            let what = format!(
                "it is the first of {len} files of {}: the new tables go into it; --primary names another",
                primary.tier
            );
            notes.push(PlanNote {
                code: "primary-chosen".into(),
                file: Some(primary.path.display().to_string()),
                what,
            });
        }
    }
    notes
}

fn missing_tiers(definition: &Definition, all: &[Found], directory: &std::path::Path) -> Vec<Block> {
    let is_there = |name: &str| all.iter().any(|found| found.planned.member.tier == name);
    let missing = definition.tiers.iter().filter(|tier| !tier.optional && !is_there(&tier.name));
    let block = |tier: &crate::upgrade::definition::Tier| {
        let what = format!("no file of the set is a database of {}", tier.name);
        let next = "name it with --db TIER=PATH, or take it into the directory";
        Block::new("missing-tier", directory, what, next, exit::USAGE)
    };
    missing.map(block).collect()
}

/// Carries the upgrade out on the copies. Backfills read numbers of all databases, so these come first.
fn rehearse(
    all: &mut [Found],
    request: &UpgradeRequest,
    values: &Values,
    control: &Control<'_>,
    plan: &mut Plan,
    measured: &mut Measured,
) -> Result<(), Error> {
    for found in all.iter() {
        let member = &found.planned.member;
        match backfill::measure(found.snapshot.connection(), &request.definition, member, values) {
            Ok(values) => plan.measures.extend(values),
            Err(error) => plan.blocks.push(Block::of_rehearsal("measure", &member.path, error)?),
        }
    }
    if !plan.blocks.is_empty() {
        return Ok(());
    }
    let set = plan.set_facts();
    let rehearsal = Rehearsal { definition: &request.definition, values, set: &set, stop: control.stop };
    for found in all.iter_mut() {
        check_stop(control.stop)?;
        if let Err(block) = rehearsal.run(&mut found.planned, &mut found.snapshot, measured)? {
            plan.blocks.push(block);
        }
    }
    plan.members = all.iter().map(|found| found.planned.clone()).collect();
    if plan.members.iter().all(is_done) {
        let what = "all steps of this upgrade have run before: there is nothing to do".into();
        plan.notes.push(PlanNote { code: "already-upgraded".into(), file: None, what });
    }
    Ok(())
}

/// Runs the application's own tests, if there are any: whether they pass before the upgrade belongs to the baseline.
fn run_tests(request: &UpgradeRequest, control: &Control<'_>, plan: &mut Plan) -> Result<(), Error> {
    let (code, what) = match request.hooks.run(HookTime::Test, "plan", control) {
        Ok(0) => return Ok(()),
        Ok(_) => ("tests-pass", "the tests of the application pass before the upgrade".to_owned()),
        Err(Error::Program { what, .. }) => ("tests-fail", format!("before the upgrade: {what}")),
        Err(error) => return Err(error),
    };
    plan.notes.push(PlanNote { code: code.into(), file: None, what });
    Ok(())
}
