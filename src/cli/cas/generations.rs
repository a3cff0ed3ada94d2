//! Which generations a store's keys come from, as people read it.

use std::fmt::{self, Write};

use crate::cas::algorithm_counts::AlgorithmCounts;
use crate::migration::units::count_text;

/// One aligned line for each algorithm that made a key.
pub fn write_generations(text: &mut String, generations: &AlgorithmCounts) -> fmt::Result {
    for (name, count) in [
        ("keys by SHA-256", generations.sha256),
        ("keys by BLAKE2s-256", generations.blake2s),
        ("keys by BLAKE3", generations.blake3),
        ("keys by BLAKE3 cas:", generations.cas),
    ] {
        if count > 0 {
            writeln!(text, "  {name:<28}{:>16}", count_text(count))?;
        }
    }
    Ok(())
}
