//! Phase 1: keeps writers out, makes verified backups, and the copies that the next phases work on.

pub mod compare;
pub mod copies;
pub mod snapshot;
pub mod start;
pub mod take;
pub mod writers;
