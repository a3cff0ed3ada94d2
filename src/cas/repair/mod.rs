//! Rebuilds the index and the sidecars of a v2 store from the contents of its objects.
//!
//! An object whose content hashes to its name is intact, whatever its sidecar and the index say. A sidecar that is
//! missing or wrong is written again, and the index is written from all intact objects, sorted by key. `created_at` is
//! taken from the sidecar, or else from the index, if either is readable. An object that is not intact stays where it
//! is, with its sidecar, and is reported. The index does not list it: readers must not see an object that they cannot
//! get.
//!
//! With another copy of the store, damaged and missing objects are taken from it: the other blob is read to its end and
//! must have the key, the copy is durable before it gets the name, and the damaged bytes are kept in
//! `STORE.migration/damaged/`.
//!
//! Sidecars are replaced first, each durably. Then the old index is copied to
//! `STORE.migration/index-before-repair-*.ndjson` and replaced in one step. After a crash, the index is complete, the
//! old or the new one, and the same repair completes the rest.

mod examine;
mod other_copy;
mod repairer;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;

use self::examine::Examiner;
use self::other_copy::OtherCopy;
use self::repairer::{DiskRepairer, DryRepairer, RepairWriter, Repairer, install_index};
use super::map::{KeyMap, earlier_maps};
use super::options::MigrateOptions;
use super::paths::{INDEX_NAME, StorePaths, TargetPaths};
use super::source::SourceRoot;
use super::state::{CHECKPOINT_KIND, SealedIndex};
use super::verify::{FaultKind, Join, Scanned, Tally, TaskReader, VerifyFault, VerifyRequest, list_root, scan};
use crate::durable::{
    Disk, EntryKind, NewModes, RealDisk, create_directory_durable, remove_tree, source_root, with_modes,
};
use crate::migration::plan::escape_name;
use crate::migration::{Error, LockedRun, SortDirectory, stopped_inside};
use crate::pipeline::{Control, Ended, Expected, Phase, pass};

/// The result of a repair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RepairEnd {
    /// Names of objects in the store.
    pub objects: u64,
    /// Objects whose content matches their name. The index lists these.
    pub objects_sound: u64,
    /// Sidecars that were written; in a dry run, would be.
    pub sidecars_written: u64,
    /// True if the index was replaced; in a dry run, if it would be.
    pub index_replaced: bool,
    /// The copy of the old index, if there was one and it was replaced.
    pub index_backup: Option<String>,
    /// Lines of the old index without an intact object.
    pub lines_dropped: u64,
    /// Damaged and missing objects that came back from another store; in a dry run, would.
    pub restored: u64,
    /// Damaged and missing objects that the other store does not have intact.
    pub not_found: u64,
    /// Where the damaged bytes of these are, if there were any.
    pub damaged_kept: Option<String>,
    /// Faults that could not be repaired, by name.
    pub left_count: BTreeMap<&'static str, u64>,
    /// The first of them.
    pub left: Vec<VerifyFault>,
    /// Number of errors among them.
    pub errors: u64,
    /// True if nothing was written.
    pub dry_run: bool,
    /// True if a stop was requested. Then the index is not replaced, and the same call starts over.
    pub stopped: bool,
}

