//! Threads, which the system need not give.

use std::cmp::Ordering;
use std::io;
use std::sync::OnceLock;
use std::thread::{Builder, Scope, ScopedJoinHandle};

use rayon::slice::ParallelSliceMut;
use rayon::{ThreadPool, ThreadPoolBuilder};

/// The error of a run that the system gives no thread.
#[derive(Debug, thiserror::Error)]
#[error("the system starts no thread {name}")]
pub struct NoThread {
    /// The name that the thread was to have.
    pub name: &'static str,
    /// The error of the system.
    pub source: io::Error,
}

/// Starts a thread of this name, at most 15 bytes long.
pub fn start_thread<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &'static str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, NoThread> {
    Builder::new().name(name.into()).spawn_scoped(scope, work).map_err(|source| NoThread { name, source })
}

/// Returns a pool of `workers` threads.
pub fn thread_pool(workers: usize) -> Result<ThreadPool, NoThread> {
    let pool = ThreadPoolBuilder::new().num_threads(workers).build();
    pool.map_err(|error| NoThread { name: "haul-pool", source: io::Error::other(error) })
}

/// Sorts with the threads of the machine, or with this one if the system gives no others.
pub fn sort_in_parallel<T: Send>(items: &mut [T], compare: impl Fn(&T, &T) -> Ordering + Send + Sync) {
    // Not rayon's own pool, which panics where it gets no threads.
    static POOL: OnceLock<Option<ThreadPool>> = OnceLock::new();
    match POOL.get_or_init(|| thread_pool(0).ok()) {
        Some(pool) => pool.install(|| items.par_sort_unstable_by(compare)),
        None => items.sort_unstable_by(compare),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_sorts_gives_the_same_order() {
        let mut items: Vec<u64> = (0..10_000).map(|at| at * 7919 % 10_007).collect();
        let mut expected = items.clone();
        expected.sort_unstable();
        sort_in_parallel(&mut items, u64::cmp);
        assert_eq!(items, expected);
    }
}
