//! Rolls a run back: files that are still what it wrote get their former bytes and permissions
//! (docs/source-sigilzero.md, D10).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::document::checksum::hex;
use super::migrate::backup::write_temporary;
use super::migrate::crash_recovery::{Unsettled, digest_of, settle};
use super::migrate::evaluate::{MANIFEST_BYTES_MAX, disk_refusal, finding, not_kept_notice};
use super::migrate::ledger::{FILE_NAME, Ledger, LedgerEntry, LedgerPosition, WrittenFile, for_each_line};
use super::migrate::state::{CHECKPOINT_KIND, RunState, name_ledger_end};
use super::migrate::{disk_of_tree, run_directory};
use super::steps::route::Route;
use super::tree::file_faults::{BadSpots, concerns_one_file};
use super::tree::file_names;
use super::tree::writable::WritableTree;
use super::{Mode, Refusal, Registry, Touch, check_inverse};
use crate::durable::{AttributesNotKept, Disk, DiskError, FileState, Model, without_sync};
use crate::migration::{Durability, Error, FirstFindings, LockedRun, RunDirectory, Severity, Stage, check_stop};
use crate::pipeline::{Control, Expected, Phase, StopToken};

/// Files that are restored together.
const GROUP_FILES: usize = 4096;

/// What a rollback came to.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RollbackEnd {
    /// The run that was rolled back.
    pub run_id: String,
    /// Files that have their former bytes again.
    pub restored: u64,
    /// Files that had them already.
    pub already_restored: u64,
    /// Files that stay as they are.
    pub refused: u64,
    /// Of the files refused, those that cannot be read or replaced; the others are not what the run wrote.
    pub refused_by_disk: u64,
    /// Of the files restored, those to which the declared inverse of breaking steps was held first.
    pub inverses_checked: u64,
    /// True if it was asked to stop; the same command continues.
    pub stopped: bool,
    /// Each refused file.
    #[serde(skip)]
    pub findings: FirstFindings,
}

/// What to roll back.
#[derive(Clone, Copy)]
pub struct RollbackRequest<'a> {
    /// The run.
    pub run_id: &'a str,
    /// Only these files, relative to the root; all that the run wrote if there is none.
    pub files: &'a BTreeSet<PathBuf>,
    /// Where it knows a breaking step that the run took, the inverse that the step declares must lead from a file to
    /// its backup, or the file is refused (docs/source-sigilzero.md, "Declared steps").
    pub registry: &'a Registry,
    /// When what is restored is made durable.
    pub durability: Durability,
}

/// Undoes what the run did to the named files, or to all. Run again after a crash at any point, it completes; run
/// again after its end, it finds nothing to do.
pub fn rollback(
    disk: Arc<dyn Disk>,
    root: &Path,
    request: RollbackRequest<'_>,
    control: &Control<'_>,
) -> Result<RollbackEnd, Error> {
    let RollbackRequest { run_id, files, registry, durability } = request;
    let disk = disk_of_tree(&disk, root)?;
    let disk = match durability {
        Durability::None => without_sync(disk),
        Durability::Group | Durability::Each => disk,
    };
    let directory = run_directory(root);
    let unknown = || Error::Usage {
        what: format!("{}: no run {run_id}", directory.path().display()),
        next: "choose a run that `haul manifest runs` lists".into(),
    };
    let held = LockedRun::open(&disk, &directory, CHECKPOINT_KIND)?.ok_or_else(unknown)?;
    let disk = held.disk.clone();
    let tree = WritableTree::open(&*disk, root, durability)?;
    let mut ledger = settle_unfinished(&*disk, root, &tree, &held, (run_id, control.stop))?;
    let mut known = Known::default();
    for_each_line(&*disk, directory.path(), |line| {
        check_stop(control.stop)?;
        if line.run == run_id {
            known.take(line.entry, &directory)?;
        }
        Ok(())
    })?;
    let mode = known.mode.ok_or_else(unknown)?;
    held.note(Some(run_id), "rolling-back", json!({ "files": files.len() }))?;
    ledger.begin_run(run_id);
    let inverses = Inverses { registry, mode };
    let mut work =
        Work { tree, ledger, inverses, bad_spots: BadSpots::default(), group: Vec::new(), end: RollbackEnd::default() };
    work.end.run_id = run_id.to_owned();
    let mut not_written = files.clone();
    control.phase(Phase::Rollback, Expected::UNKNOWN, || {
        for_each_line(&*disk, directory.path(), |line| {
            let (number, is_of_run) = (line.number, line.run == run_id);
            let LedgerEntry::Written(written) = line.entry else { return Ok(()) };
            let Some(path) = written.path() else { return Ok(()) };
            let is_chosen = files.is_empty() || files.contains(&path);
            if !is_of_run || !is_chosen || known.withdrawn.contains(&number) || work.end.stopped {
                return Ok(());
            }
            not_written.remove(&path);
            work.take(number, path, written)?;
            work.end.stopped = control.stop.is_requested();
            if work.group.len() >= GROUP_FILES { work.restore_group(control) } else { Ok(()) }
        })?;
        work.restore_group(control)
    })?;
    if !work.end.stopped {
        not_written.iter().for_each(|file| work.refuse(file, "it is no file that the run wrote".into()));
    }
    name_ledger_end(&*disk, &held, work.ledger.sync()?)?;
    let end = work.end;
    held.note(Some(run_id), "rolled-back", json!({ "restored": end.restored, "refused": end.refused }))?;
    Ok(end)
}

