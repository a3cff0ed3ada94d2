//! How a section runs: in one transaction, in batches, or without a transaction.

pub(super) mod batched;
mod concurrent;
mod non_transactional;
mod pages;
pub(super) mod task;
pub(super) mod transaction;
