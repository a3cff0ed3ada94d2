//! Reads the bytes of a file, in order or from a place.

use super::failure::RewriteFailure;
use super::original::Original;
use crate::durable::{NEVER, WindowError, for_each_chunk, read_again_if};
use crate::pipeline::StopToken;

/// Passes the whole file to `take`, piece by piece.
pub(super) fn for_each_window(
    original: &dyn Original,
    stop: &StopToken,
    mut take: impl FnMut(&[u8]) -> Result<(), RewriteFailure>,
) -> Result<(), RewriteFailure> {
    let read = |offset, chunk: &mut [u8]| {
        if stop.is_requested() {
            return Err(RewriteFailure::Stopped);
        }
        Ok(read_at(original, offset, chunk)?)
    };
    for_each_chunk(0..original.len_bytes(), NEVER, read, |_, chunk| take(chunk))
}

/// Fills `buffer`, and reads again where the medium fails once.
pub(super) fn read_at(original: &dyn Original, offset: u64, buffer: &mut [u8]) -> Result<(), WindowError> {
    read_again_if(|| original.read_exact_at(offset, buffer), WindowError::of_disk)
}

/// Returns the first bytes of the file, at most so many.
pub(super) fn first_bytes(original: &dyn Original, bytes_max: u64) -> Result<Vec<u8>, RewriteFailure> {
    let mut start = vec![0; bytes_max.min(original.len_bytes()) as usize];
    read_at(original, 0, &mut start)?;
    Ok(start)
}
