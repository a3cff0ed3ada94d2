//! Read-only mappings that end the process in an orderly way when their file is truncated.
//!
//! An access to a mapped page beyond the end of its file raises SIGBUS. The handler here searches the live mappings for
//! the address. If one contains it, the process reports which file shrank and exits with [`SHRANK_EXIT_CODE`], so that
//! the run can be resumed. Any other SIGBUS is passed to the previous handler.

use std::fs::File;
use std::io;
use std::ops::{Deref, Range};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Once, OnceLock};

use memmap2::{Mmap, MmapOptions};

/// The exit code for a source that shrank under its mapping: a temporary failure, run again (EX_TEMPFAIL).
pub const SHRANK_EXIT_CODE: i32 = 75;
/// The maximum number of guarded mappings.
const GUARDS_MAX: usize = 1024;

static GUARDS: GuardTable<GUARDS_MAX> = GuardTable::new();

/// A mapped range of a file, guarded for as long as it lives.
pub(super) struct GuardedMap {
    map: Mmap,
    /// The bytes before the requested range, which are mapped because mappings start at a page.
    lead: usize,
    slot: usize,
    /// The path, which the handler reads through the slot.
    _path: Arc<Path>,
}

impl GuardedMap {
    /// Maps `len > 0` bytes at `offset`. Returns `Ok(None)` if every guard is in use; then the range must be read
    /// instead.
    pub(super) fn new(file: &File, path: &Arc<Path>, offset: u64, len: usize) -> io::Result<Option<Self>> {
        static INSTALL: Once = Once::new();
        INSTALL.call_once(install_handler);
        let lead = (offset % rustix::param::page_size() as u64) as usize;
        let mapped_len = lead.checked_add(len).ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: the mapping is private to this type and read-only. That another process changes the bytes is not excluded,
        // so they are handed out as untrusted input only, identity is checked around every use, and a file that shrinks ends
        // the process through the guard below instead of faulting on.
        let map = unsafe { MmapOptions::new().offset(offset - lead as u64).len(mapped_len).map(file)? };
        let slot = GUARDS.claim(map.as_ptr_range(), path.as_os_str().as_bytes());
        Ok(slot.map(|slot| Self { map, lead, slot, _path: path.clone() }))
    }
}

impl Deref for GuardedMap {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map[self.lead..]
    }
}

impl Drop for GuardedMap {
    fn drop(&mut self) {
        // Fields drop after this body, so the guard is released before the mapping and the path.
        GUARDS.release(self.slot);
    }
}

/// One guarded range, readable from a signal handler. `version` is odd while the fields change.
struct Guard {
    taken: AtomicBool,
    version: AtomicUsize,
    start: AtomicUsize,
    end: AtomicUsize,
    path: AtomicPtr<u8>,
    path_len: AtomicUsize,
}

impl Guard {
    const fn new() -> Self {
        Self {
            taken: AtomicBool::new(false),
            version: AtomicUsize::new(0),
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            path: AtomicPtr::new(std::ptr::null_mut()),
            path_len: AtomicUsize::new(0),
        }
    }

    /// Fills the slot. Only the caller that has claimed it may call this.
    fn set(&self, range: Range<usize>, path: *mut u8, path_len: usize) {
        self.version.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::Release);
        self.start.store(range.start, Ordering::Relaxed);
        self.end.store(range.end, Ordering::Relaxed);
        self.path.store(path, Ordering::Relaxed);
        self.path_len.store(path_len, Ordering::Relaxed);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Returns the path of the guarded range if `address` is in it. Async-signal-safe: only atomic loads.
    fn path_at(&self, address: usize) -> Option<(*const u8, usize)> {
        let version = self.version.load(Ordering::Acquire);
        let range = self.start.load(Ordering::Relaxed)..self.end.load(Ordering::Relaxed);
        let path = (self.path.load(Ordering::Relaxed).cast_const(), self.path_len.load(Ordering::Relaxed));
        fence(Ordering::Acquire);
        let settled = version.is_multiple_of(2) && self.version.load(Ordering::Relaxed) == version;
        (settled && range.contains(&address)).then_some(path)
    }
}

struct GuardTable<const N: usize> {
    guards: [Guard; N],
    /// Where the search for a free guard starts.
    hint: AtomicUsize,
}