/// Ends a run that was stopped or died, so that all it has done is in the ledger and nothing continues it.
fn settle_unfinished(
    disk: &dyn Disk,
    root: &Path,
    tree: &WritableTree,
    held: &LockedRun,
    (run_id, stop): (&str, &StopToken),
) -> Result<Ledger, Error> {
    let directory = run_directory(root);
    let state = held.checkpoint.load::<RunState>(disk)?;
    let known = state.as_ref().map_or(LedgerPosition::START, |state| state.progress.ledger);
    let mut begun = Unsettled::default();
    let mut ledger = Ledger::open(disk, directory.path(), run_id, known, |line| {
        begun.take(line);
        Ok(())
    })?;
    let Some(mut state) = state.filter(|state| state.stage == Stage::Running) else { return Ok(ledger) };
    if state.run_id != run_id {
        return Err(Error::State {
            path: held.checkpoint.path(),
            what: format!("another run, {}, has not ended", state.run_id),
            next: format!(
                "run the same `haul manifest migrate` again, or roll that one back first: --run {}",
                state.run_id
            ),
            damaged: false,
            source: None,
        });
    }
    settle(tree, &begun, &mut ledger, stop)?;
    state.progress.ledger = ledger.sync()?;
    state.stage = Stage::RolledBack;
    held.checkpoint.store(disk, &state)?;
    Ok(ledger)
}

/// What the ledger says of the run before any of it is rolled back.
#[derive(Default)]
struct Known {
    /// `None` if the run is not there.
    mode: Option<Mode>,
    withdrawn: BTreeSet<u64>,
}

impl Known {
    fn take(&mut self, entry: LedgerEntry, directory: &RunDirectory) -> Result<(), Error> {
        match entry {
            LedgerEntry::Began { settings, mode, .. } => {
                self.mode = Some(mode.map_or_else(|| mode_of(&settings, directory), Ok)?);
            }
            LedgerEntry::Withdrawn { line, .. } => _ = self.withdrawn.insert(line),
            _ => {}
        }
        Ok(())
    }
}

/// Returns the mode of a run whose line in the ledger does not have it, because an older version wrote the line: there
/// the settings begin with it.
fn mode_of(settings: &str, directory: &RunDirectory) -> Result<Mode, Error> {
    let mode = settings.split(' ').next().and_then(Mode::from_name);
    mode.ok_or_else(|| Error::State {
        path: directory.path().join(FILE_NAME),
        what: format!("haul {} cannot read the settings of the run: {settings}", env!("CARGO_PKG_VERSION")),
        next: "use the version of haul that began the run".into(),
        damaged: true,
        source: None,
    })
}

/// A file on its way back.
struct Returning {
    line: u64,
    path: PathBuf,
    file_text: String,
    state: FileState,
}

/// What breaking steps say of the way back.
struct Inverses<'a> {
    registry: &'a Registry,
    mode: Mode,
}

impl Inverses<'_> {
    /// True if the file is what a breaking step made, and its inverse leads to the backup `before`; false if no
    /// breaking step is known to have made it.
    fn check(
        &self,
        written: &WrittenFile,
        before: &[u8],
        after: impl FnOnce() -> Result<Vec<u8>, DiskError>,
    ) -> Checked {
        let (Ok(from), Ok(to)) = (written.from.parse(), written.to.parse()) else { return Ok(Ok(false)) };
        let is_breaking = |route: Route| route.touches.iter().any(Touch::is_breaking);
        if !Route::find(self.registry, from, to).is_some_and(is_breaking) {
            return Ok(Ok(false));
        }
        Ok(check_inverse(self.registry, from, to, before, &after()?, self.mode).map(|()| true))
    }
}

type Checked = Result<Result<bool, Refusal>, DiskError>;

struct Work<'a> {
    tree: WritableTree,
    ledger: Ledger,
    inverses: Inverses<'a>,
    bad_spots: BadSpots,
    group: Vec<Returning>,
    end: RollbackEnd,
}

