//! Phase 2: the tables, columns and indexes of the new release.
//!
//! | part | holds |
//! |---|---|
//! | `text`, `head`, `form` | what a statement makes, and definitions that can be compared |
//! | `actions`, `scratch` | what each statement has to do in a database, tried on a copy of its schema |
//! | `apply`, `guard`, `old_state` | the groups, each in a transaction of its own, and what they may not change |
//! | [`tracking`], `states` | haul's own tables, and where each group stands |
//! | `fault` | errors with file, phase and next command |

mod actions;
mod apply;
mod fault;
mod form;
mod guard;
mod head;
mod old_state;
mod scratch;
mod states;
#[cfg(test)]
pub mod test_definition;
#[cfg(test)]
mod tests;
mod text;
pub mod tracking;

pub use actions::{Action, Decision, GroupActions, group_actions};
pub use apply::{GroupDone, SchemaDone, apply};
pub use fault::{Place, in_transaction};
pub use head::{Head, ObjectKind};
pub use states::{state, step_states};
