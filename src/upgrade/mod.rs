//! The upgrade of a set of SQLite databases from one release of an application to the next, all or none
//! (docs/runbook-upgrade.md).
//!
//! | part | holds |
//! |---|---|
//! | [`definition`] | what an upgrade is: `upgrade.toml` and SQL files (docs/formats.md) |
//! | [`facts`] | private copies of databases, and the figures by which two states are compared |
//! | [`set`] | the files of a set, their tiers and shapes |
//! | [`values`] | what SQL of an upgrade works with: instants, settings, views |
//! | [`plan`] | phase 0: baseline, predictions, what blocks |
//! | [`schema`] | phase 2: tables, columns and indexes, compared by definition |
//! | [`layout`] | the files below `migration/` |

pub mod definition;
pub mod facts;
pub mod layout;
pub mod plan;
pub mod schema;
pub mod set;
pub mod values;