impl Work<'_> {
    fn take(&mut self, line: u64, path: PathBuf, written: WrittenFile) -> Result<(), Error> {
        match self.bad_spots.read(|| self.prepare(&path, &written))? {
            Ok(Prepared::Returning(state, is_checked, not_kept)) => {
                if let Some(notice) = not_kept_notice(&not_kept) {
                    self.end.findings.push(finding(Severity::Note, &path, notice.code, notice.text));
                }
                self.end.inverses_checked += u64::from(is_checked);
                self.group.push(Returning { line, path, file_text: written.file, state });
            }
            Ok(Prepared::AlreadyThere) => self.end.already_restored += 1,
            Ok(Prepared::Refused(why)) => self.refuse(&path, why),
            Err(error) => self.refuse_by_disk(&path, &error),
        }
        Ok(())
    }

    fn refuse_by_disk(&mut self, path: &Path, error: &DiskError) {
        let refusal = disk_refusal(error);
        self.end.refused += 1;
        self.end.refused_by_disk += 1;
        self.end.findings.push(finding(Severity::Refused, path, refusal.code.name(), refusal.text));
    }

    fn refuse(&mut self, path: &Path, why: String) {
        self.end.refused += 1;
        self.end.findings.push(finding(Severity::Refused, path, "E_CHANGED", why));
    }

    /// Writes the former bytes next to the file.
    fn prepare(&self, path: &Path, written: &WrittenFile) -> Result<Prepared, DiskError> {
        let refused = |why: &str| Ok(Prepared::Refused(why.to_owned()));
        let Some(state) = self.tree.root.file_state(path)? else { return refused("the file is gone") };
        match digest_of(&*self.tree.root, path)? {
            Some((digest, _)) if digest == written.before => return Ok(Prepared::AlreadyThere),
            Some((digest, _)) if digest == written.after => {}
            _ => {
                let backup = &written.backup;
                return refused(&format!("its bytes are not those that the run wrote; the former are in {backup}"));
            }
        }
        let backup = written.backup_path().unwrap_or_default();
        let mut bytes = Vec::new();
        match self.tree.root.read_file(&backup, MANIFEST_BYTES_MAX, &mut bytes) {
            Ok(_) => {}
            Err(error) if concerns_one_file(&error) => {
                return Ok(Prepared::Refused(format!("its backup cannot be read: {}", error.source)));
            }
            Err(error) => return Err(error),
        }
        if hex(&Sha256::digest(&bytes).into()) != written.before {
            return refused("its backup is not what the run made it of");
        }
        let is_checked = match self.inverses.check(written, &bytes, || self.read(path))? {
            Ok(is_checked) => is_checked,
            Err(refusal) => return Ok(Prepared::Refused(format!("the declared inverse fails: {}", refusal.text))),
        };
        let directory = self.tree.directory_of(path)?;
        let mode = Some(written.mode_bits());
        let model = Model { name: backup.file_name().unwrap_or_default(), mode, keeps_time: true };
        let temporary = file_names::temporary_name(path.file_name().unwrap_or_default());
        let not_kept = write_temporary(&*directory, &temporary, &bytes, model, directory.syncs_each)?;
        Ok(Prepared::Returning(state, is_checked, not_kept))
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>, DiskError> {
        let mut bytes = Vec::new();
        self.tree.root.read_file(path, MANIFEST_BYTES_MAX, &mut bytes).map(|_| bytes)
    }

    /// Contents, ledger, names: the order of a migration.
    fn restore_group(&mut self, control: &Control<'_>) -> Result<(), Error> {
        let group = std::mem::take(&mut self.group);
        if group.is_empty() {
            return Ok(());
        }
        self.tree.sync()?;
        let mut lines = Vec::new();
        for file in &group {
            lines.push(self.ledger.append(LedgerEntry::Restored { file: file.file_text.clone(), line: file.line })?);
        }
        self.ledger.sync()?;
        for (line, file) in lines.into_iter().zip(&group) {
            if !self.rename(file)? {
                self.ledger.append(LedgerEntry::Withdrawn { file: file.file_text.clone(), line })?;
            }
        }
        self.tree.sync()?;
        self.ledger.sync()?;
        control.progress(group.len() as u64, 0);
        Ok(())
    }

    /// Renames the former bytes over the file. Returns false if the file is refused.
    fn rename(&mut self, file: &Returning) -> Result<bool, DiskError> {
        let name = file.path.file_name().unwrap_or_default();
        let temporary = file_names::temporary_name(name);
        let replaced = self.tree.directory_of(&file.path).and_then(|directory| {
            let is_unchanged = directory.file_state(name)?.is_some_and(|now| file.state.is_unchanged(&now));
            let renamed = if is_unchanged { directory.rename(&temporary, name) } else { Ok(()) };
            if !is_unchanged || renamed.is_err() {
                // As far as that can be done: what stays is removed by a later run.
                let _ = directory.remove_file(&temporary);
            }
            renamed.map(|()| is_unchanged.then_some(directory))
        });
        match replaced {
            Ok(Some(directory)) => {
                directory.sync_names()?;
                self.end.restored += 1;
                return Ok(true);
            }
            Ok(None) => self.refuse(&file.path, "the file changed since it was read".into()),
            Err(error) if concerns_one_file(&error) => self.refuse_by_disk(&file.path, &error),
            Err(error) => return Err(error),
        }
        Ok(false)
    }
}

enum Prepared {
    /// And whether an inverse was checked, and what the former file had and the new one has not.
    Returning(FileState, bool, AttributesNotKept),
    AlreadyThere,
    Refused(String),
}