/// Repairs the store at `root` under the lock of its migrations.
///
/// # Errors
/// [`Error::Verification`] if there is no such directory, or no object in it is intact: then nothing is changed.
/// [`Error::Locked`] while something else works on the store.
pub fn repair_store(
    disk: &Arc<dyn Disk>,
    root: &Path,
    from: Option<&Path>,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<RepairEnd, Error> {
    list_root(root, &mut Tally::default())?;
    let paths = TargetPaths::of_store(root)?;
    let disk = &with_modes(disk, paths.new_modes(NewModes::ANY));
    let held = LockedRun::create(disk, &paths.run_directory(), CHECKPOINT_KIND)?;
    let opened = StorePaths::new(root).opened(&*held.disk)?;
    let disk = opened.as_ref().unwrap_or(&held.disk);
    check_index_kind(&**disk, root)?;
    let result = repair_held(disk, &paths, root, from, options, control);
    let (event, detail) = match &result {
        Ok(end) if end.stopped => ("repair-stopped", json!(null)),
        Ok(end) => {
            let (sound, sidecars, dropped) = (end.objects_sound, end.sidecars_written, end.lines_dropped);
            (
                "store-repaired",
                json!({
                    "sound": sound, "restored": end.restored, "sidecars": sidecars, "dropped": dropped,
                    "left": end.left_count,
                }),
            )
        }
        Err(error) => ("repair-failed", json!(error.to_string())),
    };
    let cleaned = remove_tree(&**disk, &paths.verification());
    let noted = held.note(None, event, detail);
    // The reason for the failure matters more than a failure to clean up.
    let end = result?;
    cleaned?;
    noted?;
    Ok(end)
}

/// Reports what a repair would do and writes nothing.
pub fn repair_dry_run(
    root: &Path,
    from: Option<&Path>,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<RepairEnd, Error> {
    list_root(root, &mut Tally::default())?;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let sorts = SortDirectory::temporary(&disk)?;
    let other = other_copy(&*disk, &TargetPaths::of_store(root)?, root, from, control)?;
    let examined = examine(root, &sorts, (DryRepairer::default(), other), options, control)?;
    let Some((repairer, mut end, is_index_open)) = examined else { return Ok(stopped()) };
    end.dry_run = true;
    end.index_replaced = !is_index_open && !repairer::is_index(&*disk, root, &repairer.finish(), control.stop)?;
    Ok(end)
}

fn repair_held(
    disk: &Arc<dyn Disk>,
    paths: &TargetPaths,
    root: &Path,
    from: Option<&Path>,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<RepairEnd, Error> {
    let other = other_copy(&**disk, paths, root, from, control)?;
    remove_tree(&**disk, &paths.verification())?;
    create_directory_durable(&**disk, &paths.verification())?;
    let sorts = SortDirectory::create(disk, paths.verification().join("sort"))?;
    let staged = paths.verification().join(INDEX_NAME);
    let repairer = DiskRepairer::new(disk.clone(), root.to_path_buf(), &staged, paths.damaged())?;
    let examined = examine(root, &sorts, (repairer, other), options, control)?;
    let Some((repairer, mut end, is_index_open)) = examined else { return Ok(stopped()) };
    let index: SealedIndex = repairer.finish()?;
    if !is_index_open && !repairer::is_index(&**disk, root, &index, control.stop)? {
        let backup = install_index(&**disk, paths, root, &staged, control.stop)?;
        end.index_backup = backup.map(|path| escape_name(path.as_os_str()));
        end.index_replaced = true;
    }
    if end.restored > 0 && disk.kind(&paths.damaged())?.is_some() {
        end.damaged_kept = Some(escape_name(paths.damaged().as_os_str()));
    }
    Ok(end)
}

/// Opens the other copy, with the maps that lead to the keys of an old one.
fn other_copy<'a>(
    disk: &dyn Disk,
    paths: &TargetPaths,
    root: &Path,
    from: Option<&Path>,
    control: &Control<'a>,
) -> Result<Option<OtherCopy<'a>>, Error> {
    let Some(from) = from else { return Ok(None) };
    let map = paths.map();
    let mut maps = earlier_maps(disk, &map)?;
    if disk.kind(&map)?.is_some() {
        maps.insert(0, map);
    }
    let maps = maps.iter().map(|map| KeyMap::open(map)).collect::<Result<_, _>>()?;
    OtherCopy::open(from, root, maps, control.stop).map(Some)
}

/// Examines every object and passes the intact ones to `repairer`. Also returns whether the index must stay as it is.
/// `Ok(None)`: a stop was requested.
fn examine<M: Repairer>(
    root: &Path,
    sorts: &SortDirectory,
    (repairer, other): (M, Option<OtherCopy<'_>>),
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<Option<(M, RepairEnd, bool)>, Error> {
    let Some(scanned) = scan(root, &VerifyRequest::WHOLE, sorts, options, control)? else { return Ok(None) };
    let Scanned { walked, index, mut tally } = scanned;
    check_readable(root, &tally)?;
    tally.retain(outlasts_a_new_index);
    let (objects, records) = (walked.sums.objects, index.records());
    let expected = Expected { records: Some(objects), bytes: walked.share.bytes };
    let source = SourceRoot::v2(root);
    let reader = TaskReader::new(Join::new(walked.inventory, index.sorted)?, walked.share, 0)?;
    let mut writer = RepairWriter::new(repairer, source_root(root)?, tally, other);
    let ended = control.phase(Phase::Verify, expected, || {
        let examiner = Examiner { root: &source, stop: control.stop };
        stopped_inside(pass(reader, &examiner, &options.engine(), control, |examined| writer.write(examined)))
    })?;
    if ended == Ended::Stopped {
        return Ok(None);
    }
    let RepairWriter {
        repairer,
        is_index_open,
        left,
        objects_sound,
        sidecars_written,
        lines_dropped,
        restored,
        not_found,
        ..
    } = writer;
    if objects_sound == 0 && (objects > 0 || records > 0) {
        return Err(nothing_sound(root, objects, records));
    }
    let end = RepairEnd {
        objects,
        objects_sound,
        sidecars_written,
        index_replaced: false,
        index_backup: None,
        lines_dropped,
        restored,
        not_found,
        damaged_kept: None,
        left_count: left.by_name(),
        errors: left.errors(),
        left: left.into_kept(),
        dry_run: false,
        stopped: false,
    };
    Ok(Some((repairer, end, is_index_open)))
}

/// Fails if a directory or a name in the store cannot be read. Nobody knows which objects are there, so the index cannot
/// be written without them.
fn check_readable(root: &Path, found: &Tally) -> Result<(), Error> {
    found.first(FaultKind::Unreadable).map_or(Ok(()), |fault| {
        Err(Error::Verification {
            what: format!("{} cannot be read whole: {}; nothing was changed", root.display(), fault.text),
            next: "make it readable for this user, then run the same command again".into(),
            source: None,
        })
    })
}

/// Returns true for faults of the first scan that are not about the index.
fn outlasts_a_new_index(kind: FaultKind) -> bool {
    matches!(kind, FaultKind::ObjectsMissing | FaultKind::NotAFile | FaultKind::TemporaryFile | FaultKind::ForeignName)
}

fn nothing_sound(root: &Path, objects: u64, records: u64) -> Error {
    let what = match objects {
        0 => format!("{} has no object and an index of {records} lines; nothing was changed", root.display()),
        _ => format!(
            "none of the {objects} objects in {} matches its name in a v2 store; nothing was changed",
            root.display()
        ),
    };
    Error::Verification {
        what,
        next: "see what they are with `haul cas doctor`; migrate older stores".into(),
        source: None,
    }
}

fn check_index_kind(disk: &dyn Disk, root: &Path) -> Result<(), Error> {
    let path = root.join(INDEX_NAME);
    match disk.kind(&path)? {
        None | Some(EntryKind::File) => Ok(()),
        Some(EntryKind::Directory | EntryKind::Other) => Err(Error::Usage {
            what: format!("{} is not a regular file; nothing was changed", path.display()),
            next: "move it away, then run the same command again".into(),
        }),
    }
}

fn stopped() -> RepairEnd {
    RepairEnd {
        objects: 0,
        objects_sound: 0,
        sidecars_written: 0,
        index_replaced: false,
        index_backup: None,
        lines_dropped: 0,
        restored: 0,
        not_found: 0,
        damaged_kept: None,
        left_count: BTreeMap::new(),
        left: Vec::new(),
        errors: 0,
        dry_run: false,
        stopped: true,
    }
}
