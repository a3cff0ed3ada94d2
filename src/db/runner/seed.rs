//! Runs seeds: files without a version that only `seed` runs.

use super::Runner;
use super::plan::Plan;
use super::run_summary::RunSummary;
use super::section::task::Task;
use crate::db::script::{Migration, Migrations};
use crate::migration::Error;
use crate::pipeline::{Control, Expected, Phase};

/// Which seeds run although they have run before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Again {
    /// Those whose text has changed.
    #[default]
    Changed,
    /// These too, by name.
    Named(Vec<String>),
    /// All.
    All,
}

impl Again {
    /// Fails if a name is unknown.
    pub fn check(&self, migrations: &Migrations) -> Result<(), Error> {
        let (named, all) = (self.named(), migrations.files());
        if let Some(unknown) = named.iter().find(|name| all.iter().all(|file| file.name != **name)) {
            let names: Vec<_> = all.iter().map(|file| file.name.as_str()).collect();
            return Err(Error::Usage {
                what: format!("there is no seed `{unknown}`"),
                next: format!("name one of: {}", names.join(", ")),
            });
        }
        Ok(())
    }

    /// Returns the files to run. Fails if one of them must not run, or a name is unknown.
    pub fn select<'a>(&self, plan: &Plan, migrations: &'a Migrations) -> Result<Vec<&'a Migration>, Error> {
        self.check(migrations)?;
        let (named, all) = (self.named(), migrations.files());
        let pending = plan.pending_files();
        let is_wanted = |file: &&Migration| {
            *self == Self::All || named.contains(&file.name) || pending.iter().any(|state| state.name == file.label())
        };
        let wanted: Vec<_> = all.iter().filter(is_wanted).collect();
        wanted.iter().try_for_each(|file| file.require_sound())?;
        Ok(wanted)
    }

    fn named(&self) -> &[String] {
        match self {
            Self::Named(names) => names,
            Self::Changed | Self::All => &[],
        }
    }
}

impl Runner {
    /// Runs seeds: those that are new or were changed, and those of `again`. The migrations of this runner are the seeds.
    pub fn seed(&mut self, again: &Again, control: &Control<'_>) -> Result<RunSummary, Error> {
        // Hooks are about migrations.
        let hooks = std::mem::take(&mut self.options.hooks);
        let result = self.locked(control, |runner| runner.run_seeds(again, control));
        self.options.hooks = hooks;
        result
    }

    fn run_seeds(&mut self, again: &Again, control: &Control<'_>) -> Result<RunSummary, Error> {
        let migrations = self.migrations.clone();
        let plan = self.plan()?;
        let wanted = again.select(&plan, &migrations)?;
        let mut end = RunSummary::new(migrations.files().len() - wanted.len());
        if wanted.is_empty() {
            return Ok(end);
        }
        let destroys_data = self.destroys_data(&wanted);
        let tasks: Vec<_> = wanted.into_iter().map(Task::up).collect();
        let backup = self.back_up(&plan, &tasks, destroys_data, control)?;
        self.state(|state| state.create_files())?;
        control.phase(Phase::Run, Expected::records(tasks.len() as u64), || {
            self.apply_all(&plan, &tasks, None, control, &mut end)
        })?;
        let left = tasks.iter().skip(usize::try_from(end.applied).unwrap_or(usize::MAX));
        end.pending = left.map(|task| task.migration.label()).collect();
        end.backup = self.settle_backups(backup, &end, control)?;
        Ok(end)
    }
}
