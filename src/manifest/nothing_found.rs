//! Refuses a tree without a single manifest: more often than not it is the wrong directory, or a file system is not
//! mounted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::document::options::Mode;
use super::migrate::document_reader::DocumentReader;
use super::migrate::selector::Selector;
use super::migrate::share::PathShare;
use super::run_options::MigrateOptions;
use super::selection::Selection;
use super::tree::reader::Select;
use super::tree::scan::{ARTIFACTS, Found, Layout, Scan, ScanEntry, SkipReason};
use crate::durable::ReadRoot;
use crate::migration::plan::escape_name;
use crate::migration::{Error, clock};
use crate::pipeline::{Ended, StopToken};

/// Fails if there is no manifest, or none of the selected job, unless that is allowed. Looks no further than the first.
/// What else is selected may well select nothing.
pub(super) fn check_found(
    root: &Arc<dyn ReadRoot>,
    options: &MigrateOptions,
    stop: &StopToken,
) -> Result<Ended, Error> {
    // The original finds nothing to do.
    if options.allow_empty || options.manifest.is_some() || options.transform.mode == Mode::Compat {
        return Ok(Ended::Complete);
    }
    let selection = Selection { job: options.selection.job.clone(), ..Selection::default() };
    let options = MigrateOptions { selection, ..options.clone() };
    let documents = Arc::new(DocumentReader::new(&options.run, options.transform.depth_max));
    let mut of_job = Selector::of_command(root, &options, &documents, (PathShare::ALL, clock::now_or_nearest()));
    let (mut of_other_job, mut similar) = (None, None);
    for ScanEntry { path, found } in Scan::start(root.clone(), options.layout, Vec::new())? {
        if stop.is_requested() {
            return Ok(Ended::Stopped);
        }
        match found {
            Found::Manifest if of_job.as_mut().map_or(Ok(true), |of_job| of_job.takes(&path))? => {
                return Ok(Ended::Complete);
            }
            // It is named where it is read.
            Found::Unreadable(_) => return Ok(Ended::Complete),
            Found::Manifest => of_other_job = of_other_job.or(Some(path)),
            Found::Skipped(SkipReason::Hidden | SkipReason::Inputs | SkipReason::NotSelected) | Found::Leftover => {}
            Found::Skipped(reason) => similar = similar.or(Some((path, reason))),
        }
    }
    Err(nothing_found(&root.path().join(ARTIFACTS), &options, (of_other_job, similar)))
}

fn nothing_found(
    artifacts: &Path,
    options: &MigrateOptions,
    (of_other_job, similar): (Option<PathBuf>, Option<(PathBuf, SkipReason)>),
) -> Error {
    let name = |path: &Path| escape_name(path.as_os_str());
    let (what, next) = match (&options.selection.job, of_other_job, similar) {
        (Some(job), Some(other), _) => {
            let other = name(&other);
            (format!("no manifest of the job {job:?} was found"), format!("{other} is of another job: correct --job"))
        }
        (_, _, Some((link, SkipReason::Link))) => {
            let how = "is a symbolic link, which is not followed: put a bind mount in its place";
            ("no manifest was found".to_owned(), format!("{} {how}", name(&link)))
        }
        (_, _, Some((similar, _))) => {
            let how = match options.layout {
                Layout::Canonical => "rename it, take --layout recursive, or give the root of its application",
                Layout::Recursive => "rename it, or give the root of its application",
            };
            ("no manifest was found".to_owned(), format!("{} looks like one: {how}", name(&similar)))
        }
        _ => (
            "no manifest was found".to_owned(),
            "give the root of the application, or mount what is missing".to_owned(),
        ),
    };
    let next = format!("{next}; if there is none, add --allow-empty");
    Error::State { path: artifacts.to_path_buf(), what, next, damaged: true, source: None }
}
