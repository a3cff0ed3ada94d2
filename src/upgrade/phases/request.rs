//! What an upgrade is asked to do.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::state::Phase;
use crate::durable::Disk;
use crate::migration::{Error, RunOptions};
use crate::upgrade::definition::Definition;
use crate::upgrade::layout::Layout;
use crate::upgrade::plan::PlanRequest;
use crate::upgrade::values::Values;

/// How far an upgrade is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Through one phase, if those before it are done.
    Only(Phase),
    /// Through all phases up to the switch, from wherever it stands.
    Switched,
}

/// Runs the hooks of a name: `freeze`, `drain`, `thaw`, `rolled-back`, and `after-schema`, `after-backfill` for tests of
/// the owner.
pub type Hook<'a> = dyn Fn(&str) -> Result<(), Error> + 'a;

/// What an upgrade works on, and how.
pub struct Upgrade<'a> {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The directory of the set.
    pub directory: &'a Path,
    /// The definition.
    pub definition: &'a Definition,
    /// What a plan is made of, if a run begins.
    pub plan: PlanRequest<'a>,
    /// Digest of the plan that is wanted, in hexadecimal digits; a run of another one does not begin.
    pub expected_plan: Option<String>,
    /// What SQL works with. A run that is continued has its own clock, inputs and settings.
    pub values: Values,
    /// How long a writer of a database is waited for.
    pub writer_wait: Duration,
    /// True to switch databases that other processes have open.
    pub force: bool,
    /// How the run is carried out.
    pub run: RunOptions,
    /// The hooks.
    pub hook: &'a Hook<'a>,
}

impl Upgrade<'_> {
    /// Returns where its files are.
    pub fn layout(&self) -> Layout {
        Layout::of(self.directory)
    }

    /// Returns the command of a verb, for messages.
    pub fn command(&self, verb: &str) -> String {
        command(verb, self.directory)
    }
}

/// Returns the command of a verb on a directory, for messages.
pub fn command(verb: &str, directory: &Path) -> String {
    format!("haul upgrade {verb} {}", crate::migration::shell_word(&directory.to_string_lossy()))
}
