//! The file that a collector of text files reads, as node_exporter does: it stays after the run with its final state.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::encode::{Format, text};
use super::prefix::MetricsPrefix;
use super::run::Scraped;
use crate::durable::{Disk, DiskError, parent_of, unique_temporary_name};
use crate::migration::Error;

/// Time between two versions of the file.
pub const FILE_INTERVAL: Duration = Duration::from_secs(5);
/// Ending of names that collectors read.
const ENDING: &str = "prom";
/// The collector is another user.
const MODE: u32 = 0o644;

/// Writes metrics to a file.
pub struct MetricsFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    prefix: MetricsPrefix,
}

impl std::fmt::Debug for MetricsFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MetricsFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl MetricsFile {
    /// Returns a writer of the file at `path`. Fails if no collector would read a file of that name, or if it has no
    /// directory.
    pub fn new(disk: Arc<dyn Disk>, path: &Path, prefix: MetricsPrefix) -> Result<Self, Error> {
        let usage = |what: String, next: &str| Err(Error::Usage { what, next: next.into() });
        let name = path.display();
        if path.extension().is_none_or(|ending| ending != ENDING) {
            return usage(
                format!("{name} does not end in .prom"),
                "name a file that does, because collectors read no other",
            );
        }
        if !parent_of(path).is_dir() {
            return usage(format!("the directory of {name} does not exist"), "create it, or name another one");
        }
        if path.is_dir() {
            return usage(format!("{name} is a directory"), "name a file");
        }
        Ok(Self { disk, path: path.to_path_buf(), prefix })
    }

    /// Replaces the file in one step. Its temporary name has another ending, so no collector reads half of it. It is not
    /// synced: after a loss of power a collector has the old one, none, or an empty one, and the next version replaces it.
    pub fn write(&self, scraped: &Scraped) -> Result<(), DiskError> {
        let temporary = unique_temporary_name(&self.path);
        let written = self.write_new(&temporary, text(scraped, self.prefix.as_str(), Format::File).as_bytes());
        if written.is_err() {
            // The first error is the one to report.
            let _ = self.disk.remove_file(&temporary);
        }
        written
    }

    fn write_new(&self, temporary: &Path, bytes: &[u8]) -> Result<(), DiskError> {
        let file = self.disk.create_file(temporary)?;
        self.disk.set_mode(temporary, MODE)?;
        file.write_all_at(0, bytes)?;
        self.disk.rename(temporary, &self.path)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests lay out files")]

    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::durable::RealDisk;
    use crate::observe::metrics::RunMetrics;

    fn file_at(path: &Path) -> Result<MetricsFile, Error> {
        MetricsFile::new(Arc::new(RealDisk), path, MetricsPrefix::default())
    }

    #[test]
    fn the_file_is_replaced_whole_and_everybody_may_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("haul.prom");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let run =
            RunMetrics { kind: "cas".into(), migration: "v2".into(), checkpoints: Some(7), ..RunMetrics::default() };
        file_at(&path).unwrap().write(&[run].into_iter().collect()).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.ends_with("\nhaul_migration_checkpoint_writes_total{kind=\"cas\",migration=\"v2\"} 7\n"),
            "{text}"
        );
        assert!(!text.contains("haul_build_info"), "{text}");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, MODE);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn names_that_no_collector_reads_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("d.prom")).unwrap();
        for name in ["haul.txt", "prom", ".prom", "haul.prom.tmp", "haul.PROM", "none/haul.prom", "d.prom"] {
            let error = file_at(&directory.path().join(name)).expect_err(name);
            assert_eq!(error.exit_code(), crate::migration::exit::USAGE, "{name}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("haul.prom");
        let file = file_at(&path).unwrap();
        // What the name stands for now cannot be replaced by a file.
        fs::create_dir(&path).unwrap();
        assert!(file.write(&Scraped::default()).is_err());
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
    }
}
