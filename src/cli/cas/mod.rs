//! `haul cas`: content-addressed stores.

mod health;
mod map;
mod rewrite_refs;

use super::verbs::verbs;

verbs! {
    /// What to do with a content-addressed store.
    pub enum Verb;

    /// Say which digests and encodings this haul has; looks at no store
    Health(health::HealthCommand),
    /// Give the references in other files the keys of the new store, or take them back
    RewriteRefs(rewrite_refs::RewriteRefsCommand),
    ;
    /// The map of a migration: which new key became of an old one
    Map(map::Verb),
}
