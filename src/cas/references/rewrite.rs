//! Rewrites the references in files and directories.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::counts::{FileCounts, ReferenceCounts};
use super::failure::{RewriteFailure, unreadable_text};
use super::findings::FindingsKept;
use super::original::{FileSource, Original};
use super::passes::{scan_references, write_rewritten};
use super::replace::{Replacement, Replacer, backup_path, is_kept};
use super::resolve::{Resolution, Resolver};
#[cfg(feature = "db-sqlite")]
use super::sqlite::Database;
use super::targets::{Target, Walk};
use super::text::{Form, Text, belongs_to_database, is_database};
use crate::cas::map::HEADER_LINE;
use crate::durable::{AttributesNotKept, BadSpots, read_again};
use crate::migration::{DirectoryLocks, Error, Finding, Severity, exit};
use crate::pipeline::{Control, Expected, Phase};

/// A file is binary if this many bytes at its start have a NUL.
const BINARY_LOOK_BYTES: u64 = 8 << 10;

/// What is rewritten, and how.
pub struct Rewrite<'a> {
    /// Reads the files.
    pub files: &'a dyn FileSource,
    /// Writes the files, or only counts them.
    pub replacer: &'a dyn Replacer,
    /// Suffix of each original that is kept.
    pub backup_suffix: &'a str,
    /// Files that are never rewritten.
    pub excluded: &'a [PathBuf],
    /// What is rewritten besides plain text. The rest is searched, and refused if it has references to rewrite.
    pub packed: Packed,
}

/// Files that are not plain text, and are rewritten on request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Packed {
    /// Gzip files.
    pub gzip: bool,
    /// SQLite databases.
    pub sqlite: bool,
}

/// The result of a run; in a dry run, of what it would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RewriteEnd {
    /// Files by outcome.
    pub files: FileCounts,
    /// References by outcome.
    pub references: ReferenceCounts,
    /// The first [`FINDINGS_KEPT_MAX`](super::FINDINGS_KEPT_MAX) findings about single references and files.
    pub findings: Vec<Finding>,
    /// Number of the other findings.
    pub findings_left_out: u64,
    /// True if a stop was requested; then some files were not read.
    pub stopped: bool,
}

impl RewriteEnd {
    /// Returns the exit code of the run. With `strict`, references that are not in the map count as refused.
    pub fn exit_code(&self, strict: bool) -> u8 {
        let unknown = if strict { self.references.unknown } else { 0 };
        if self.stopped {
            exit::TEMPORARY
        } else if self.files.refused + self.references.ambiguous + unknown > 0 {
            exit::REFUSED_RECORDS
        } else {
            exit::OK
        }
    }
}

/// The outcome of a file.
enum Outcome {
    Changed,
    Unchanged,
    Skipped(Option<String>),
    Refused(String),
    Stopped,
}

/// A run in progress.
struct Run<'a, 'm> {
    how: &'a Rewrite<'a>,
    resolver: &'a mut Resolver<'m>,
    control: &'a Control<'a>,
    files: FileCounts,
    references: ReferenceCounts,
    findings: FindingsKept,
    bad_spots: BadSpots,
}

impl Rewrite<'_> {
    /// Begins to rewrite the references in the named files, and in all files of the named directories: checks every name
    /// before the first file is changed, and locks the directories in which files may be replaced.
    ///
    /// # Errors
    /// [`Error::Usage`] if a name does not exist or a directory is, contains or is inside a v2 store; [`Error::Locked`]
    /// while another process replaces files there.
    pub fn begin<'a>(&'a self, named: &'a [PathBuf]) -> Result<BegunRewrite<'a>, Error> {
        let walk = self.walk();
        let check = |locks: &DirectoryLocks<'_>| named.iter().try_for_each(|path| walk.check(path, locks));
        check(&DirectoryLocks::none())?;
        let locks = self.replacer.lock(&walk.directories(named)?)?;
        // Another process may have begun below meanwhile. From now on, one that begins there sees these locks.
        if !locks.is_empty() {
            check(&locks)?;
        }
        Ok(BegunRewrite { how: self, named, locks })
    }

    fn walk(&self) -> Walk<'_> {
        Walk { files: self.files, backup_suffix: self.backup_suffix, excluded: self.excluded }
    }
}

