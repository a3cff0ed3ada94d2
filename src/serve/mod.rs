//! HTTP: the pages of `haul serve`, and the connections that bear with clients of any kind.
//!
//! Everything runs on one thread with a current-thread runtime. What is answered comes from a snapshot that another
//! thread makes, so that no request touches a store.

pub mod connections;
pub mod metrics_server;
