//! `haul upgrade freeze`, `schema`, `backfill` and `verify`: one phase, if those before it are done.
//!
//! The JSON document is an [`UpgradeEnd`] with `directory` (path) and `exit_code`.

use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::request::RequestArgs;
use super::text::render_end;
use crate::cli::arguments::{OutputArgs, WaitArgs};
use crate::cli::command::Answer;
use crate::cli::command_line::same_with_verb;
use crate::cli::metrics_args::MetricsArgs;
use crate::cli::progress::Watch;
use crate::durable::{Disk, RealDisk};
use crate::migration::Error;
use crate::observe::Scope;
use crate::upgrade::layout::Layout;
use crate::upgrade::phases::{self, Goal, Phase, UpgradeEnd, status};
use crate::upgrade::request::UpgradeRequest;
use crate::upgrade::rollback::rollback;

/// What a phase is started with.
#[derive(Args)]
pub struct PhaseArgs {
    #[command(flatten)]
    request: RequestArgs,
    /// The digest of the plan that was approved; another plan ends with 2
    #[arg(long, value_name = "DIGEST")]
    plan: Option<String>,
    /// What to do if a check fails before the databases are switched
    #[arg(long, value_enum, default_value_t, value_name = "WHAT", hide_possible_values = false)]
    on_failure: OnFailure,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    pub metrics: MetricsArgs,
}

/// What to do if a check fails.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Default)]
enum OnFailure {
    /// Stay where it is, so that the phase can run again.
    #[default]
    #[value(help = None::<&str>)]
    Stop,
    /// Roll back.
    #[value(help = None::<&str>)]
    Rollback,
}

impl PhaseArgs {
    /// Returns the request.
    pub fn request(&self) -> Result<UpgradeRequest, Error> {
        let mut request = self.request.request()?;
        request.approved_plan.clone_from(&self.plan);
        Ok(request)
    }

    /// Takes the upgrade to a goal, with a view of the progress.
    pub fn reach(&self, watch: &Watch, request: &UpgradeRequest, goal: Goal) -> Result<UpgradeEnd, Error> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        watch.run_when_free(self.wait, Scope::of("rows"), |control| {
            let end = phases::run(&disk, request, goal, control);
            if self.on_failure == OnFailure::Rollback
                && let Err(Error::Verification { .. }) = end
                && status(&*disk, &Layout::of(&request.directory))?.is_before_switch()
            {
                control.note("a check has failed: rolling back");
                rollback(&disk, request, control)?;
            }
            end
        })
    }

    fn run(self, phase: Phase, output: OutputArgs) -> anyhow::Result<u8> {
        let request = self.request()?;
        let watch = Watch::start(output)?.with_metrics(&self.metrics)?;
        let end = self.reach(&watch, &request, Goal::Only(phase))?;
        let answer = Answer::new(&end).path("directory", &request.directory).stopped(end.stopped);
        let next = end.details.next_phase.map(|phase| same_with_verb(&phase.to_string()));
        answer.next(next).print(output, |table| render_end(table, &end))
    }
}

/// Declares a command for a phase.
macro_rules! phase_command {
    ($(#[$doc:meta])* $name:ident, $phase:ident) => {
        $(#[$doc])*
        #[derive(Args)]
        pub struct $name {
            #[command(flatten)]
            phase: PhaseArgs,
            /// Do not ask for confirmation; a single phase never asks
            #[arg(long)]
            yes: bool,
            #[command(flatten)]
            pub output: OutputArgs,
        }

        impl $name {
            pub fn run(self) -> anyhow::Result<u8> {
                self.phase.run(Phase::$phase, self.output)
            }
        }
    };
}

phase_command!(
    /// `haul upgrade freeze`
    FreezeCommand,
    Freeze
);
phase_command!(
    /// `haul upgrade schema`
    SchemaCommand,
    Schema
);
phase_command!(
    /// `haul upgrade backfill`
    BackfillCommand,
    Backfill
);
phase_command!(
    /// `haul upgrade verify`
    VerifyCommand,
    Verify
);
