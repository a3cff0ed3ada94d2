//! The log of flags: one JSON line for each change.

use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::durable::Disk;
use crate::migration::Error;
use crate::upgrade::json_lines;

/// What happened to a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlagEvent {
    /// It was set.
    Set,
    /// It has been set for its time, and its number is still right.
    Soaked,
    /// It was unset, because its number was wrong.
    Reverted,
}

/// A change of a flag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FlagLine {
    /// When.
    pub at: Timestamp,
    /// In which run.
    pub run_id: String,
    /// Which flag.
    pub flag: String,
    /// What happened.
    pub event: FlagEvent,
    /// Whether it was set before.
    pub old: bool,
    /// Whether it is set now.
    pub new: bool,
    /// The number of its query, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<f64>,
    /// What maintenance would do now, if the flag asks for such a plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub maintenance: Vec<String>,
}

/// Reads the lines of a run, oldest first.
pub fn read(disk: &dyn Disk, path: &Path, run_id: &str) -> Result<Vec<FlagLine>, Error> {
    let lines = json_lines::read::<FlagLine>(disk, path)?;
    Ok(lines.into_iter().filter(|line| line.run_id == run_id).collect())
}
