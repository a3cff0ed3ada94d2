//! What an upgrade is, as data: `upgrade.toml` and the SQL files next to it (docs/formats.md, "upgrade.toml").

mod check;
mod checklist;
mod file;
mod input;
mod lines;
mod load;
mod lookup;
mod model;
mod operation;
mod queries;
mod rebuild;
mod script;
mod scripts;
mod tiers;

pub use checklist::ChecklistItem;
pub use file::UPGRADE_FILE;
pub use model::Definition;
pub use operation::{Configuration, Flag, Input, Metric, Monitor, Retention};
pub use queries::{Backfill, Expectation, Measure, ShapeSql, TimedQuery, View, ViewSql};
pub use rebuild::{Rebuild, Same};
pub use scripts::{Group, Script, ScriptStatement};
pub use tiers::{Files, Shape, Tier};

#[cfg(test)]
mod tests;
