//! Changes of old tables in phase 2, which groups of statements may not make: each with a comparison of its own.
//!
//! | part | holds |
//! |---|---|
//! | `planned` | which rebuilds concern a database, and where they stand |
//! | `apply`, `guard` | each in a transaction of its own, and what its statements may touch |
//! | `old` | what there was of the tables and has to be there again |
//! | `aside` | views and triggers that are taken away meanwhile |
//! | `same` | rows that must be equal before and after |

mod apply;
mod aside;
mod guard;
mod old;
mod planned;
mod quotes;
mod same;
#[cfg(test)]
mod tests;

pub use apply::apply;
pub use planned::{Planned, pending, planned, step_states};
pub use same::{Digests, changes, digests};
