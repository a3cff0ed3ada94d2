//! HTTP: the pages of `haul serve`, and the connections that bear with clients of any kind.
//!
//! Everything runs on one thread with a current-thread runtime. What is answered comes from a snapshot that another
//! thread makes, so that no request touches a store.

pub mod connections;
mod events;
mod guard;
mod list_page;
#[cfg(feature = "manifest")]
mod manifest_history;
pub mod metrics_server;
mod migration_page;
mod page;
mod query;
mod report_file;
mod routes;
mod server;
mod site;
mod snapshot;
mod stream;
#[cfg(feature = "manifest")]
mod versions;
#[cfg(feature = "manifest")]
mod versions_page;

pub use server::{Served, serve};
