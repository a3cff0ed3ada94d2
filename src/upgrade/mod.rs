//! The upgrade of a set of SQLite databases from one release of an application to the next, all or none
//! (docs/runbook-upgrade.md).
//!
//! | part | holds |
//! |---|---|
//! | [`definition`] | what an upgrade is: `upgrade.toml` and SQL files (docs/formats.md) |
//! | [`set`] | the files of a set, their tiers and shapes |
//! | [`plan`] | phase 0: baseline, predictions, what blocks |
//! | [`hooks`] | commands of the operator |
//! | [`configuration`] | the renaming of keys in a configuration file |
//! | [`layout`] | the files below `migration/` |

pub mod configuration;
pub mod definition;
pub mod hooks;
pub mod layout;
pub mod plan;
pub mod set;
