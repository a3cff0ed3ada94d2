//! The two passes over a file: one finds the references to rewrite, the other writes the new file.

use super::failure::RewriteFailure;
use super::gzip::Packer;
use super::resolve::{Resolution, Resolver};
use super::rewriter::Rewriter;
use super::scan::{Reference, Scanner};
use super::text::{Form, Text};
use crate::durable::DiskFile;
use crate::migration::Error;

/// Passes each reference of a text and its resolution to `on_reference`.
pub(super) fn scan_references(
    text: &Text<'_>,
    resolver: &mut Resolver<'_>,
    mut on_reference: impl FnMut(&Reference, Resolution) -> Result<(), Error>,
) -> Result<(), RewriteFailure> {
    let mut look = |reference: Reference| on_reference(&reference, resolver.resolve(reference.scheme, reference.key)?);
    let mut scanner = Scanner::new();
    text.for_each_piece(|piece| Ok(scanner.push(piece, &mut look)?))?;
    scanner.finish().map_or(Ok(()), look)?;
    Ok(text.original.check_unchanged()?)
}

/// Writes the file with its references rewritten, and returns how many were.
pub(super) fn write_rewritten(
    text: &Text<'_>,
    resolver: &mut Resolver<'_>,
    target: &dyn DiskFile,
) -> Result<u64, RewriteFailure> {
    let replaced = match text.form {
        Form::Plain => {
            let mut offset = 0;
            rewrite_text(text, resolver, &mut |rewritten| {
                target.write_all_at(offset, rewritten)?;
                offset += rewritten.len() as u64;
                Ok(())
            })?
        }
        Form::Gzip => {
            let mut packer = Packer::like(text.original, text.stop, target)?;
            let replaced = rewrite_text(text, resolver, &mut |rewritten| packer.push(rewritten))?;
            packer.finish()?;
            replaced
        }
    };
    text.original.check_unchanged()?;
    Ok(replaced)
}

/// Passes the rewritten text to `write`, piece by piece, and returns how many references were replaced.
fn rewrite_text(
    text: &Text<'_>,
    resolver: &mut Resolver<'_>,
    write: &mut dyn FnMut(&[u8]) -> Result<(), RewriteFailure>,
) -> Result<u64, RewriteFailure> {
    let (mut rewriter, mut rewritten) = (Rewriter::new(resolver), Vec::new());
    text.for_each_piece(|piece| {
        rewriter.push(piece, &mut rewritten)?;
        write(&rewritten)?;
        rewritten.clear();
        Ok(())
    })?;
    let replaced = rewriter.finish(&mut rewritten)?;
    write(&rewritten)?;
    Ok(replaced)
}
