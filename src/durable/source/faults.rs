//! Makes reads of a source fail in tests: the n-th open, list, read or look-up below a directory, once or from then on.

#[cfg(any(test, feature = "internals"))]
pub(in crate::durable) use injected::check;
#[cfg(any(test, feature = "internals"))]
pub use injected::{FailingSource, SourceFault};

/// What is done with a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SourceOperation {
    /// A file is opened.
    Open,
    /// A directory is opened, or its next name read.
    List,
    /// Bytes of a file are read.
    Read,
    /// The metadata of a name are looked up.
    Stat,
}

/// In a program, nothing fails on purpose.
#[cfg(not(any(test, feature = "internals")))]
pub(in crate::durable) fn check(_: SourceOperation, _: &std::path::Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(any(test, feature = "internals"))]
mod injected {
    use std::io;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

    use parking_lot::RwLock;

    use crate::durable::SourceOperation;

    /// Which operation fails, and how.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct SourceFault {
        /// The kind of operation that fails.
        pub operation: SourceOperation,
        /// How many of that kind succeed before.
        pub after: u64,
        /// How many fail; `u64::MAX`: all from then on.
        pub failing: u64,
        /// The number of the system's error.
        pub code: i32,
    }

    #[derive(Debug)]
    struct Active {
        root: PathBuf,
        fault: SourceFault,
        seen: AtomicU64,
    }

    /// Sources that fail now. Tests run side by side, each with a directory of its own.
    static ACTIVE: RwLock<Vec<Arc<Active>>> = RwLock::new(Vec::new());
    static ACTIVE_COUNT: AtomicUsize = AtomicUsize::new(0);

    /// A source whose operations fail until this drops.
    #[derive(Debug)]
    pub struct FailingSource(Arc<Active>);

    impl FailingSource {
        /// Lets operations below `root` fail. The path must be spelt as the source is.
        pub fn new(root: &Path, fault: SourceFault) -> Self {
            let active = Arc::new(Active { root: root.to_path_buf(), fault, seen: AtomicU64::new(0) });
            ACTIVE.write().push(active.clone());
            ACTIVE_COUNT.fetch_add(1, Ordering::SeqCst);
            Self(active)
        }

        /// Returns true if an operation has failed.
        pub fn has_failed(&self) -> bool {
            self.0.seen.load(Ordering::SeqCst) > self.0.fault.after
        }
    }

    impl Drop for FailingSource {
        fn drop(&mut self) {
            ACTIVE.write().retain(|active| !Arc::ptr_eq(active, &self.0));
            ACTIVE_COUNT.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// Fails if this operation is to fail.
    pub(in crate::durable) fn check(operation: SourceOperation, path: &Path) -> io::Result<()> {
        if ACTIVE_COUNT.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        for active in ACTIVE.read().iter() {
            let fault = &active.fault;
            if fault.operation == operation && path.starts_with(&active.root) {
                let before = active.seen.fetch_add(1, Ordering::SeqCst);
                if before >= fault.after && before - fault.after < fault.failing {
                    return Err(io::Error::from_raw_os_error(fault.code));
                }
            }
        }
        Ok(())
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_operations_that_are_asked_for_fail_below_the_directory() {
            let root = Path::new("/a/source");
            let fault = SourceFault { operation: SourceOperation::Open, after: 1, failing: 2, code: libc::EIO };
            let failing = FailingSource::new(root, fault);
            let open = |path: &str| check(SourceOperation::Open, Path::new(path)).is_ok();
            assert!(open("/a/other/x") && check(SourceOperation::Stat, &root.join("x")).is_ok());
            let opened: Vec<_> = (0..5).map(|_| open("/a/source/x")).collect();
            assert_eq!(opened, [true, false, false, true, true]);
            assert!(failing.has_failed());
            drop(failing);
            assert!(open("/a/source/x"));
        }
    }
}
