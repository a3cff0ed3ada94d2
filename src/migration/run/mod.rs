//! A run of a migration: its directory, lock, options, state and status.

pub(crate) mod attempts;
pub(crate) mod directory;
pub(crate) mod directory_locks;
pub(crate) mod entries;
pub(crate) mod expectation;
pub(crate) mod locked;
pub(crate) mod lost_files;
pub(crate) mod options;
pub(crate) mod state;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod wait;
