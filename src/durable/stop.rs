//! The question whether to stop, and the work that is done between two looks at the answer.

use std::fmt;
use std::io;
use std::path::Path;

use super::DiskError;

/// Returns true once the work is to end. Work on many files, or on a large one, asks at least once for
/// [`BYTES_MAX`] read or written and once for [`ITEMS_MAX`] items.
pub type StopCheck<'a> = &'a dyn Fn() -> bool;

/// The most bytes between two looks.
pub const BYTES_MAX: u64 = 8 << 20;
/// The most items between two looks: objects, records, entries of a directory.
pub const ITEMS_MAX: u64 = 1_000;

/// The answer for work that nobody can stop.
pub const NEVER: StopCheck<'static> = &|| false;

/// The cause of a [`DiskError`] that is none: the work was asked to stop.
#[derive(Debug)]
struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stopped on request")
    }
}

impl std::error::Error for Stopped {}

impl DiskError {
    /// Returns the error of an operation that ended because it was asked to.
    pub fn stopped(operation: &'static str, path: &Path) -> Self {
        Self::new(operation, path, io::Error::new(io::ErrorKind::Interrupted, Stopped))
    }

    /// Returns true if the operation ended because it was asked to.
    pub fn is_stop(&self) -> bool {
        self.source.get_ref().is_some_and(|cause| cause.is::<Stopped>())
    }
}

pub use counting::{count_from_now_on, looked};
pub(super) use counting::{opened, read, written};

/// Counts what each thread does between two looks. Only test builds count, and only in processes that want it.
#[cfg(any(test, feature = "internals"))]
mod counting {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::{BYTES_MAX, ITEMS_MAX};

    /// Files that an item may consist of: an object, its sidecar, and both under their old names.
    const FILES_PER_ITEM: u64 = 4;

    static IS_COUNTING: AtomicBool = AtomicBool::new(false);

    #[derive(Clone, Copy, Default)]
    struct Work {
        files: u64,
        read_bytes: u64,
        written_bytes: u64,
    }

    thread_local! {
        static SINCE_LOOK: Cell<Work> = const { Cell::new(Work { files: 0, read_bytes: 0, written_bytes: 0 }) };
    }

    /// Makes the process panic where more than the limits lies between two looks.
    pub fn count_from_now_on() {
        IS_COUNTING.store(true, Ordering::Relaxed);
    }

    /// Says that this thread has asked whether to stop.
    pub fn looked() {
        SINCE_LOOK.set(Work::default());
    }

    fn add(add: impl FnOnce(&mut Work)) {
        if !IS_COUNTING.load(Ordering::Relaxed) {
            return;
        }
        let mut work = SINCE_LOOK.get();
        add(&mut work);
        SINCE_LOOK.set(work);
        let Work { files, read_bytes, written_bytes } = work;
        assert!(
            files <= FILES_PER_ITEM * ITEMS_MAX && read_bytes <= BYTES_MAX && written_bytes <= BYTES_MAX,
            "no look at the stop token within {files} files, {read_bytes} bytes read and {written_bytes} written"
        );
    }

    /// Says that this thread has opened, made, renamed or removed a file.
    pub(in crate::durable) fn opened() {
        add(|work| work.files += 1);
    }

    /// Says that this thread has read so much.
    pub(in crate::durable) fn read(bytes: usize) {
        add(|work| work.read_bytes += bytes as u64);
    }

    /// Says that this thread has written so much.
    pub(in crate::durable) fn written(bytes: usize) {
        add(|work| work.written_bytes += bytes as u64);
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_look_ends_the_count() {
            let mut work = Work::default();
            for _ in 0..3 {
                work.read_bytes += BYTES_MAX;
            }
            SINCE_LOOK.set(work);
            looked();
            assert_eq!(SINCE_LOOK.get().read_bytes, 0);
        }
    }
}

#[cfg(not(any(test, feature = "internals")))]
mod counting {
    /// Counts in test builds.
    #[inline(always)]
    pub fn looked() {}

    /// Counts in test builds.
    pub fn count_from_now_on() {}

    #[inline(always)]
    pub(in crate::durable) fn opened() {}

    #[inline(always)]
    pub(in crate::durable) fn read(_bytes: usize) {}

    #[inline(always)]
    pub(in crate::durable) fn written(_bytes: usize) {}
}
