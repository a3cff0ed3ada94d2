//! Buffers of batches that are used again and again.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use parking_lot::Mutex;

/// Capacities are multiples of this, so that the buffers of batches that differ little serve each other.
const STEP_BYTES: usize = 256 << 10;

/// Lends buffers to converters and takes them back when the writer drops them.
///
/// Memory fresh from the system is slow to touch: every page of it is a fault. The lock is taken twice a batch, not once
/// a record.
#[derive(Debug, Clone)]
pub struct BufferPool {
    idle: Arc<Mutex<Vec<Vec<u8>>>>,
    kept_bytes_max: usize,
}

impl BufferPool {
    /// Returns an empty pool. Buffers that grew beyond `kept_bytes_max` go back to the system instead: one huge batch
    /// must not hold its memory for the rest of the run.
    pub fn new(kept_bytes_max: usize) -> Self {
        Self { idle: Arc::default(), kept_bytes_max }
    }

    /// Lends an empty buffer with room for `capacity_bytes`.
    ///
    /// Ask for all that is needed: growing would copy, and leave up to twice the size behind in the allocator, outside
    /// of the memory budget.
    pub fn take(&self, capacity_bytes: usize) -> Buffer {
        let mut bytes = self.idle.lock().pop().unwrap_or_default();
        if bytes.capacity() < capacity_bytes {
            bytes = Vec::with_capacity(capacity_bytes.next_multiple_of(STEP_BYTES));
        }
        Buffer { bytes, pool: self.clone() }
    }
}

/// A buffer on loan: it goes back to its pool when it is dropped.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    pool: BufferPool,
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.bytes.capacity() <= self.pool.kept_bytes_max {
            self.bytes.clear();
            self.pool.idle.lock().push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_buffer_is_lent_again_and_empty() {
        let pool = BufferPool::new(usize::MAX);
        let mut buffer = pool.take(10);
        buffer.extend_from_slice(b"content");
        let address = buffer.as_ptr();
        drop(buffer);
        let again = pool.take(STEP_BYTES);
        assert_eq!((again.as_ptr(), again.len()), (address, 0));
        assert!(pool.take(STEP_BYTES + 1).capacity() > STEP_BYTES);
    }

    #[test]
    fn a_buffer_that_grew_too_large_is_not_kept() {
        let pool = BufferPool::new(STEP_BYTES);
        drop(pool.take(STEP_BYTES + 1));
        assert!(pool.idle.lock().is_empty());
        drop(pool.take(STEP_BYTES));
        assert_eq!(pool.idle.lock().len(), 1);
    }
}
