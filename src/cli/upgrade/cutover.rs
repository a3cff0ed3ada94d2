//! `haul upgrade run` and `haul upgrade cutover`: all phases up to the switch of the databases, then the flags.
//!
//! The JSON document is an [`UpgradeEnd`] with `directory` (path), `flags` and `exit_code`.

use std::io::{IsTerminal, stdin};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::cleanup::hold;
use super::phase::PhaseArgs;
use super::plan::{assess, keep};
use super::text::{render_configuration, render_end, render_flags, say_plan};
use crate::cli::arguments::{OutputArgs, check_file};
use crate::cli::command::Answer;
use crate::cli::confirm::confirm;
use crate::cli::progress::Watch;
use crate::durable::RealDisk;
use crate::migration::Error;
use crate::observe::Scope;
use crate::upgrade::configuration::{self, ConfigurationChange};
use crate::upgrade::flags::{FlagsEnd, FlagsRequest, set_flags};
use crate::upgrade::layout::Layout;
use crate::upgrade::phases::{Goal, Phase, UpgradeEnd, command, finished, refuse_blocked, status};
use crate::upgrade::request::UpgradeRequest;

const SOAK_SECONDS: u64 = 3600;

/// How the databases are switched and the flags set.
#[derive(Args, Clone)]
struct SwitchArgs {
    /// How long each flag is set before the next [default: 3600; 0 with --yes and no terminal]
    #[arg(long, value_name = "SECONDS")]
    soak: Option<u64>,
    /// Switch the files even if other processes have them open; what those write afterwards is lost
    #[arg(long)]
    force: bool,
    /// The configuration file of the application: its keys are renamed after the switch
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
}

impl SwitchArgs {
    fn soak(&self) -> Duration {
        let unattended = self.yes && !stdin().is_terminal();
        Duration::from_secs(self.soak.unwrap_or(if unattended { 0 } else { SOAK_SECONDS }))
    }

    /// Fails if there is no such configuration file, or the upgrade does not say how it changes.
    fn check_configuration(&self, request: &UpgradeRequest) -> Result<(), Error> {
        let Some(path) = &self.config else { return Ok(()) };
        if request.definition.configuration.is_none() {
            return Err(Error::Usage {
                what: "this upgrade does not say how a configuration file changes".into(),
                next: "leave out --config".into(),
            });
        }
        check_file(path, "name the configuration file")
    }

    /// Renames the keys of the configuration file.
    fn convert(&self, request: &UpgradeRequest, run_id: &str) -> Result<Option<ConfigurationChange>, Error> {
        let (Some(path), Some(rules)) = (&self.config, &request.definition.configuration) else { return Ok(None) };
        let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let backups = Layout::of(&request.directory).backups(run_id);
        configuration::apply(&RealDisk, rules, &path, &backups).map(Some)
    }
}

/// `haul upgrade run`
#[derive(Args)]
pub struct RunCommand {
    #[command(flatten)]
    phase: PhaseArgs,
    #[command(flatten)]
    switch: SwitchArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl RunCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let request = UpgradeRequest { force: self.switch.force, ..self.phase.request()? };
        self.switch.check_configuration(&request)?;
        let watch = Watch::start(self.output)?.with_metrics(&self.phase.metrics)?;
        if status(&RealDisk, &Layout::of(&request.directory))?.is_over() {
            self.begin(&watch, &request)?;
        }
        finish(&self.phase, &watch, &request, Goal::Switched, &self.switch, self.output)
    }

    /// Shows the plan of a run that is about to begin, and asks for consent.
    fn begin(&self, watch: &Watch, request: &UpgradeRequest) -> Result<(), Error> {
        let plan = assess(watch, request)?;
        keep(&request.directory, &plan)?;
        say_plan(watch, &plan);
        refuse_blocked(&plan.blocks)?;
        let what = format_args!(
            "this upgrades {} databases in {} from {} to {}; writes to them must stop until they are switched",
            plan.members.len(),
            request.directory.display(),
            plan.from,
            plan.to
        );
        confirm(what, &[], self.switch.yes)
    }
}

/// `haul upgrade cutover`
#[derive(Args)]
pub struct CutoverCommand {
    #[command(flatten)]
    phase: PhaseArgs,
    #[command(flatten)]
    switch: SwitchArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl CutoverCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let request = UpgradeRequest { force: self.switch.force, ..self.phase.request()? };
        self.switch.check_configuration(&request)?;
        let watch = Watch::start(self.output)?.with_metrics(&self.phase.metrics)?;
        let what = format_args!("this switches the databases in {}", request.directory.display());
        confirm(what, &[], self.switch.yes)?;
        finish(&self.phase, &watch, &request, Goal::Only(Phase::Cutover), &self.switch, self.output)
    }
}

fn finish(
    phase: &PhaseArgs,
    watch: &Watch,
    request: &UpgradeRequest,
    goal: Goal,
    switch: &SwitchArgs,
    output: OutputArgs,
) -> anyhow::Result<u8> {
    let end = phase.reach(watch, request, goal)?;
    if end.stopped {
        let answer = Answer::new(&end).path("directory", &request.directory).stopped(true);
        return answer.print(output, |table| render_end(table, &end));
    }
    // Nobody else sets flags meanwhile.
    let _held = hold(Layout::of(&request.directory).run())?;
    let configuration = switch.convert(request, &end.run_id)?;
    let flags = set_flags_of(watch, request, &end, switch.soak())?;
    let (flags_value, configuration_value) = (serde_json::to_value(&flags)?, serde_json::to_value(&configuration)?);
    let next =
        format!("{}; to undo: {}", command("monitor", &request.directory), command("rollback", &request.directory));
    let answer = Answer::new(&end).path("directory", &request.directory).with("flags", flags_value);
    answer.with("configuration", configuration_value).next(next).print(output, |table| {
        render_end(table, &end);
        render_flags(table, &flags);
        if let Some(change) = &configuration {
            render_configuration(table, change);
        }
    })
}

/// Sets the flags after the switch.
fn set_flags_of(watch: &Watch, request: &UpgradeRequest, end: &UpgradeEnd, soak: Duration) -> Result<FlagsEnd, Error> {
    let layout = Layout::of(&request.directory);
    let run = finished(&RealDisk, &layout)?;
    let flags = FlagsRequest {
        disk: &RealDisk,
        file: &layout.flags(),
        log: &layout.cutover(),
        definition: &request.definition,
        members: &run.members,
        values: &run.values,
        run_id: &end.run_id,
        soak,
    };
    watch.run(Scope::of("rows"), |control| set_flags(&flags, control))
}
