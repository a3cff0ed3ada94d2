//! `haul db resolve`: records the state of a section without a transaction that failed or did not end.
//!
//! The JSON document has `database`, `environment`, `name` and `settled` (`done`, `not_begun` or `from_statement`). On tenants
//! it is that of [`migrate`](super::migrate) on tenants; `recorded` has the name.

use clap::Args;

use super::arguments::{LimitArgs, MigrationArgs, scope, version};
use super::tenants::{self, TenantArgs, TenantWork};
use crate::cli::arguments::{ConsentArgs, OutputArgs};
use crate::cli::command::Answer;
use crate::cli::progress::Watch;
use crate::db::Version;
use crate::db::runner::{Resolution, Unresolved};

/// `haul db resolve`
#[derive(Args)]
pub struct ResolveCommand {
    #[command(flatten)]
    migrations: MigrationArgs,
    /// The migration; unless an option below says otherwise, all of it counts as done
    #[arg(long, value_name = "VERSION", value_parser = version)]
    version: Version,
    /// None of it took effect; the next run starts it from the beginning
    #[arg(long, conflicts_with = "from_statement")]
    not_begun: bool,
    /// The next run continues with this statement, counted from 1
    #[arg(long, value_name = "N")]
    from_statement: Option<u64>,
    #[command(flatten)]
    consent: ConsentArgs,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    tenants: TenantArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl ResolveCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let (how, settled) = match (self.from_statement, self.not_begun) {
            (Some(number), _) => (Resolution::FromStatement(number), "from_statement"),
            (None, true) => (Resolution::NotBegun, "not_begun"),
            (None, false) => (Resolution::Done, "done"),
        };
        if self.tenants.are_given() {
            let work = TenantWork::new(&self.tenants, &self.migrations)?;
            let Some(work) = work else { return tenants::nothing_to_do(self.output, "settled") };
            return tenants::resolve(&work, (&self.version, how), &self.consent, &self.limits, self.output);
        }
        let work = self.migrations.work()?;
        let database = work.place.name();
        let plan = work.plan_to_act()?;
        let unresolved = Unresolved::find(&self.version, how, &plan, &work.migrations)?;
        let found = format!("{}: {}", work.place.name(), unresolved.found());
        self.consent.confirm_all(found, &unresolved.statements(work.migrations.dialect()))?;
        let watch = Watch::start(self.output)?;
        let mut runner = work.runner(&self.limits)?;
        let name = watch.run(scope(), |control| runner.resolve(&self.version, how, control))?;
        let answer = database.in_answer(Answer::new(&())).with("name", &*name).with("settled", settled);
        answer.print(self.output, |table| table.line(format_args!("{database}: {name} is settled")))
    }
}
