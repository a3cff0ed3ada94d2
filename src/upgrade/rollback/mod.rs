//! The way back: exports what was written since the snapshot, and makes the backups live.

pub mod divergence;
mod statements;
