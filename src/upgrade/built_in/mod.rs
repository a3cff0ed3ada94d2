//! The upgrades that haul brings with it, in the form in which others are given (docs/source-cortex.md).

use crate::migration::Error;
use crate::upgrade::definition::Definition;

macro_rules! texts {
    ($directory:literal: $($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!($directory, "/", $name)))),+]
    };
}

/// CORTEX 1.0 to 2.0.
pub const CORTEX: &str = "cortex-2.0";

const CORTEX_FILES: &[(&str, &str)] = texts!(
    "cortex_2_0":
    "upgrade.toml",
    "001_core_tier1.sql",
    "001_core_tier2.sql",
    "002_self_review.sql",
    "003_maintenance.sql",
    "004_incremental_creation.sql",
    "005_conversation_alter.sql",
    "006_plugins.sql",
    "007_workspace.sql",
    "actions_rows.sql",
    "actions_write.sql",
    "health_rows.sql",
    "health_write.sql",
    "issues_rows.sql",
    "issues_write.sql",
    "pattern_search.sql",
    "plugins_rows.sql",
    "plugins_write.sql",
    "provenance_write.sql",
    "retention_rows.sql",
    "retention_write.sql",
    "state_rows.sql",
    "state_write.sql",
);

/// CORTEX 2.0 with one layout of conversations, keys and full-text indexes repaired.
pub const UNIFY: &str = "cortex-unify";

const UNIFY_FILES: &[(&str, &str)] = texts!(
    "cortex_unify":
    "upgrade.toml",
    "conversation_entities.sql",
    "conversations_c.sql",
    "conversations_d.sql",
    "messages_c.sql",
    "messages_d.sql",
    "patterns_scope.sql",
    "patterns_search.sql",
);

impl Definition {
    /// Returns the upgrade of a name that is compiled into haul.
    pub fn built_in(name: &str) -> Result<Self, Error> {
        if name == CORTEX {
            return Self::from_texts(CORTEX, CORTEX_FILES);
        }
        if name == UNIFY {
            return Self::from_texts(UNIFY, UNIFY_FILES);
        }
        Err(Error::Usage {
            what: format!("haul has no upgrade `{name}`"),
            next: format!(
                "name {CORTEX} or {UNIFY}, or the directory of an upgrade, then run `haul upgrade plan` again"
            ),
        })
    }
}

#[cfg(test)]
mod tests;