impl<const N: usize> GuardTable<N> {
    const fn new() -> Self {
        Self { guards: [const { Guard::new() }; N], hint: AtomicUsize::new(0) }
    }

    /// Guards `range`; returns `None` if all guards are in use. `path` must not move or change until the release.
    fn claim(&self, range: Range<*const u8>, path: &[u8]) -> Option<usize> {
        let first = self.hint.fetch_add(1, Ordering::Relaxed);
        let slot = (0..N).map(|i| first.wrapping_add(i) % N).find(|&slot| {
            self.guards[slot].taken.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
        })?;
        self.guards[slot].set(range.start.addr()..range.end.addr(), path.as_ptr().cast_mut(), path.len());
        Some(slot)
    }

    fn release(&self, slot: usize) {
        self.guards[slot].set(0..0, std::ptr::null_mut(), 0);
        self.guards[slot].taken.store(false, Ordering::Release);
    }

    fn path_at(&self, address: usize) -> Option<(*const u8, usize)> {
        self.guards.iter().find_map(|guard| guard.path_at(address))
    }
}

/// The previous SIGBUS handler.
static PREVIOUS_ACTION: OnceLock<libc::sigaction> = OnceLock::new();

fn install_handler() {
    // SAFETY: all-zero bytes are a valid `sigaction` (no handler, empty mask, no flags); both calls get pointers to live
    // local values, and `on_bus_error` does only what a signal handler may do. The previous action is stored before the
    // new one can run.
    unsafe {
        let mut previous: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGBUS, std::ptr::null(), &raw mut previous);
        PREVIOUS_ACTION.get_or_init(|| previous);
        let mut action: libc::sigaction = std::mem::zeroed();
        let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = on_bus_error;
        action.sa_sigaction = handler as usize;
        // Threads of std have an alternate stack. The fault may occur deep in the ordinary stack, so the handler runs
        // on the other.
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigaction(libc::SIGBUS, &raw const action, std::ptr::null_mut());
    }
}

/// Makes only async-signal-safe calls and does not allocate, lock or panic.
extern "C" fn on_bus_error(signal: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid siginfo; `si_addr` is read only when the kernel raised the fault (positive code).
    let (from_kernel, address) = unsafe { ((*info).si_code > 0, (*info).si_addr().addr()) };
    if from_kernel && let Some((path, path_len)) = GUARDS.path_at(address) {
        // SAFETY: the address lies in a guarded mapping that the faulting thread is reading, so the mapping is alive, and
        // with it the path that `GuardedMap` keeps until after its guard is released.
        let path = unsafe { std::slice::from_raw_parts(path, path_len) };
        say_and_exit(path);
    }
    // SAFETY: restores an action that `sigaction` itself gave out, or the default. A fault is then met again by the same
    // instruction; a signal that was sent has to be raised again.
    unsafe {
        match PREVIOUS_ACTION.get() {
            Some(previous) => _ = libc::sigaction(signal, previous, std::ptr::null_mut()),
            None => _ = libc::signal(signal, libc::SIG_DFL),
        }
        if !from_kernel {
            libc::raise(signal);
        }
    }
}

