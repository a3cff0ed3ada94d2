//! The upgrade of a set of SQLite databases from one release of an application to the next, all or none
//! (docs/runbook-upgrade.md).
//!
//! | part | holds |
//! |---|---|
//! | [`definition`] | what an upgrade is: `upgrade.toml` and SQL files (docs/formats.md) |
//! | [`facts`] | private copies of databases, and the figures by which two states are compared |
//! | [`set`] | the files of a set, their tiers and shapes |
//! | [`built_in`] | the upgrades that haul brings with it |
//! | [`values`] | what SQL of an upgrade works with: instants, settings, views |
//! | [`plan`] | phase 0: baseline, predictions, what blocks |
//! | [`freeze`] | phase 1: backups and staging copies |
//! | [`schema`] | phase 2: tables, columns and indexes, compared by definition |
//! | [`rebuild`] | phase 2: changes of old tables, with a comparison of their own |
//! | [`backfill`] | phase 3: new tables and columns are filled in batches |
//! | [`cutover`] | phase 5: the switch of all files at once |
//! | [`flags`] | feature flags, set one at a time |
//! | [`monitor`] | phase 6: numbers and their limits |
//! | [`cleanup`] | phase 7: removes what is over its time |
//! | [`phases`] | phases 1 to 5, one after the other |
//! | [`rollback`] | the way back to the backups |
//! | [`hooks`] | commands of the operator |
//! | [`configuration`] | the renaming of keys in a configuration file |
//! | [`verify`] | phase 4: every database compared with its baseline and with what was predicted |
//! | [`layout`] | the files below `migration/` |

pub mod backfill;
pub mod built_in;
pub mod cleanup;
pub mod configuration;
pub mod cutover;
pub mod definition;
pub mod facts;
pub mod flags;
pub mod freeze;
pub mod hooks;
mod json_lines;
pub mod layout;
mod maintenance;
pub mod monitor;
pub mod phases;
pub mod plan;
mod questions;
pub mod rebuild;
pub mod request;
pub mod rollback;
pub mod schema;
pub mod set;
pub mod values;
pub mod verify;
