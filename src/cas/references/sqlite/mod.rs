//! References in the columns of SQLite databases.
//!
//! A database is rewritten in place, in one transaction under SQLite's own locks: programs that have it open see the
//! change, which they would not if the file were replaced. The original is a copy that SQLite's backup makes.

mod changes;
mod connect;
mod copy;
mod search;
mod tables;

use std::path::Path;

use self::search::{Found, OnReference, Place};
use super::failure::RewriteFailure;
use super::original::FileSource;
use super::resolve::Resolver;
use super::scan::Reference;
use crate::durable::{AttributesNotKept, Disk};
use crate::pipeline::StopToken;

/// A database.
pub(super) struct Database<'a> {
    /// The path of its file, without links.
    pub(super) path: &'a Path,
    /// Reads the files next to it.
    pub(super) files: &'a dyn FileSource,
    /// Ends the work early; a transaction is rolled back.
    pub(super) stop: &'a StopToken,
}

impl Database<'_> {
    /// Undoes what a killed writer has left in a journal, as every program that opens the database does.
    pub(super) fn recover(&self) -> Result<(), RewriteFailure> {
        let journal = connect::companion(self.path, "-journal");
        if connect::len_bytes(self.files, &journal)? == 0 {
            return Ok(());
        }
        let connection = connect::open_for_write(self.path, self.stop)?;
        connect::read_schema(&connection).map_err(|error| connect::failure(self.path, error))
    }

    /// Passes all references to `on_reference`, and writes nothing.
    pub(super) fn search(
        &self,
        resolver: &mut Resolver<'_>,
        on_reference: OnReference<'_>,
    ) -> Result<Found, RewriteFailure> {
        let mut connection = connect::open_for_read(self.files, self.path, self.stop)?;
        search::search(&mut connection, self.path, resolver, self.stop, on_reference)
    }

    /// Keeps a copy of the database as `backup`, and rewrites the references that were `found`.
    pub(super) fn rewrite(
        &self,
        resolver: &mut Resolver<'_>,
        disk: &dyn Disk,
        backup: &Path,
        found: &Found,
    ) -> Result<AttributesNotKept, RewriteFailure> {
        // Created before the database is open: to close a file ends the locks of SQLite on it.
        let copy = copy::Copy::create(disk, self.path, backup)?;
        let rewritten = self.rewrite_locked(resolver, &copy, found);
        copy.end(rewritten)
    }

    fn rewrite_locked(
        &self,
        resolver: &mut Resolver<'_>,
        copy: &copy::Copy<'_>,
        found: &Found,
    ) -> Result<(), RewriteFailure> {
        let failure = |error| connect::failure(self.path, error);
        let mut connection = connect::open_for_write(self.path, self.stop)?;
        connection.execute_batch("BEGIN IMMEDIATE").map_err(failure)?;
        copy.fill(self.files, self.stop)?;
        let violations = changes::foreign_key_violations(&connection).map_err(failure)?;
        changes::apply(&connection, self.path, resolver, self.stop, found)?;
        let mut nothing = |_: &Place<'_>, _: &Reference, _| Ok(());
        let after = search::search(&mut connection, self.path, resolver, self.stop, &mut nothing)?;
        let expected = found.rewritten();
        if after.counts.found != expected.found {
            let (found, before) = (after.counts.found, expected.found);
            return Err(RewriteFailure::Refused(format!(
                "changed while it was being read: it has {found} references, and had {before}; run the same command again"
            )));
        }
        if after.counts != expected {
            return Err(RewriteFailure::Refused(
                "its references after the change are not what was to be written".into(),
            ));
        }
        changes::check(&connection, self.path, violations)?;
        connection.execute_batch("COMMIT").map_err(failure)
    }
}
