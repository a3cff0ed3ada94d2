//! What an upgrade is asked to do.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::definition::Definition;
use super::hooks::Hooks;
use super::plan::Mode;
use super::values::AssumedZone;
use crate::migration::RunOptions;

/// What an upgrade is asked to do. Every phase of one run needs the same databases and rules.
#[derive(Debug, Clone)]
pub struct UpgradeRequest {
    /// The directory of the set; the state lies in `migration/` below it.
    pub directory: PathBuf,
    /// Databases that are named, with their tiers; empty for all `*.db` files of the directory.
    pub files: Vec<(Option<String>, PathBuf)>,
    /// The files that get the new tables, where several are of one tier.
    pub primaries: Vec<PathBuf>,
    /// Files of the directory that are not part of the set.
    pub excluded: Vec<PathBuf>,
    /// The upgrade.
    pub definition: Definition,
    /// Where phases 2 to 4 work.
    pub mode: Mode,
    /// The time zone of instants that name none.
    pub zone: AssumedZone,
    /// JSON lists that the definition asks for, by name.
    pub inputs: BTreeMap<String, String>,
    /// Numbers of the definition, by name.
    pub settings: BTreeMap<String, f64>,
    /// Release or commit of the application.
    pub application: Option<String>,
    /// Commands of the operator.
    pub hooks: Hooks,
    /// The digest of the plan that was approved, as hexadecimal digits; `None` for the plan as it is now.
    pub approved_plan: Option<String>,
    /// How long a lock of another program on a database is waited for.
    pub lock_timeout: Duration,
    /// The longest time of one batch of a backfill.
    pub batch_timeout: Duration,
    /// True if files are switched although other processes have them open.
    pub force: bool,
    /// How the run is carried out.
    pub run: RunOptions,
}
