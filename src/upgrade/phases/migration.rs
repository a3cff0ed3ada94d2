//! The upgrade of a set: what its life cycle needs of it.

use std::path::Path;

use serde_json::json;

use super::assess::plan_of_new_run;
use super::files::{command, digest_text, plan_of_run, replaced, verification};
use super::given;
use super::state::{CHECKPOINT_KIND, Counts, Goal, Phase, Progress, Purpose, RunState, UpgradeRules};
use super::switch::Switcher;
use super::verify::verify;
use super::work::Work;
use crate::durable::remove_tree;
use crate::migration::checkpoint::Kind;
use crate::migration::report::parts::Next;
use crate::migration::{Check, Context, Error, Migration, Places, SourceBytes, Stage, Standing, Step, Summary, clock};
use crate::pipeline::{Control, Ended};
use crate::upgrade::backfill::Limits;
use crate::upgrade::freeze::snapshot::DatabaseSnapshot;
use crate::upgrade::freeze::take::{Freeze, unfreeze};
use crate::upgrade::freeze::writers::Writers;
use crate::upgrade::hooks::HookTime;
use crate::upgrade::layout::Layout;
use crate::upgrade::plan::{Mode, Plan};
use crate::upgrade::request::UpgradeRequest;
use crate::upgrade::values::Values;

/// The upgrade of a set.
pub(super) struct UpgradeMigration<'a> {
    request: &'a UpgradeRequest,
    goal: Goal,
    layout: Layout,
    /// The plan of the run, once it is known.
    plan: Option<Plan>,
    /// The locks that keep others from writing.
    writers: Writers,
}

impl<'a> UpgradeMigration<'a> {
    /// Returns an upgrade that has not looked at anything.
    pub fn new(request: &'a UpgradeRequest, goal: Goal, layout: Layout) -> Self {
        Self { request, goal, layout, plan: None, writers: Writers::default() }
    }

    fn directory(&self) -> &Path {
        &self.request.directory
    }

    /// Refuses a phase whose turn has not come.
    fn check_turn(&self, state: Option<&RunState>) -> Result<(), Error> {
        let Goal::Only(wanted) = self.goal else { return Ok(()) };
        let next = state.map_or(Some(Phase::Freeze), Phase::after);
        match next {
            Some(next) if next < wanted => Err(Error::Usage {
                what: format!("{wanted}: {next} comes before it and is not done"),
                next: format!("run `{}` first", command(&next.to_string(), self.directory())),
            }),
            _ => Ok(()),
        }
    }

    fn hook(&self, time: HookTime, phase: Phase, run_id: &str, control: &Control<'_>) -> Result<(), Error> {
        let hooks = self.request.hooks.clone().with("HAUL_RUN_ID", run_id);
        hooks.run(time, &phase.to_string(), control).map(drop)
    }

    fn next(&self, state: &RunState) -> Next {
        let command = |verb: &str| Some(command(verb, self.directory()));
        let may_verify = (Stage::Sealed..Stage::Published).contains(&state.stage);
        Next { verify: command("verify").filter(|_| may_verify), rollback: command("rollback") }
    }

    fn freeze(&mut self, cx: &Context<'_>, state: &RunState, plan: &Plan, values: &Values) -> Result<(), Error> {
        let run_id = &state.run_id;
        let (snapshot, writers) = Freeze {
            disk: &**cx.disk,
            layout: &self.layout,
            run_id,
            plan,
            plan_digest: &digest_text(&state.plan_digest),
            values,
            writer_wait: self.request.lock_timeout,
            directory: self.directory(),
            control: cx.control,
            hook: &|time| self.hook(time, Phase::Freeze, run_id, cx.control),
        }
        .run()?;
        self.writers = writers;
        let of = |of: &DatabaseSnapshot| json!({ "file": of.key, "sha256": of.sha256, "bytes": of.bytes });
        let detail = json!({ "backups": snapshot.databases.iter().map(of).collect::<Vec<_>>() });
        cx.lock.map_or(Ok(()), |lock| lock.note(Some(run_id), "backed-up", detail))
    }

    /// Keeps others from writing, if this process does not do so yet. In place, the phases themselves write.
    fn hold_writers(&mut self, plan: &Plan, phase: Phase) -> Result<(), Error> {
        match plan.mode {
            Mode::InPlace => self.writers = Writers::default(),
            Mode::Staged if self.writers.is_empty() => {
                let paths = plan.members.iter().map(|planned| &*planned.member.path);
                let command = command(&phase.to_string(), self.directory());
                self.writers = Writers::hold(paths, self.request.lock_timeout, &phase.to_string(), &command)?;
            }
            Mode::Staged => {}
        }
        Ok(())
    }

