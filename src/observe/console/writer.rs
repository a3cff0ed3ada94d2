//! The thread that writes.

use std::io::{self, ErrorKind, Write, stderr};
use std::os::fd::AsFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::queue::Shared;
use super::screen::Screen;

/// How long to wait where a write is refused for now.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// Bytes of one write. A pipe takes all of a write or lets it wait, so this is how finely its reader's pace is seen.
const PIECE_BYTES: usize = 64 << 10;

/// Standard error without the lock that others take to write there: a panic is shown even if this thread is stuck.
pub(super) struct StandardError;

impl Write for StandardError {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(stderr().as_fd(), bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes what is queued until nobody can read it any more.
pub(super) fn write_queued(shared: &Shared, out: &mut dyn Write) {
    let mut screen = Screen::default();
    loop {
        let (lines, count, frame) = next(shared);
        let text = screen.update(&lines, frame);
        let is_read = text.as_bytes().chunks(PIECE_BYTES).all(|piece| {
            shared.queue.lock().asked = Some(Instant::now());
            write(out, piece)
        });
        let mut queue = shared.queue.lock();
        queue.written += count;
        queue.is_drawing = false;
        queue.asked = None;
        if !is_read {
            queue.is_gone = true;
            queue.lines.clear();
        }
        shared.emptied.notify_all();
        if queue.is_gone {
            return;
        }
    }
}

/// Waits for something to write, and takes all of it.
fn next(shared: &Shared) -> (String, u64, Option<Vec<String>>) {
    let mut queue = shared.queue.lock();
    while queue.lines.is_empty() && queue.frame.is_none() {
        shared.filled.wait(&mut queue);
    }
    queue.is_drawing = true;
    let count = queue.lines.len() as u64;
    (queue.lines.drain(..).collect(), count, queue.frame.take())
}

/// Writes all of it, or as much as can be; false if nobody will ever read it.
pub(super) fn write(out: &mut dyn Write, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(written) if written > 0 => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // It is shared with a program that has asked not to wait.
            Err(error) if error.kind() == ErrorKind::WouldBlock => sleep(RETRY_INTERVAL),
            Err(error) => return !is_end(&error),
            Ok(_) => return true,
        }
    }
    true
}

/// Returns true if the reader, the terminal or standard error itself is gone. After other errors, as on a full disk, the
/// next line may have more luck.
fn is_end(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPIPE | libc::EIO | libc::EBADF))
}
