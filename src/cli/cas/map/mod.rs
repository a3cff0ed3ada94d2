//! `haul cas map`: the map of a migration.

mod arguments;
mod check;
mod export;
mod find;
mod index;

use crate::cli::verbs::verbs;

verbs! {
    /// The commands of a map.
    pub enum Verb;

    /// Show the new key of an old one, and the old keys of a new one
    Find(find::FindCommand),
    /// Print all rows, as they are or as JSON
    Export(export::ExportCommand),
    /// Read all of a map and of its reverse file
    Check(check::CheckCommand),
    /// Create the reverse file of a map that lacks it
    Index(index::IndexCommand),
}
