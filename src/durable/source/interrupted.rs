//! Calls that a signal interrupts are made again, but not for ever: a file system that answers nothing else would keep
//! the run from ending.

use std::io;
use std::os::fd::AsFd;

use rustix::io::{Errno, pread};

use crate::durable::fault_class::INTERRUPTIONS_MAX;

/// Makes the call again while it is interrupted.
pub(in crate::durable) fn retried<T>(mut call: impl FnMut() -> Result<T, Errno>) -> io::Result<T> {
    for _ in 0..INTERRUPTIONS_MAX {
        match call() {
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
    Ok(call()?)
}

/// Fills `buffer` from `offset`. A file that ends before is an `UnexpectedEof`.
pub(in crate::durable) fn read_exact_at(file: impl AsFd, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match retried(|| pread(file.as_fd(), &mut *buffer, offset))? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                buffer = &mut buffer[count..];
                offset += count as u64;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests lay out files")]

    use super::*;

    #[test]
    fn an_interrupted_call_is_made_again_and_given_up_in_the_end() {
        let mut left = 5;
        let result = retried(|| {
            left -= 1;
            if left > 0 { Err(Errno::INTR) } else { Ok(left) }
        });
        assert_eq!(result.unwrap(), 0);
        let mut calls = 0;
        let result: io::Result<()> = retried(|| {
            calls += 1;
            Err(Errno::INTR)
        });
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::Interrupted);
        assert_eq!(calls, INTERRUPTIONS_MAX + 1);
    }

    #[test]
    fn a_range_is_read_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, b"0123456789").unwrap();
        let file = std::fs::File::open(&path).unwrap();
        let mut buffer = [0; 4];
        read_exact_at(&file, &mut buffer, 6).unwrap();
        assert_eq!(&buffer, b"6789");
        assert_eq!(read_exact_at(&file, &mut buffer, 7).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
