//! The algorithms that made the keys of a store.

use crate::cas::algorithm_counts::AlgorithmCounts;
use crate::cli::table::Table;

/// Writes a count for each algorithm that made a key.
pub fn write_generations(table: &mut Table, generations: &AlgorithmCounts) {
    let counts = [
        ("keys by SHA-256", generations.sha256),
        ("keys by BLAKE2s-256", generations.blake2s),
        ("keys by BLAKE3", generations.blake3),
        ("keys by BLAKE3 cas:", generations.cas),
    ];
    table.nested(|table| table.counts(counts.into_iter().filter(|(_, count)| *count > 0)));
}
