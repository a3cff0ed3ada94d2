//! An object of a schema, which the readers of both engines return.

/// An object of a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    /// The kind and name: `table public.users`.
    pub title: String,
    /// What names the object for its dependencies; empty if they are not looked at.
    pub address: String,
    /// The SQL that creates it.
    pub sql: String,
}