    fn switcher<'b>(&'b self, cx: &'b Context<'_>) -> Switcher<'b> {
        Switcher {
            disk: &**cx.disk,
            layout: &self.layout,
            checkpoint: &cx.checkpoint,
            directory: self.directory(),
            wait: self.request.lock_timeout,
            force: self.request.force,
            control: cx.control,
        }
    }

    fn cut_over(&mut self, cx: &Context<'_>, state: &mut RunState, plan: &Plan) -> Result<(), Error> {
        // Their transactions would keep the switch out, too.
        self.writers = Writers::default();
        if plan.mode == Mode::Staged && state.progress.switched != Some(Purpose::Cutover) {
            self.switcher(cx).cut_over(plan, state)?;
        }
        unfreeze(&**cx.disk, &self.layout)?;
        remove_tree(&**cx.disk, &self.layout.staging())?;
        remove_tree(&**cx.disk, &replaced(&self.layout))?;
        self.hook(HookTime::Thaw, Phase::Cutover, &state.run_id, cx.control)?;
        self.hook(HookTime::Test, Phase::Cutover, &state.run_id, cx.control)
    }
}

impl Migration for UpgradeMigration<'_> {
    const NOUN: &'static str = "upgrade";
    const KIND: Kind = CHECKPOINT_KIND;
    const PLAN_PARTS: &'static str = "the definition, the databases or what they hold";
    type Rules = UpgradeRules;
    type Progress = Progress;
    type Counts = Counts;
    type Plan = Plan;

    fn rules(&self) -> UpgradeRules {
        let UpgradeRequest { definition, mode, zone, .. } = self.request;
        UpgradeRules {
            upgrade: definition.name.clone(),
            definition_sha256: definition.sha256.clone(),
            mode: *mode,
            assume_tz: zone.to_string(),
        }
    }

    fn preflight(&self, _cx: &Context<'_>, check: Check<'_, RunState>) -> Result<Ended, Error> {
        match check {
            Check::Places => {}
            Check::Target => self.check_turn(None)?,
            Check::Continued(state) => self.check_turn(Some(state))?,
        }
        Ok(Ended::Complete)
    }

    /// An upgrade that is switched stays done, until there is another definition.
    fn standing(&mut self, _cx: &Context<'_>, state: &RunState) -> Result<Standing, Error> {
        let is_same = state.rules == self.rules();
        match state.stage {
            // Nothing is done before the snapshot is whole: the databases are looked at again.
            Stage::Running | Stage::RolledBack => Ok(Standing::Over),
            Stage::Published if !is_same => Ok(Standing::Over),
            _ if is_same => Ok(Standing::Continues),
            _ => Err(Error::Usage {
                what: format!("an upgrade with other settings has begun and has not ended: {}", state.rules),
                next: format!("use its settings, or take it back with `{}`", command("rollback", self.directory())),
            }),
        }
    }

    fn discard(&mut self, cx: &Context<'_>) -> Result<(), Error> {
        cx.checkpoint.remove(&**cx.disk)
    }

    fn restart(&mut self, cx: &Context<'_>) -> Result<(), Error> {
        let _ = cx;
        Err(Error::Usage {
            what: "an upgrade that has begun is not discarded: its databases may be changed".into(),
            next: format!("take it back with `{}`, then begin again", command("rollback", self.directory())),
        })
    }

    fn clear(&mut self, cx: &Context<'_>) -> Result<(), Error> {
        Ok(remove_tree(&**cx.disk, &self.layout.staging())?)
    }

    fn plan(&mut self, cx: &Context<'_>, begins: bool) -> Result<Option<Plan>, Error> {
        let plan = match begins {
            true => plan_of_new_run(self.request, cx)?,
            false => plan_of_run(&**cx.disk, cx.directory)?,
        };
        self.plan = Some(plan.clone());
        Ok(Some(plan))
    }

    fn begin(&mut self, cx: &Context<'_>, state: &mut RunState, last: Option<&RunState>) -> Result<(), Error> {
        if let Some(unfinished) = last.filter(|last| last.stage == Stage::Running) {
            remove_tree(&**cx.disk, &self.layout.backups(&unfinished.run_id))?;
        }
        let plan = self.plan.as_ref().expect("a run begins with a plan");
        let settings = self.request.definition.settings.clone().into_iter().chain(self.request.settings.clone());
        let values = Values {
            run_clock: clock::now_or_nearest(),
            zone: self.request.zone.clone(),
            inputs: self.request.inputs.clone(),
            settings: settings.collect(),
        };
        state.records = plan.members.len() as u64;
        state.counts.upgraded = state.records;
        given::keep(&**cx.disk, cx.directory, &values)
    }

    /// Brings a switch to its end that was interrupted.
    fn settle(&mut self, cx: &Context<'_>, state: &mut RunState) -> Result<(), Error> {
        let is_rollback = |purpose: Purpose| purpose == Purpose::Rollback;
        let begun = state.progress.switch.as_ref().map(|begun| begun.purpose);
        if begun.or(state.progress.switched).is_some_and(is_rollback) {
            return Err(Error::Usage {
                what: "a rollback has begun and has not ended".into(),
                next: format!("run `{}`: it goes on from there", command("rollback", self.directory())),
            });
        }
        self.switcher(cx).resume(state).map(drop)
    }

    fn step(&mut self, cx: &Context<'_>, state: &mut RunState) -> Result<Step, Error> {
        let plan = self.plan.clone().expect("a run has a plan");
        let values = given::kept(&**cx.disk, cx.directory)?;
        let plan_digest = digest_text(&state.plan_digest);
        let phase = Phase::after(state).expect("a stage before the goal has a next phase");
        if phase > Phase::Freeze {
            self.hold_writers(&plan, phase)?;
        }
        let run_id = state.run_id.clone();
        let work = Work {
            disk: &**cx.disk,
            layout: &self.layout.clone(),
            definition: &self.request.definition,
            plan: &plan,
            plan_digest: &plan_digest,
            run_id: &run_id,
            values: &values,
            control: cx.control,
        };
        match phase {
            Phase::Freeze => self.freeze(cx, state, &plan, &values)?,
            Phase::Schema => {
                work.schema()?;
                self.hook(HookTime::Test, phase, &run_id, cx.control)?;
                state.progress.is_schema_done = true;
                cx.checkpoint.store(&**cx.disk, state)?;
                if self.goal != Goal::Only(Phase::Schema) {
                    return self.step(cx, state);
                }
                return Ok(Step::Paused);
            }
            Phase::Backfill if self.goal == Goal::Only(Phase::Schema) => return Ok(Step::Paused),
            Phase::Backfill => {
                let stop = cx.control.stop.clone();
                work.backfill(&Limits { batch_time: self.request.batch_timeout, ..Limits::new(stop) })?;
                self.hook(HookTime::Test, phase, &run_id, cx.control)?;
            }
            Phase::Verify => verify(&work, self.request)?,
            Phase::Cutover => self.cut_over(cx, state, &plan)?,
        }
        Ok(Step::Reached(phase.goal()))
    }

    fn places(&self, _state: &RunState) -> Places {
        Places { source: self.directory().to_path_buf(), target: self.directory().to_path_buf() }
    }

    fn migrated(&self, _state: &RunState) -> (u64, u64) {
        (0, 0)
    }

    fn summary(&self, cx: &Context<'_>, state: &RunState) -> Result<Summary, Error> {
        let directory = self.directory().display().to_string();
        // What an earlier run has left is not about this one.
        let verification = match state.stage >= Stage::Verified {
            true => verification(&**cx.disk, &self.layout)?,
            false => None,
        };
        let members = self.plan.iter().flat_map(|plan| &plan.members);
        let source_bytes: u64 = members.clone().map(|planned| planned.file_bytes + planned.wal_bytes).sum();
        let databases: Vec<&str> = members.map(|planned| planned.member.key.as_str()).collect();
        Ok(Summary {
            source: directory.clone(),
            target: directory,
            source_bytes: SourceBytes { total: source_bytes, ..SourceBytes::default() },
            details: json!({
                "databases": databases,
                "application": self.plan.as_ref().and_then(|plan| plan.application.as_ref()),
                "next_phase": Phase::after(state),
                "verification": verification,
            }),
            next: self.next(state),
            ..Summary::default()
        })
    }

    fn sweep(&mut self, _cx: &Context<'_>) -> Result<(), Error> {
        self.writers = Writers::default();
        Ok(())
    }
}
