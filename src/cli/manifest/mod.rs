//! `haul manifest`: trees of versioned JSON manifests.

mod arguments;
mod compat;
mod dry_run;
mod generate;
mod list_versions;
mod migrate;
mod plan;
mod text;

use super::verbs::verbs;

verbs! {
    /// What to do with a tree of manifests.
    pub enum Verb;

    /// Make up a tree of manifests of all versions
    Generate(generate::GenerateCommand),
    /// Show what a migration would read and need; reads only
    Plan(plan::PlanCommand),
    /// Take every manifest of a tree to a version; run the same command again to go on after a stop
    Migrate(migrate::MigrateCommand),
}
