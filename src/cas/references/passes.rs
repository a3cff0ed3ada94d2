//! The two passes over a file: one finds the references to rewrite, the other writes the new file.

use super::failure::RewriteFailure;
use super::original::Original;
use super::resolve::{Resolution, Resolver};
use super::rewriter::Rewriter;
use super::scan::{Reference, Scanner};
use crate::durable::{DiskFile, NEVER, WindowError, for_each_chunk, read_again_if};
use crate::migration::Error;
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

/// Passes each reference of a file and its resolution to `on_reference`.
pub(super) fn scan_references(
    original: &dyn Original,
    resolver: &mut Resolver<'_>,
    stop: &StopToken,
    mut on_reference: impl FnMut(&Reference, Resolution) -> Result<(), Error>,
) -> Result<(), RewriteFailure> {
    let mut look = |reference: Reference| on_reference(&reference, resolver.resolve(reference.scheme, reference.key)?);
    let mut scanner = Scanner::new();
    for_each_window(original, stop, |window| Ok(scanner.push(window, &mut look)?))?;
    scanner.finish().map_or(Ok(()), look)?;
    Ok(original.check_unchanged()?)
}

/// Writes the file with its references rewritten, and returns how many were.
pub(super) fn write_rewritten(
    original: &dyn Original,
    resolver: &mut Resolver<'_>,
    stop: &StopToken,
    target: &dyn DiskFile,
) -> Result<u64, RewriteFailure> {
    let mut rewriter = Rewriter::new(resolver);
    let (mut rewritten, mut offset) = (Vec::new(), 0);
    let mut write = |rewritten: &mut Vec<u8>| {
        target.write_all_at(offset, rewritten)?;
        offset += rewritten.len() as u64;
        rewritten.clear();
        Ok::<_, RewriteFailure>(())
    };
    for_each_window(original, stop, |window| {
        rewriter.push(window, &mut rewritten)?;
        write(&mut rewritten)
    })?;
    let replaced = rewriter.finish(&mut rewritten)?;
    write(&mut rewritten)?;
    original.check_unchanged()?;
    Ok(replaced)
}
