//! Writes generated logs to a disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::{GenerateOptions, generate};
use crate::durable::{Disk, DiskFile, create_directory_durable};
use crate::migration::{EphemeralLock, Error, check_stop, free_space_check};
use crate::pipeline::{Control, Expected, Phase};
use crate::space::log::wal::is_wal_name;
use crate::space::paths::SpacePaths;

/// A record of a generated log has about this many bytes.
const RECORD_BYTES_EXPECTED: u64 = 3_600;

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GeneratedSpace {
    /// The space directory.
    pub path: PathBuf,
    /// Log files.
    pub files: u32,
    /// Records in all of them.
    pub records: u64,
    /// Bytes in all of them.
    pub bytes: u64,
    /// Chosen contents.
    pub seed: u64,
    /// True if the generator was asked to stop. It removes the logs then.
    pub stopped: bool,
}

/// Writes the logs of a generated space to `<directory>/wal/`. Refuses a directory that has log files.
pub fn generate_space(
    disk: Arc<dyn Disk>,
    directory: &Path,
    options: &GenerateOptions,
    control: &Control<'_>,
) -> Result<GeneratedSpace, Error> {
    let wal = directory.join("wal");
    let state = SpacePaths::new(directory).run_directory();
    state.check_free(&*disk)?;
    check_has_no_log(&*disk, &wal)?;
    create_directory_durable(&*disk, &wal)?;
    // The one that fails removes all logs, so there must be no other who writes them.
    let mut lock = EphemeralLock::take(&*disk, &state)?;
    check_has_no_log(&*disk, &wal)?;
    free_space_check(&*disk, &wal, options.nodes.saturating_mul(RECORD_BYTES_EXPECTED))?;
    let mut writer = LogFiles { disk: &*disk, wal: &wal, options, control, open: None, names: 0, reported: 0 };
    let made = control.phase(Phase::Generate, Expected::records(options.nodes), || {
        let made = generate(options, &mut |file, bytes| writer.write(file, bytes))?;
        writer.finish()?;
        lock.remove()?;
        Ok(made)
    });
    let end = |records, bytes, stopped| GeneratedSpace {
        path: directory.to_path_buf(),
        files: options.file_count(),
        records,
        bytes,
        seed: options.seed,
        stopped,
    };
    match made {
        Ok(made) => Ok(end(made.records, made.bytes, false)),
        Err(error) => {
            // Half a log would pass for a whole one.
            let removed = writer.remove();
            match error {
                Error::Stopped { .. } => removed.map(|()| end(0, 0, true)),
                error => Err(error),
            }
        }
    }
}

fn check_has_no_log(disk: &dyn Disk, wal: &Path) -> Result<(), Error> {
    if disk.kind(wal)?.is_some() && disk.list(wal)?.iter().any(|entry| is_wal_name(&entry.name)) {
        return Err(Error::Usage {
            what: format!("{} has log files already", wal.display()),
            next: "choose a directory that does not exist yet".into(),
        });
    }
    Ok(())
}

struct LogFiles<'a> {
    disk: &'a dyn Disk,
    wal: &'a Path,
    options: &'a GenerateOptions,
    control: &'a Control<'a>,
    open: Option<OpenLog>,
    /// Files created so far.
    names: u32,
    /// Records reported to the observer: an estimate until the end.
    reported: u64,
}

struct OpenLog {
    number: u32,
    len_bytes: u64,
    file: Arc<dyn DiskFile>,
}

impl LogFiles<'_> {
    fn write(&mut self, number: u32, bytes: &[u8]) -> Result<(), Error> {
        check_stop(self.control.stop)?;
        if self.open.as_ref().is_none_or(|open| open.number != number) {
            self.finish_file()?;
            let file = self.disk.create_file(&self.wal.join(self.options.file_name(number)))?;
            self.names = number + 1;
            self.open = Some(OpenLog { number, len_bytes: 0, file });
        }
        let open = self.open.as_mut().expect("just opened");
        open.file.write_all_at(open.len_bytes, bytes)?;
        open.file.start_writeback(open.len_bytes, bytes.len() as u64);
        open.len_bytes += bytes.len() as u64;
        self.report(bytes.len() as u64 / RECORD_BYTES_EXPECTED, bytes.len() as u64);
        Ok(())
    }

    fn report(&mut self, records: u64, source_bytes: u64) {
        let records = records.min(self.options.nodes - self.reported);
        self.reported += records;
        self.control.progress(records, source_bytes);
    }

    fn finish_file(&mut self) -> Result<(), Error> {
        self.open.take().map_or(Ok(()), |open| Ok(open.file.sync()?))
    }

    fn finish(&mut self) -> Result<(), Error> {
        self.finish_file()?;
        self.report(u64::MAX, 0);
        Ok(self.disk.sync_directory(self.wal)?)
    }

    fn remove(&mut self) -> Result<(), Error> {
        self.open = None;
        for number in 0..self.names {
            self.disk.remove_file(&self.wal.join(self.options.file_name(number)))?;
        }
        Ok(self.disk.sync_directory(self.wal)?)
    }
}
