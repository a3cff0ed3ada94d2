//! How much of what an enumeration lists is tried: a sample, or all of it with `HAUL_CRASH_FULL=1`.
//!
//! The sample is the same in each run. `HAUL_CRASH_SEED` chooses another one; a failing test shows the number.

use std::cell::Cell;
use std::ops::Range;
use std::sync::LazyLock;

static IS_FULL: LazyLock<bool> =
    LazyLock::new(|| std::env::var_os("HAUL_CRASH_FULL").is_some_and(|value| value == "1"));
static SEED: LazyLock<u32> =
    LazyLock::new(|| std::env::var("HAUL_CRASH_SEED").map_or(0, |seed| seed.parse().expect("a number")));

thread_local! {
    /// Each test has a thread of its own, and its output is shown if it fails.
    static IS_SHOWN: Cell<bool> = const { Cell::new(false) };
}

/// Returns what holds of a sample, or what holds of everything.
pub fn sampled_or_full<T>(sampled: T, full: T) -> T {
    if !IS_SHOWN.replace(true) {
        let extent = if *IS_FULL { "everything" } else { "a sample; HAUL_CRASH_FULL=1 tries everything" };
        println!("HAUL_CRASH_SEED={}, {extent}", *SEED);
    }
    if *IS_FULL { full } else { sampled }
}

/// Returns the seeds of scattered faults.
pub fn seeds(sampled: u64, full: u64) -> Range<u64> {
    let first = u64::from(*SEED);
    first..first + sampled_or_full(sampled, full)
}

/// True of one in `stride` numbers.
pub fn is_taken(number: usize, stride: usize) -> bool {
    (number + *SEED as usize).is_multiple_of(stride)
}

/// Returns one in `stride` of the items.
pub fn thinned<I: Iterator>(items: I, stride: usize) -> impl Iterator<Item = I::Item> {
    items.skip(*SEED as usize % stride).step_by(stride)
}