/// A rewrite whose directories are locked.
pub struct BegunRewrite<'a> {
    how: &'a Rewrite<'a>,
    named: &'a [PathBuf],
    locks: DirectoryLocks<'a>,
}

impl BegunRewrite<'_> {
    /// Rewrites the references.
    ///
    /// Every file is replaced as a whole, after its original is durable next to it. A file for which that fails is
    /// refused, and the other files are handled.
    ///
    /// # Errors
    /// Those of the map and the disk; [`Error::Locked`] at a directory that another process has locked meanwhile.
    pub fn run(
        self,
        resolver: &mut Resolver<'_>,
        findings: FindingsKept,
        control: &Control<'_>,
    ) -> Result<RewriteEnd, Error> {
        let walk = self.how.walk();
        let mut run = Run {
            how: self.how,
            resolver,
            control,
            files: FileCounts::default(),
            references: ReferenceCounts::default(),
            findings,
            bad_spots: BadSpots::default(),
        };
        let goes_on = control.phase(Phase::Run, Expected::UNKNOWN, || {
            let mut goes_on = true;
            for path in self.named {
                goes_on = goes_on && walk.each(path, &self.locks, &mut |path, target| run.take(path, target))?;
            }
            Ok::<_, Error>(goes_on)
        })?;
        run.end(!goes_on)
    }
}

impl Run<'_, '_> {
    /// Handles a path that the walk found. Returns false once a stop was requested.
    fn take(&mut self, path: &Path, target: Target) -> Result<bool, Error> {
        let outcome = match target {
            Target::File => self.file(path)?,
            Target::Own => Outcome::Skipped(None),
            Target::Leftover => {
                self.how.replacer.remove_leftover(path)?;
                return Ok(true);
            }
            Target::Skipped(reason) => Outcome::Skipped(Some(reason.into())),
            Target::Refused(reason) => Outcome::Refused(reason),
        };
        *match outcome {
            Outcome::Stopped => return Ok(false),
            Outcome::Changed => &mut self.files.changed,
            Outcome::Unchanged => &mut self.files.unchanged,
            Outcome::Skipped(reason) => {
                reason.map_or(Ok(()), |reason| self.findings.file(Severity::Note, path, reason))?;
                &mut self.files.skipped
            }
            Outcome::Refused(reason) => {
                self.findings.file(Severity::Refused, path, reason)?;
                &mut self.files.refused
            }
        } += 1;
        self.files.seen += 1;
        Ok(true)
    }

    fn file(&mut self, path: &Path) -> Result<Outcome, Error> {
        let mut counts = ReferenceCounts::default();
        let outcome = match self.rewrite(path, &mut counts) {
            Ok(outcome) => {
                self.bad_spots.note_readable();
                outcome
            }
            Err(RewriteFailure::Refused(reason)) => {
                counts.refuse();
                Outcome::Refused(reason)
            }
            Err(RewriteFailure::Medium(error)) if self.bad_spots.is_of_file(&error) => {
                counts.refuse();
                Outcome::Refused(unreadable_text(&error))
            }
            Err(RewriteFailure::Medium(error)) => return Err(error.into()),
            Err(RewriteFailure::Stopped) => return Ok(Outcome::Stopped),
            Err(RewriteFailure::Fatal(error)) => return Err(error),
        };
        self.references.add(&counts);
        Ok(outcome)
    }

    fn rewrite(&mut self, path: &Path, counts: &mut ReferenceCounts) -> Result<Outcome, RewriteFailure> {
        if belongs_to_database(self.how.files, path)? {
            return Ok(Outcome::Skipped(None));
        }
        let original = read_again(|| self.how.files.open(path)).map_err(RewriteFailure::unreadable)?;
        if is_database(&*original)? {
            drop(original);
            return self.database(path, counts);
        }
        let text = Text::of(&*original, self.control.stop)?;
        if text.form == Form::Gzip && !self.how.packed.gzip {
            return self.look_into_gzip(path, &text, counts);
        }
        if let Some(reason) = self.search(path, &text, counts)? {
            return Ok(Outcome::Skipped(Some(reason.into())));
        }
        self.replace(path, &text, counts)
    }

