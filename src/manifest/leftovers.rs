//! What a run or an estimate that was killed has left besides backups, and nobody needs.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::migrate::probe::SCRATCH_PREFIX;
use super::migrate::state::{CHECKPOINT_KIND, RunState};
use super::migrate::{disk_of_tree, run_directory};
use crate::durable::{Disk, EntryKind};
use crate::migration::{CleanItem, CleanList, Cleaned, Error, RemovalCost, clean_up, is_temporary_of_run};

/// What a leftover is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeftoverKind {
    /// What its writer has left: a file that was to replace another, what a killed run has shown of itself, or the samples of
    /// an estimate.
    Temporary,
}

/// Something that can be removed.
pub type Leftover = CleanItem<LeftoverKind>;

/// Lists what can be removed. Ledger, plan, checkpoint, journal, findings, reports and estimates are never among it. Reads only.
pub fn leftovers(disk: &Arc<dyn Disk>, root: &Path) -> Result<Vec<Leftover>, Error> {
    let (kind, directory) = (LeftoverKind::Temporary, run_directory(root));
    let mut list = CleanList::new(&**disk);
    list.add_scratch(root, kind, |name| name.starts_with(SCRATCH_PREFIX))?;
    list.add_temporary(directory.path(), EntryKind::File, kind, is_temporary_of_run)?;
    list.add(directory.live_path(), kind, RemovalCost::default())?;
    Ok(list.items())
}

/// Removes these of the [`leftovers`], under the lock. Skips those that are gone already and names those that the system does
/// not let go.
pub fn remove_leftovers(disk: &Arc<dyn Disk>, root: &Path, items: &[Leftover]) -> Result<Cleaned, Error> {
    let disk = disk_of_tree(disk, root)?;
    let place = (&run_directory(root), CHECKPOINT_KIND);
    let plan = || leftovers(&disk, root);
    clean_up(&disk, place, items, plan, |state: RunState| state.run_id, "haul manifest clean")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::SimulatedDisk;
    use crate::migration::SCRATCH_MARK;

    #[test]
    fn a_directory_without_the_mark_of_an_estimate_stays() {
        let disk = SimulatedDisk::with_directories(&[
            Path::new("/app/artifacts"),
            Path::new("/app/.estimate-1.tmp/2/artifacts"),
            Path::new("/app/.estimate-3.tmp"),
            Path::new("/app/.estimate-4.tmp/foreign"),
            Path::new("/app/estimate-5.tmp"),
        ]);
        disk.install_file(&Path::new("/app/.estimate-1.tmp").join(SCRATCH_MARK), b"estimate");
        disk.install_file(Path::new("/app/migration/live.json"), b"{}");
        disk.install_file(Path::new("/app/migration/estimate.json"), b"{}");
        disk.install_file(Path::new("/app/migration/report.html"), b"<");
        let disk: Arc<dyn Disk> = Arc::new(disk);
        let items = leftovers(&disk, Path::new("/app")).unwrap();
        let mut paths: Vec<_> = items.iter().map(|item| item.path.to_str().unwrap()).collect();
        paths.sort_unstable();
        assert_eq!(paths, ["/app/.estimate-1.tmp", "/app/.estimate-3.tmp", "/app/migration/live.json"]);
        remove_leftovers(&disk, Path::new("/app"), &items).unwrap();
        assert_eq!(leftovers(&disk, Path::new("/app")).unwrap(), []);
        for kept in ["/app/.estimate-4.tmp/foreign", "/app/migration/estimate.json", "/app/migration/report.html"] {
            assert!(disk.kind(Path::new(kept)).unwrap().is_some(), "{kept}");
        }
    }
}
