//! `haul manifest steps`: the steps between versions.

mod check;
mod graph;
mod list;

use crate::cli::verbs::verbs;

verbs! {
    /// What to do with steps.
    pub enum Verb;

    /// List the steps and what the history says of each
    List(list::ListCommand),
    /// Print the graph of versions, for Graphviz
    Graph(graph::GraphCommand),
    /// Prove of each step that it is deterministic, idempotent, changes what it declares, and agrees with its chain
    Check(check::CheckCommand),
}
