//! `haul cas`: content-addressed stores.

mod generate;
mod health;

use super::verbs::verbs;

verbs! {
    /// What to do with a content-addressed store.
    pub enum Verb;

    /// Make up a store of any generation
    Generate(generate::GenerateCommand),
    /// Say which digests and encodings this haul has; looks at no store
    Health(health::HealthCommand),
}
