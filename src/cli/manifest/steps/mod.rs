//! `haul manifest steps`: the steps between versions.

mod check;
mod graph;
mod list;

use crate::cli::verbs::verbs;

verbs! {
    /// The commands of steps.
    pub enum Verb;

    /// List the steps and the changes that the history records for each
    List(list::ListCommand),
    /// Print the graph of versions for Graphviz
    Graph(graph::GraphCommand),
    /// Check that each step is deterministic and idempotent, changes what it declares, and agrees with its chain
    Check(check::CheckCommand),
}
