//! Takes the snapshot of a set: backups that are proved to hold what the plan saw, and staging copies of them.

use std::path::Path;
use std::thread;
use std::time::Duration;

use super::compare::difference;
use super::copies::{PHASE, back_up, file_sha256, reserve};
use super::snapshot::{DatabaseSnapshot, SetSnapshot};
use super::start::mark_start;
use super::writers::Writers;
use crate::db::sqlite::connect;
use crate::durable::{Attributes, Disk, copy_file, parent_of, remove_tree};
use crate::migration::{Error, check_stop, shell_word};
use crate::pipeline::Control;
use crate::upgrade::cutover::side_files;
use crate::upgrade::facts::{FileState, Snapshot, columns, failed, schema_sha256};
use crate::upgrade::flags::FlagFile;
use crate::upgrade::hooks::HookTime;
use crate::upgrade::layout::Layout;
use crate::upgrade::plan::{Baseline, MemberPlan, Mode, Plan};
use crate::upgrade::set::Member;
use crate::upgrade::values::{Values, register};

/// Times of files have the resolution of the clock of the kernel. What is written later than this has a later time.
const CLOCK_TICK: Duration = Duration::from_millis(20);

/// What a snapshot is taken of, and how.
pub struct Freeze<'a> {
    /// The disk.
    pub disk: &'a dyn Disk,
    /// Where the copies go.
    pub layout: &'a Layout,
    /// The run.
    pub run_id: &'a str,
    /// What the databases are expected to hold.
    pub plan: &'a Plan,
    /// Digest of the plan, in hexadecimal digits.
    pub plan_digest: &'a str,
    /// What SQL works with.
    pub values: &'a Values,
    /// How long a writer is waited for.
    pub writer_wait: Duration,
    /// The directory of the set, for messages.
    pub directory: &'a Path,
    /// Stop and notes.
    pub control: &'a Control<'a>,
    /// Runs the commands of the operator.
    pub hook: &'a dyn Fn(HookTime) -> Result<(), Error>,
}

