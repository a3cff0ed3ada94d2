//! Ranges of a source in memory, and the buffers that they are read into.

use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Deref;

use parking_lot::Mutex;

use super::guarded_map::GuardedMap;
use super::source::interrupted::read_exact_at;

/// A range of a source: a mapping or a copy. Share it in an `Arc`; it is released with the last reference.
///
/// A mapped window shows the current file: if another program changes the bytes, they change here too.
pub struct Window(Bytes);

enum Bytes {
    Mapped(GuardedMap),
    Read(PooledBuffer),
}

impl Window {
    pub(super) fn mapped(map: GuardedMap) -> Self {
        Self(Bytes::Mapped(map))
    }

    /// Returns true if the bytes are mapped pages of the file, false if they are a copy.
    pub fn is_mapped(&self) -> bool {
        matches!(self.0, Bytes::Mapped(_))
    }
}

impl Deref for Window {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Mapped(map) => map,
            Bytes::Read(buffer) => &buffer.bytes[..buffer.len],
        }
    }
}

impl AsRef<[u8]> for Window {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Window").field("len", &self.len()).field("is_mapped", &self.is_mapped()).finish()
    }
}

/// Reads `len` bytes at `offset` into a buffer of the pool.
pub(super) fn read_window(file: &File, offset: u64, len: usize) -> io::Result<Window> {
    let mut buffer = PooledBuffer { bytes: POOL.take(len), len };
    read_exact_at(file, &mut buffer.bytes[..len], offset)?;
    Ok(Window(Bytes::Read(buffer)))
}

/// Buffers to be used again: the first access to a fresh page costs more than copying into it.
static POOL: BufferPool = BufferPool { free: Mutex::new(Vec::new()), bytes_max: 32 << 20, buffers_max: 64 };

struct BufferPool {
    free: Mutex<Vec<Vec<u8>>>,
    bytes_max: usize,
    buffers_max: usize,
}

impl BufferPool {
    /// Returns a buffer of at least `len` bytes with undefined content, but none that is far larger than needed.
    fn take(&self, len: usize) -> Vec<u8> {
        let mut free = self.free.lock();
        let fits = |buffer: &Vec<u8>| buffer.len() >= len && buffer.len() / 4 <= len;
        match free.iter().position(fits) {
            Some(index) => free.swap_remove(index),
            None => {
                // Other threads must not wait while a large buffer is zeroed.
                drop(free);
                vec![0; len]
            }
        }
    }

    fn give_back(&self, buffer: Vec<u8>) {
        let mut free = self.free.lock();
        let free_bytes: usize = free.iter().map(Vec::len).sum();
        if free.len() < self.buffers_max && free_bytes + buffer.len() <= self.bytes_max {
            free.push(buffer);
        }
    }
}

struct PooledBuffer {
    bytes: Vec<u8>,
    /// The number of bytes that belong to the window.
    len: usize,
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        POOL.give_back(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> BufferPool {
        BufferPool { free: Mutex::new(Vec::new()), bytes_max: 1000, buffers_max: 2 }
    }

    #[test]
    fn buffers_are_used_again_if_they_fit() {
        let pool = pool();
        let buffer = vec![1; 100];
        let address = buffer.as_ptr();
        pool.give_back(buffer);
        assert_eq!(pool.take(101).len(), 101, "too short");
        assert_eq!(pool.take(10).len(), 10, "far too long");
        let taken = pool.take(90);
        assert_eq!(taken.as_ptr(), address);
        assert!(pool.free.lock().is_empty());
    }

    #[test]
    fn the_pool_is_bounded() {
        let pool = pool();
        pool.give_back(vec![0; 1001]);
        assert!(pool.free.lock().is_empty());
        for _ in 0..3 {
            pool.give_back(vec![0; 10]);
        }
        assert_eq!(pool.free.lock().len(), 2);
        pool.free.lock().pop();
        pool.give_back(vec![0; 991]);
        assert_eq!(pool.free.lock().len(), 1);
    }

    #[test]
    fn windows_can_be_shared() {
        fn assert_shareable<T: Send + Sync + 'static>() {}
        assert_shareable::<Window>();
    }
}
