//! `haul manifest`: trees of versioned JSON manifests.

mod arguments;
mod read;
mod steps;
mod validate;
mod write;

use super::verbs::verbs;

verbs! {
    /// What to do with manifests.
    pub enum Verb;

    /// Print a manifest as another version has it; writes nothing
    Read(read::ReadCommand),
    /// Check a manifest from standard input and put it in its place
    Write(write::WriteCommand),
    /// Check manifests against the schema of their versions; reads only
    Validate(validate::ValidateCommand),
    ;
    /// The steps between versions: which there are, where they lead, what they do
    Steps(steps::Verb),
}