fn say_and_exit(path: &[u8]) -> ! {
    const WHAT: &[u8] = b": source shrank while it was being read (or its disk failed); \
        run the same command again with --reader pread\n";
    let part = |bytes: &[u8]| libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let message = [part(b"error: "), part(path), part(WHAT)];
    // SAFETY: the three parts point to live bytes, and both calls are safe in a signal handler. Nothing durable is open
    // to damage: the state on disk is that of a killed process.
    unsafe {
        libc::writev(libc::STDERR_FILENO, message.as_ptr(), message.len() as libc::c_int);
        libc::_exit(SHRANK_EXIT_CODE)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "builds and cuts the files that are to be mapped")]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Output};

    use super::*;

    const CHILD_VARIABLE: &str = "HAUL_TEST_BUS_ERROR";

    fn run_child(test: &str, argument: &Path) -> Output {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("durable::guarded_map::tests::{test}"), "--nocapture"])
            .env(CHILD_VARIABLE, argument)
            .output()
            .unwrap()
    }

    fn child_argument() -> Option<std::path::PathBuf> {
        std::env::var_os(CHILD_VARIABLE).map(Into::into)
    }

    fn two_pages(directory: &Path) -> std::path::PathBuf {
        let path = directory.join("the source");
        std::fs::write(&path, vec![7; 2 * rustix::param::page_size()]).unwrap();
        path
    }

    /// Maps the file's two pages, cuts the file to nothing and reads the second page.
    fn touch_after_truncation(path: &Path, guarded: bool) {
        let file = File::options().read(true).write(true).open(path).unwrap();
        let len = file.metadata().unwrap().len() as usize;
        let shared: Arc<Path> = path.into();
        let map = GuardedMap::new(&file, &shared, 0, len).unwrap().unwrap();
        if !guarded {
            GUARDS.release(map.slot);
        }
        file.set_len(0).unwrap();
        std::process::exit(i32::from(std::hint::black_box(map[len - 1])));
    }

    /// The other process of the test below; does nothing in an ordinary run.
    #[test]
    fn child_reads_behind_the_end() {
        if let Some(path) = child_argument() {
            // On a thread, as readers are.
            std::thread::spawn(move || touch_after_truncation(&path, true)).join().unwrap();
        }
    }

    #[test]
    fn a_source_that_shrinks_under_its_mapping_ends_the_process_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let path = two_pages(directory.path());
        let output = run_child("child_reads_behind_the_end", &path);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(SHRANK_EXIT_CODE), "{message}");
        let expected = format!("error: {}: source shrank while it was being read", path.display());
        assert!(message.contains(&expected), "{message}");
        assert!(message.ends_with("run the same command again with --reader pread\n"), "{message}");
    }

    /// The other process of the test below; does nothing in an ordinary run.
    #[test]
    fn child_reads_an_unguarded_mapping() {
        if let Some(path) = child_argument() {
            touch_after_truncation(&path, false);
        }
    }

    /// The other process of the test below; does nothing in an ordinary run.
    #[test]
    fn child_is_sent_the_signal() {
        if let Some(path) = child_argument() {
            let file = File::open(&path).unwrap();
            let _map = GuardedMap::new(&file, &path.into(), 0, 1).unwrap().unwrap();
            // std's handler, which was there before, restores the default on the first one and expects the fault again.
            // SAFETY: raising a signal passes no pointer.
            unsafe { (libc::raise(libc::SIGBUS), libc::raise(libc::SIGBUS)) };
        }
    }

    #[test]
    fn other_bus_errors_kill_as_ever() {
        let directory = tempfile::tempdir().unwrap();
        for child in ["child_reads_an_unguarded_mapping", "child_is_sent_the_signal"] {
            let output = run_child(child, &two_pages(directory.path()));
            assert_eq!(output.status.signal(), Some(libc::SIGBUS), "{child}: {output:?}");
        }
    }

    #[test]
    fn maps_any_range() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let bytes: Vec<u8> = (0..20_000_u32).map(|i| (i % 251) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let file = File::open(&path).unwrap();
        for (offset, len) in [(0, 20_000), (1, 1), (4095, 2), (4096, 4096), (5000, 15_000)] {
            let map = GuardedMap::new(&file, &Arc::from(path.as_path()), offset as u64, len).unwrap().unwrap();
            assert!(*map == bytes[offset..offset + len], "{offset} {len}");
        }
        for _ in 0..=GUARDS_MAX {
            GuardedMap::new(&file, &Arc::from(path.as_path()), 0, 1)
                .unwrap()
                .expect("a dropped mapping frees its guard");
        }
    }

    #[test]
    fn guards_are_limited_and_given_back() {
        let table = GuardTable::<2>::new();
        let bytes = [0_u8; 30];
        let (a, b) = (b"a".as_slice(), b"bb".as_slice());
        let first = table.claim(bytes[..10].as_ptr_range(), a).unwrap();
        let second = table.claim(bytes[10..20].as_ptr_range(), b).unwrap();
        assert_eq!(table.claim(bytes[20..].as_ptr_range(), a), None);
        assert_eq!(table.path_at(bytes[9..].as_ptr().addr()), Some((a.as_ptr(), 1)));
        assert_eq!(table.path_at(bytes[10..].as_ptr().addr()), Some((b.as_ptr(), 2)));
        assert_eq!(table.path_at(bytes[20..].as_ptr().addr()), None);
        table.release(first);
        assert_eq!(table.path_at(bytes[9..].as_ptr().addr()), None);
        assert_eq!(table.claim(bytes[20..].as_ptr_range(), a), Some(first));
        table.release(second);
    }
}
