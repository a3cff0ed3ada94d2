//! What a squashed file sets besides the schema.

/// Something that migrations leave in a database and that is no part of its schema: rows, the position of a sequence, a
/// setting of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What it is: `position of public.ids`.
    pub title: String,
    /// The statement that sets it.
    pub sql: String,
}
