//! Buffers of batches, used again and again.

use parking_lot::Mutex;

/// Buffers of larger batches are not kept.
const BUFFER_BYTES_KEPT_MAX: usize = 4 << 20;

/// Buffers that go round between converters and writer: pages that are given back to the system are slow to get again.
#[derive(Default)]
pub struct BufferPool(Mutex<Vec<Vec<u8>>>);

impl BufferPool {
    /// An empty buffer with room for `capacity_bytes`.
    pub fn take(&self, capacity_bytes: usize) -> Vec<u8> {
        let mut buffer = self.0.lock().pop().unwrap_or_default();
        buffer.reserve_exact(capacity_bytes);
        buffer
    }

    /// Takes a buffer back, unless it has grown out of the ordinary.
    pub fn give_back(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= BUFFER_BYTES_KEPT_MAX {
            buffer.clear();
            self.0.lock().push(buffer);
        }
    }
}
