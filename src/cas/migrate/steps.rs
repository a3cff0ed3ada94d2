//! The steps of a migration, each of which can be run again after a crash anywhere in it.

use std::path::PathBuf;
use std::sync::Arc;

use super::accounting::check_complete;
use super::convert::ObjectConverter;
use super::crash_cleanup::remove_unfinished;
use super::large_blobs::Intake;
use super::object_log::MovedLog;
use super::placer::{Merged, Placer, objects_path};
use super::publish::{check_target, publish};
use super::seal::{SealInput, seal};
use super::writer::{ObjectWriter, Staged};
use crate::cas::options::{Durability, MigrateOptions, Placement, ReadBack};
use crate::cas::paths::{INDEX_NAME, TargetPaths};
use crate::cas::source::reader::SourceReader;
use crate::cas::source::scan::ScanSums;
use crate::cas::source::{Inventory, SourceRoot};
use crate::cas::state::RunState;
use crate::cas::store::index_keys::IndexKeys;
use crate::cas::verify::VerifyRequest;
use crate::cas::verify::run::verify_held;
use crate::durable::{
    Disk, DiskFileSystem, ReaderKind, SourceFile, create_directory_durable, file_digest_if_present, sync_reports_errors,
};
use crate::migration::{CheckpointFile, Error, FindingsLog, Job, OutcomeCounts, Stage, Step};
use crate::pipeline::{Control, Ended, Event, Phase, run};

/// A migration under way.
pub struct CasJob<'a> {
    /// The disk of the target.
    pub disk: Arc<dyn Disk>,
    /// The source.
    pub root: &'a SourceRoot,
    /// What was found in it.
    pub sums: &'a ScanSums,
    /// Its objects, until they are gone through.
    pub inventory: Option<Inventory>,
    /// Any object of it, to try whether copies can share blocks.
    pub sample: Option<PathBuf>,
    /// Where everything lies.
    pub paths: &'a TargetPaths,
    /// Settings.
    pub options: &'a MigrateOptions,
    /// Stop and events.
    pub control: Control<'a>,
    /// The checkpoint.
    pub checkpoint: Arc<CheckpointFile>,
    /// The file system of the target, held since before anything was written.
    pub file_system: Arc<dyn DiskFileSystem>,
    /// State as of the last durable point.
    pub state: RunState,
}

impl Job for CasJob<'_> {
    fn stage(&self) -> Stage {
        self.state.stage
    }

    fn step(&mut self) -> Result<Step, Error> {
        match self.state.stage {
            Stage::Running => self.in_phase(Phase::Run, Self::move_objects),
            Stage::Moved => self.in_phase(Phase::Seal, Self::seal),
            Stage::Sealed => self.in_phase(Phase::Verify, Self::verify),
            Stage::Verified => self.in_phase(Phase::Publish, Self::publish),
            Stage::Published | Stage::RolledBack => Ok(Step::Done),
        }
    }
}