    /// Finds the references of a gzip file that is not to be rewritten.
    fn look_into_gzip(
        &mut self,
        path: &Path,
        text: &Text<'_>,
        counts: &mut ReferenceCounts,
    ) -> Result<Outcome, RewriteFailure> {
        match self.search(path, text, counts) {
            Ok(_) | Err(RewriteFailure::Refused(_)) if counts.replaced > 0 => Err(RewriteFailure::Refused(format!(
                "a gzip file with references to rewrite: {}; --gzip rewrites gzip files",
                counts.replaced
            ))),
            Ok(None) => Ok(Outcome::Unchanged),
            Ok(Some(reason)) => Ok(Outcome::Skipped(Some(reason.into()))),
            Err(RewriteFailure::Refused(why)) => {
                Ok(Outcome::Skipped(Some(format!("a gzip file, and not searched to its end: {why}"))))
            }
            Err(failure) => Err(failure),
        }
    }

    /// Counts the references of a file. Returns why they are not its own, if so.
    fn search(
        &mut self,
        path: &Path,
        text: &Text<'_>,
        counts: &mut ReferenceCounts,
    ) -> Result<Option<&'static str>, RewriteFailure> {
        let Self { resolver, control, findings, .. } = self;
        if let Some(reason) = reason_not_to_read(text)? {
            return Ok(Some(reason));
        }
        scan_references(text, resolver, |reference, resolution| {
            counts.count(resolution);
            let Some((severity, reason)) = why_it_stays(resolution) else { return Ok(()) };
            findings.reference(severity, path, reference, reason)
        })?;
        control.progress(counts.found, text.original.len_bytes());
        Ok(None)
    }

    /// Replaces the file, if it has references to rewrite.
    fn replace(&mut self, path: &Path, text: &Text<'_>, counts: &ReferenceCounts) -> Result<Outcome, RewriteFailure> {
        let Self { how, resolver, control, findings, .. } = self;
        let original = text.original;
        let backup = backup_path(path, how.backup_suffix);
        if counts.replaced == 0 {
            // An earlier run may have rewritten this file and crashed before the rename was durable.
            if counts.current > 0 && how.files.kind(&backup).map_err(RewriteFailure::unreadable)?.is_some() {
                how.replacer.settle(path)?;
            }
            return Ok(Outcome::Unchanged);
        }
        check_names(original)?;
        if let Some(obstacle) = how.files.obstacle(path).map_err(RewriteFailure::unreadable)? {
            return Err(RewriteFailure::Refused(obstacle.to_string()));
        }
        let is_kept = is_kept(how.files, original, &backup, control.stop)?;
        let replacement = Replacement { path, original, backup, is_kept, stop: control.stop };
        let not_kept = how.replacer.replace(&replacement, &mut |file| {
            let written = write_rewritten(text, resolver, file)?;
            if written == counts.replaced { Ok(()) } else { Err(miscounted(path, counts.replaced, written).into()) }
        })?;
        note_not_kept(findings, path, &not_kept)?;
        Ok(Outcome::Changed)
    }

    #[cfg(not(feature = "db-sqlite"))]
    fn database(&mut self, _path: &Path, _counts: &mut ReferenceCounts) -> Result<Outcome, RewriteFailure> {
        Ok(Outcome::Skipped(Some("a SQLite database, which this build of haul cannot search".into())))
    }

    /// Finds the references of a database, and rewrites them on request.
    #[cfg(feature = "db-sqlite")]
    fn database(&mut self, path: &Path, counts: &mut ReferenceCounts) -> Result<Outcome, RewriteFailure> {
        let Self { how, resolver, control, findings, .. } = self;
        let is_asked_for = how.packed.sqlite;
        let disk = how.replacer.disk().filter(|_| is_asked_for);
        let real = how.files.canonical(path);
        let database = Database { path: &real, files: how.files, stop: control.stop };
        if disk.is_some() {
            database.recover()?;
        }
        // To close a file ends the locks of SQLite on it, so this one is closed last.
        let original = how.files.open(path).map_err(RewriteFailure::unreadable)?;
        let found = database.search(resolver, &mut |place, reference, resolution| {
            counts.count(resolution);
            let Some((severity, reason)) = why_it_stays(resolution) else { return Ok(()) };
            findings.reference(severity, path, reference, &format!("{reason}; {place}"))
        });
        let found = match found {
            Ok(_) | Err(RewriteFailure::Refused(_)) if counts.replaced > 0 && !is_asked_for => {
                return Err(RewriteFailure::Refused(format!(
                    "a SQLite database with references to rewrite: {}; --sqlite rewrites databases",
                    counts.replaced
                )));
            }
            Err(RewriteFailure::Refused(why)) if !is_asked_for => {
                return Ok(Outcome::Skipped(Some(format!("a SQLite database, and not searched to its end: {why}"))));
            }
            found => found?,
        };
        control.progress(counts.found, original.len_bytes());
        if counts.replaced == 0 {
            return Ok(Outcome::Unchanged);
        }
        check_names(&*original)?;
        if let Some(obstacle) = found.obstacle {
            return Err(RewriteFailure::Refused(obstacle));
        }
        if !found.virtual_tables.is_empty() {
            let tables = found.virtual_tables.join(", ");
            let reason = format!("virtual tables stay as they are, with what their modules keep unseen: {tables}");
            findings.file(Severity::Note, path, reason)?;
        }
        if let Some(disk) = disk {
            original.check_unchanged()?;
            let backup = backup_path(&real, how.backup_suffix);
            let not_kept = database.rewrite(resolver, disk, &backup, &found)?;
            note_not_kept(findings, path, &not_kept)?;
        }
        Ok(Outcome::Changed)
    }

    fn end(self, stopped: bool) -> Result<RewriteEnd, Error> {
        let Self { files, references, findings, .. } = self;
        if !(files.add_up() && references.add_up()) {
            return Err(Error::Accounting { what: format!("{files:?}, {references:?}") });
        }
        let (findings, findings_left_out) = findings.finish()?;
        Ok(RewriteEnd { files, references, findings, findings_left_out, stopped })
    }
}

