//! `haul cas`: content-addressed stores.

pub mod arguments;
mod generate;
mod get;
mod health;
mod info;
mod ls;
mod migrate;
mod put;

use super::verbs::verbs;

verbs! {
    /// What to do with a content-addressed store.
    pub enum Verb;

    /// Make up a store of any generation
    Generate(generate::GenerateCommand),
    /// Say which digests and encodings this haul has; looks at no store
    Health(health::HealthCommand),
    /// Migrate a store to the v2 layout; run the same command again to go on after a stop
    Migrate(migrate::MigrateCommand),
    /// Show what the index of a store says of an object
    Info(info::InfoCommand),
    /// List the objects of a store by key, with the sizes of their blobs
    Ls(ls::LsCommand),
    /// Write the content of an object, after all of it was verified
    Get(get::GetCommand),
    /// Put content into a store, durably, and print its key
    Put(put::PutCommand),
}