impl CasJob<'_> {
    fn in_phase(&mut self, phase: Phase, step: fn(&mut Self) -> Result<Step, Error>) -> Result<Step, Error> {
        let is_run = phase == Phase::Run;
        self.control.observer.observe(&Event::PhaseStarted {
            phase,
            records_expected: is_run.then(|| self.sums.objects.saturating_sub(self.state.objects)),
            bytes_expected: is_run.then(|| self.sums.object_bytes.saturating_sub(self.state.source_bytes)),
        });
        let result = step(self);
        self.control.observer.observe(&Event::PhaseEnded { phase });
        result
    }

    /// Makes `stage` durable.
    fn reach(&mut self, stage: Stage) -> Result<Step, Error> {
        self.state.stage = stage;
        self.checkpoint.store(&*self.disk, &self.state)?;
        Ok(Step::Done)
    }

    /// What is made durable when. A kernel that keeps failed writes from the sync of a whole file system is not trusted
    /// with it.
    fn durability(&self) -> Durability {
        match self.options.durability {
            Durability::Group if !sync_reports_errors() => {
                let text = "this kernel does not report failed writes of a whole file system: each object is synced";
                self.control.observer.observe(&Event::Note { text: text.into() });
                Durability::Object
            }
            chosen => chosen,
        }
    }

    fn move_objects(&mut self) -> Result<Step, Error> {
        let inventory = self.inventory.take().expect("objects are moved once an attempt");
        let staging = self.paths.staging();
        create_directory_durable(&*self.disk, &objects_path(&staging))?;
        remove_unfinished(&self.disk, self.paths, &self.state, self.options.sort_memory_bytes())?;
        create_directory_durable(&*self.disk, &self.paths.incoming())?;
        let intake = Intake::new(self.disk.clone(), self.paths.incoming(), self.can_share_blocks()?);
        let converter = ObjectConverter::new(self.root, self.options.compress, self.options.link, Some(&intake));
        let reader = SourceReader::new(inventory, self.state.items, self.options.batch_records, self.options.compress)?;
        let mut writer = self.writer(staging)?;
        let ended = run(reader, &converter, &mut writer, &self.options.engine(), &self.control)?;
        self.state = writer.state;
        if ended == Ended::Stopped {
            return Ok(Step::Stopped);
        }
        self.check_complete()?;
        self.sums.check_unchanged(self.root)?;
        self.reach(Stage::Moved)
    }

    fn writer(&self, staging: PathBuf) -> Result<ObjectWriter<'_>, Error> {
        let durability = self.durability();
        let findings_path = self.paths.run_directory().findings_path();
        let mut state = self.state.clone();
        state.durability = durability.to_string();
        Ok(ObjectWriter {
            disk: self.disk.clone(),
            root: self.root,
            staged: Staged {
                placer: Placer::new(self.disk.clone(), staging, self.merged_into()?, durability),
                moved: MovedLog::open(&*self.disk, &self.paths.moved(), self.state.objects)?,
                findings: FindingsLog::open(&*self.disk, &findings_path, self.state.findings_bytes)?,
            },
            state,
            file_system: self.file_system.clone(),
            checkpoint: self.checkpoint.clone(),
            durability,
        })
    }

    fn merged_into(&self) -> Result<Option<Merged>, Error> {
        if self.options.placement != Placement::Merge {
            return Ok(None);
        }
        let (store, scratch) = (self.paths.target().to_path_buf(), self.paths.scratch().join("listed"));
        let listed = IndexKeys::of(&self.disk, &store, &scratch, self.options.sort_memory_bytes())?;
        Ok(Some(Merged { store, listed }))
    }

    fn can_share_blocks(&self) -> Result<bool, Error> {
        let Some(sample) = self.sample.as_ref().filter(|_| !self.options.link) else { return Ok(false) };
        match SourceFile::open(sample, ReaderKind::Pread) {
            Ok(sample) => Ok(self.disk.can_reflink(&sample, &self.paths.incoming())?),
            // It is refused in its turn.
            Err(_) => Ok(false),
        }
    }

    /// Everything that the walk found is accounted for, and nothing was refused where that must not be.
    fn check_complete(&self) -> Result<(), Error> {
        check_complete(&self.state, self.sums)?;
        let refused = self.state.counts.refused();
        if self.options.strict && refused > 0 {
            return Err(Error::Findings {
                count: refused,
                report: self.paths.run_directory().report_path(),
                next: "read the report, mend or remove what it names, or leave out --strict".into(),
            });
        }
        Ok(())
    }

    fn seal(&mut self) -> Result<Step, Error> {
        let input = SealInput {
            disk: &self.disk,
            paths: self.paths,
            state: &self.state,
            options: self.options,
            file_system: &*self.file_system,
            control: &self.control,
        };
        match seal(&input)? {
            None => Ok(Step::Stopped),
            Some(index) => {
                self.state.index = Some(index);
                self.reach(Stage::Sealed)
            }
        }
    }

    fn verify(&mut self) -> Result<Step, Error> {
        let sealed = self.state.index.expect("a sealed run has an index");
        let path = self.paths.staging().join(INDEX_NAME);
        if file_digest_if_present(&*self.disk, &path)? != Some(sealed.file()) {
            return Err(Error::Verification {
                what: format!("{} is not the index that was sealed", path.display()),
                next: "check the disk, then start over with --restart".into(),
            });
        }
        match self.options.read_back {
            ReadBack::Index => self.reach(Stage::Verified),
            ReadBack::Full => self.read_back(),
        }
    }

    /// Reads every staged object again. A simulated disk is nowhere that could be read.
    fn read_back(&mut self) -> Result<Step, Error> {
        if !self.disk.is_system() {
            return self.reach(Stage::Verified);
        }
        let is_merge = self.options.placement == Placement::Merge;
        let merged_into = is_merge.then(|| self.paths.target().to_path_buf());
        let request = VerifyRequest { merged_into, ..VerifyRequest::WHOLE };
        let end = verify_held(&self.disk, self.paths, &self.paths.staging(), &request, self.options, &self.control)?;
        if end.stopped {
            return Ok(Step::Stopped);
        }
        match end.faults.first() {
            Some(fault) if end.errors > 0 => Err(Error::Verification {
                what: format!("{} errors in the staged store; {}: {}", end.errors, fault.path, fault.text),
                next: "check the disk, then start over with --restart".into(),
            }),
            _ => self.reach(Stage::Verified),
        }
    }

    fn publish(&mut self) -> Result<Step, Error> {
        if self.options.placement == Placement::Replace && self.disk.kind(&self.paths.replaced())?.is_none() {
            check_target(&*self.disk, self.paths, Placement::Replace)?;
        }
        let placement = self.options.placement;
        let file_system = &*self.file_system;
        if !publish(&*self.disk, self.paths, &self.state, placement, file_system, self.control.stop)? {
            return Ok(Step::Stopped);
        }
        self.reach(Stage::Published)
    }
}
