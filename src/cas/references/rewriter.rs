//! Rewrites the references of a text that comes piece by piece.

use super::resolve::{Resolution, Resolver};
use super::scan::{Reference, Scanner};
use crate::migration::Error;

/// A text that is being rewritten. It buffers no more than one reference.
pub struct Rewriter<'a, 'm> {
    resolver: &'a mut Resolver<'m>,
    scanner: Scanner,
    pending: Pending,
    replaced: u64,
}

/// The end of the text so far, which is not written yet.
#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    used: usize,
    /// Where `bytes` starts in the text.
    offset: u64,
}

impl<'a, 'm> Rewriter<'a, 'm> {
    /// Starts a text.
    pub fn new(resolver: &'a mut Resolver<'m>) -> Self {
        Self { resolver, scanner: Scanner::new(), pending: Pending::default(), replaced: 0 }
    }

    /// Adds the next piece, which may be cut anywhere, and appends to `out` what can no longer change.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let Self { resolver, scanner, pending, replaced } = self;
        pending.append(piece);
        scanner.push(piece, |reference| {
            *replaced += u64::from(pending.replace(&reference, resolver, out)?);
            Ok::<_, Error>(())
        })?;
        pending.take_over(scanner.settled_until(), out);
        Ok(())
    }

    /// Appends the rest and returns how many references were replaced.
    pub fn finish(self, out: &mut Vec<u8>) -> Result<u64, Error> {
        let Self { resolver, scanner, mut pending, mut replaced } = self;
        if let Some(reference) = scanner.finish() {
            replaced += u64::from(pending.replace(&reference, resolver, out)?);
        }
        pending.take_over(pending.end(), out);
        Ok(replaced)
    }
}

impl Pending {
    fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }

    fn append(&mut self, piece: &[u8]) {
        self.bytes.drain(..self.used);
        self.offset += self.used as u64;
        self.used = 0;
        self.bytes.extend_from_slice(piece);
    }

    /// Appends the text before `offset` to `out`, unchanged.
    fn take_over(&mut self, offset: u64, out: &mut Vec<u8>) {
        let end = (offset - self.offset) as usize;
        out.extend_from_slice(&self.bytes[self.used..end]);
        self.used = end;
    }

    /// Appends the replacement of a reference and the text before it. Returns false if the reference stays as it is.
    fn replace(
        &mut self,
        reference: &Reference,
        resolver: &mut Resolver<'_>,
        out: &mut Vec<u8>,
    ) -> Result<bool, Error> {
        let Resolution::Replace { scheme, key } = resolver.resolve(reference.scheme, reference.key)? else {
            return Ok(false);
        };
        self.take_over(reference.offset, out);
        reference.push_replacement(scheme, key, out);
        self.used = (reference.end() - self.offset) as usize;
        Ok(true)
    }
}
