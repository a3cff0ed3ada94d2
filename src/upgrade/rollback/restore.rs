//! Copies of the backups next to the databases, proved to be what the snapshot says.

use std::path::{Path, PathBuf};

use crate::db::sqlite::connect;
use crate::durable::{Attributes, Disk, copy_file, parent_of};
use crate::migration::{Error, free_space_check};
use crate::pipeline::StopToken;
use crate::upgrade::cutover::side_files;
use crate::upgrade::facts::Snapshot;
use crate::upgrade::freeze::compare::difference;
use crate::upgrade::freeze::copies::file_sha256;
use crate::upgrade::freeze::snapshot::{DatabaseSnapshot, SetSnapshot};
use crate::upgrade::freeze::take::measure;
use crate::upgrade::layout::Layout;
use crate::upgrade::set::Member;
use crate::upgrade::values::Values;

/// Makes the copies that a rollback gives the names of the databases.
pub struct Restore<'a> {
    /// The disk.
    pub disk: &'a dyn Disk,
    /// Where the backups are.
    pub layout: &'a Layout,
    /// The run.
    pub run_id: &'a str,
    /// What the backups hold.
    pub snapshot: &'a SetSnapshot,
    /// What SQL works with.
    pub values: &'a Values,
    /// Asks for an early end.
    pub stop: &'a StopToken,
}

/// Returns where the copy of the backup lies until it has the name of its database.
pub fn restored_path(member: &Member) -> PathBuf {
    member.path.with_file_name(format!(".{}.haul-restore", member.key))
}

impl Restore<'_> {
    /// Copies the backup of a database next to it. No connection of this process may hold a lock on the database: its
    /// attributes are read from the open file.
    ///
    /// # Errors
    /// If the copy is not what the snapshot says. Then it is removed.
    pub fn copy(&self, member: &Member) -> Result<PathBuf, Error> {
        let copy = restored_path(member);
        let result = self.copy_and_check(member, &copy);
        if result.is_err() {
            // The first error is the one to report.
            let _ = self.remove(member);
        }
        result.map(|()| copy)
    }

    /// Removes the copy of a database, if there is one.
    pub fn remove(&self, member: &Member) -> Result<(), Error> {
        let copy = restored_path(member);
        side_files::remove(self.disk, &copy)?;
        if self.disk.kind(&copy)?.is_some() {
            self.disk.remove_file(&copy)?;
        }
        Ok(())
    }

    fn copy_and_check(&self, member: &Member, copy: &Path) -> Result<(), Error> {
        let of = self.of(member)?;
        let backup = self.layout.backup(self.run_id, member);
        side_files::remove(self.disk, copy)?;
        free_space_check(self.disk, parent_of(copy), of.bytes)?;
        let like = if self.disk.kind(&member.path)?.is_some() { &member.path } else { &backup };
        copy_file(self.disk, &backup, copy, Attributes::Of(like), &|| self.stop.is_requested())?;
        if file_sha256(self.disk, copy, self.stop)?.sha256 != of.sha256 {
            return Err(refused(&backup, "its SHA-256 is not the one in snapshot.json"));
        }
        let read = Snapshot::take(copy, self.stop)?;
        side_files::remove(self.disk, copy)?;
        match difference(&of.baseline, &measure(&read, self.values, &of.baseline)?) {
            Some(what) => Err(refused(&backup, &format!("it is not what snapshot.json says: {what}"))),
            None => Ok(()),
        }
    }

    /// Measures a database that is restored, as phase 0 did.
    pub fn check_live(&self, member: &Member) -> Result<(), Error> {
        let of = self.of(member)?;
        let live = Snapshot::take(&member.path, self.stop)?;
        close_log(&member.path);
        match difference(&of.baseline, &measure(&live, self.values, &of.baseline)?) {
            None => Ok(()),
            Some(what) => Err(Error::Verification {
                what: format!("rollback: {}: it is restored, and not what it was: {what}", member.path.display()),
                next: format!(
                    "writes are still frozen; compare it with {}",
                    self.layout.backup(self.run_id, member).display()
                ),
                source: None,
            }),
        }
    }

    fn of(&self, member: &Member) -> Result<&DatabaseSnapshot, Error> {
        self.snapshot
            .of(&member.key)
            .ok_or_else(|| refused(&self.layout.backup(self.run_id, member), "snapshot.json does not name it"))
    }
}

/// Lets SQLite remove the empty files that a reader of a database with a write-ahead log leaves next to it. It does so for
/// the last connection that may write.
fn close_log(database: &Path) {
    if let Ok(connection) = connect::open_for_write(database) {
        let _ = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()));
    }
}

fn refused(backup: &Path, what: &str) -> Error {
    Error::Verification {
        what: format!("rollback: {}: {what}; no database was changed", backup.display()),
        next: "bring back the backup from a copy, then run the same command again".into(),
        source: None,
    }
}