impl Freeze<'_> {
    /// Freezes the set and takes its snapshot. The writers stay out until what is returned drops.
    ///
    /// # Errors
    /// Then no copy is left, and writes are allowed again.
    pub fn run(&self) -> Result<(SetSnapshot, Writers), Error> {
        match self.attempt() {
            Ok(done) => Ok(done),
            Err(error) => {
                // The first error is the one to report; a copy that stays is replaced by the next attempt.
                if let Err(also) = self.undo() {
                    self.control.note(format!("{PHASE}: writes are still frozen, and copies may be left: {also}"));
                }
                Err(error)
            }
        }
    }

    /// Removes the copies, and allows writes again.
    pub fn undo(&self) -> Result<(), Error> {
        remove_tree(self.disk, &self.layout.backups(self.run_id))?;
        remove_tree(self.disk, &self.layout.staging())?;
        unfreeze(self.disk, self.layout)?;
        (self.hook)(HookTime::Thaw)
    }

    fn attempt(&self) -> Result<(SetSnapshot, Writers), Error> {
        FlagFile::freeze(self.disk, &self.layout.flags(), true)?;
        (self.hook)(HookTime::Freeze)?;
        (self.hook)(HookTime::Drain)?;
        let members = &self.plan.members;
        // Before any lock: the attributes are read from the open database.
        for member in members {
            reserve(self.disk, &self.layout.backup(self.run_id, &member.member), &member.member.path)?;
        }
        let paths = members.iter().map(|member| &*member.member.path);
        let writers = Writers::hold(paths, self.writer_wait, PHASE, &self.command())?;
        let mut snapshot = SetSnapshot::new(self.run_id, self.plan_digest.to_owned());
        for member in members {
            check_stop(self.control.stop)?;
            snapshot.databases.push(self.database(member)?);
        }
        if self.plan.mode == Mode::Staged {
            snapshot.databases.iter().zip(members).try_for_each(|(of, member)| self.stage(of, &member.member))?;
        }
        thread::sleep(CLOCK_TICK);
        snapshot.write(self.disk, &self.layout.snapshot(self.run_id))?;
        Ok((snapshot, writers))
    }

    fn command(&self) -> String {
        format!("haul upgrade {PHASE} {}", shell_word(self.directory))
    }

    fn database(&self, planned: &MemberPlan) -> Result<DatabaseSnapshot, Error> {
        let Member { key, path, .. } = &planned.member;
        let backup = self.layout.backup(self.run_id, &planned.member);
        back_up(self.disk, path, &backup, &self.command(), self.control.stop)?;
        let digest = file_sha256(self.disk, &backup, self.control.stop)?;
        let copy = Snapshot::take(&backup, self.control.stop)?;
        side_files::remove(self.disk, &backup)?;
        let schema_sha256 = schema_sha256(copy.connection()).map_err(failed(&backup))?;
        let baseline = measure(&copy, self.values, &planned.baseline)?;
        let other_schema = (schema_sha256 != planned.schema_sha256).then(|| "its definitions have changed".to_owned());
        if let Some(what) = other_schema.or_else(|| difference(&planned.baseline, &baseline)) {
            return Err(Error::Verification {
                what: format!("{PHASE}: {}: it is not what the plan saw: {what}", path.display()),
                next: format!("stop what writes to it, then run `{}` again", self.command()),
                source: None,
            });
        }
        let live = FileState::of(path)?;
        Ok(DatabaseSnapshot {
            key: key.clone(),
            path: path.clone(),
            sha256: digest.sha256,
            bytes: digest.bytes,
            live,
            schema_sha256,
            baseline,
        })
    }

    /// Makes the copy that the next phases work on. It has the bytes of the backup, so what was checked of that is true of
    /// both.
    fn stage(&self, of: &DatabaseSnapshot, member: &Member) -> Result<(), Error> {
        let (backup, staged) = (self.layout.backup(self.run_id, member), self.layout.staged(member));
        crate::durable::create_directory_durable(self.disk, parent_of(&staged))?;
        side_files::remove(self.disk, &staged)?;
        copy_file(self.disk, &backup, &staged, Attributes::Of(&backup), &|| self.control.stop.is_requested())?;
        let copied = file_sha256(self.disk, &staged, self.control.stop)?;
        if copied.sha256 != of.sha256 {
            return Err(Error::Verification {
                what: format!("{PHASE}: {}: the staging copy is not equal to the backup", staged.display()),
                next: format!("check the device, for example with `dmesg`, then run `{}` again", self.command()),
                source: None,
            });
        }
        let connection = connect::open_for_write(&staged)?;
        mark_start(&connection, self.plan_digest).map_err(failed(&staged))?;
        connection.close().map_err(|(_, error)| failed(&staged)(error))
    }
}

/// Allows writes again.
pub fn unfreeze(disk: &dyn Disk, layout: &Layout) -> Result<(), Error> {
    FlagFile::freeze(disk, &layout.flags(), false)
}

/// Measures what a private copy holds, over the columns that `reference` knows: an earlier attempt has added the others.
pub fn measure(copy: &Snapshot, values: &Values, reference: &Baseline) -> Result<Baseline, Error> {
    let connection = copy.connection();
    register(connection, values)?;
    let mut added = Vec::new();
    for (table, facts) in &reference.tables {
        let columns = columns(connection, table).map_err(failed(copy.path()))?;
        let new = columns.into_iter().filter(|column| !facts.columns.contains(column));
        added.extend(new.map(|column| (table.clone(), column)));
    }
    let baseline = Baseline::take(connection).and_then(|baseline| baseline.without_columns(connection, &added));
    let baseline = baseline.map_err(failed(copy.path()))?;
    Ok(Baseline { journal_mode: copy.journal_mode().to_owned(), ..baseline })
}
