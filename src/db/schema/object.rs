//! One object of a schema, as the readers of both engines give it.

/// An object of a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    /// `table public.users`
    pub title: String,
    /// What makes it.
    pub sql: String,
}