/// Returns what is said about a reference that is not rewritten.
fn why_it_stays(resolution: Resolution) -> Option<(Severity, &'static str)> {
    match resolution {
        Resolution::Unknown => Some((Severity::Note, "not in the map")),
        Resolution::Ambiguous => Some((Severity::Refused, "ambiguous: its rows lead to different keys")),
        Resolution::Replace { .. } | Resolution::Current => None,
    }
}

/// Refuses a file that other names lead to.
fn check_names(original: &dyn Original) -> Result<(), RewriteFailure> {
    match original.names() {
        0 | 1 => Ok(()),
        names => Err(RewriteFailure::Refused(format!(
            "the file has {names} names, and the others would keep the old content; copy it to a file of its own"
        ))),
    }
}

fn note_not_kept(findings: &mut FindingsKept, path: &Path, not_kept: &AttributesNotKept) -> Result<(), Error> {
    if not_kept.is_empty() {
        return Ok(());
    }
    let reason = format!("rewritten, but without {not_kept} of the original, which this user may not set");
    findings.file(Severity::Note, path, reason)
}

fn miscounted(path: &Path, found: u64, written: u64) -> Error {
    let path = path.display();
    Error::Accounting { what: format!("{path}: {found} references to rewrite were found, {written} were written") }
}

/// Returns why the references in a file are not its own.
fn reason_not_to_read(text: &Text<'_>) -> Result<Option<&'static str>, RewriteFailure> {
    let start = text.start(BINARY_LOOK_BYTES)?;
    Ok(if start.contains(&0) {
        Some("binary: it has a NUL byte near its start")
    } else if start.starts_with(HEADER_LINE) {
        Some("a key map")
    } else {
        None
    })
}
