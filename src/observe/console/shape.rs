//! What lines look like.

/// What lines look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    /// Text for people.
    #[default]
    Text,
    /// Objects of `docs/progress.schema.json`.
    Progress,
    /// Events as objects.
    Events,
}
