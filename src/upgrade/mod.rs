//! The upgrade of a set of SQLite databases from one release of an application to the next, all or none
//! (docs/runbook-upgrade.md).
//!
//! | part | holds |
//! |---|---|
//! | [`definition`] | what an upgrade is: `upgrade.toml` and SQL files (docs/formats.md) |
//! | [`set`] | the files of a set, their tiers and shapes |
//! | [`built_in`] | the upgrades that haul brings with it |
//! | [`values`] | what SQL of an upgrade works with: instants, settings, views |
//! | [`plan`] | phase 0: baseline, predictions, what blocks |
//! | [`layout`] | the files below `migration/` |

pub mod built_in;
pub mod definition;
pub mod layout;
pub mod plan;
pub mod set;
pub mod values;
