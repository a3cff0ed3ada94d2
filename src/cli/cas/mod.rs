//! `haul cas`: content-addressed stores.

pub mod arguments;
mod faults;
mod health;
mod migrate;
mod repair;
mod verify;

use super::verbs::verbs;

verbs! {
    /// What to do with a content-addressed store.
    pub enum Verb;

    /// Say which digests and encodings this haul has; looks at no store
    Health(health::HealthCommand),
    /// Migrate a store to the v2 layout; run the same command again to go on after a stop
    Migrate(migrate::MigrateCommand),
    /// Read a v2 store again and say everything that is wrong with it
    Verify(verify::VerifyCommand),
}
