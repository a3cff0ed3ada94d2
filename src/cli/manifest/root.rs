//! The root of a tree on the command line, and what was probably meant by something else.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::command_line::manifest_command;
use crate::cli::place::{Place, PlaceKind};
use crate::manifest::migrate::STATE;
use crate::manifest::tree::scan::ARTIFACTS;
use crate::migration::Error;

/// What the root of a tree is.
struct AppRoot;

impl PlaceKind for AppRoot {
    const VALUE_NAME: &'static str = "APP_ROOT";
    const OPTION: &'static str = "root";
    const HELP: &'static str =
        "Root of the application, which contains artifacts/; the state of runs is kept in its migration/";
}

/// The tree.
#[derive(Args)]
pub struct RootArgs {
    #[command(flatten)]
    root: Place<AppRoot>,
}

/// The tree, by position only, for commands with another positional argument.
#[derive(Args)]
pub struct FirstRootArgs {
    /// Root of the application, which contains artifacts/; the state of runs is kept in its migration/
    #[arg(value_name = "APP_ROOT")]
    root: PathBuf,
}

impl FirstRootArgs {
    /// Returns the root of a tree whose runs are looked at. Its manifests may be gone.
    pub fn with_runs(&self) -> Result<&Path, Error> {
        with_runs(&self.root)
    }
}

impl RootArgs {
    /// Returns the root as it is given.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Returns the root of a tree whose manifests are read.
    pub fn tree(&self) -> Result<&Path, Error> {
        check_tree(&self.root)?;
        Ok(&self.root)
    }

    /// Returns the root of a tree whose runs are looked at. Its manifests may be gone.
    pub fn with_runs(&self) -> Result<&Path, Error> {
        with_runs(&self.root)
    }
}

fn with_runs(root: &Path) -> Result<&Path, Error> {
    if !root.join(STATE).is_dir() {
        check_tree(root)?;
    }
    Ok(root)
}

/// Fails if the directory is no root of a tree.
pub fn check_tree(root: &Path) -> Result<(), Error> {
    let artifacts = root.join(ARTIFACTS);
    match artifacts.symlink_metadata() {
        Ok(found) if found.is_symlink() => Err(linked(&artifacts)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Err(no_root(root)),
        // Every other error is that of the command which opens it.
        _ => Ok(()),
    }
}

fn no_root(root: &Path) -> Error {
    let path = root.display();
    let (what, is_file) = match root.metadata() {
        Err(_) => (format!("{path} does not exist"), false),
        Ok(found) if found.is_dir() => (format!("{path} has no directory {ARTIFACTS}/"), false),
        Ok(_) => (format!("{path} is not a directory"), true),
    };
    let next = match app_root(root) {
        Some((app, file)) if is_file => {
            let one = format!("{} --manifest {}", manifest_command("migrate", &app), file.display());
            format!("give the root of the application, {}; for this file alone: {one}", app.display())
        }
        Some((app, _)) => format!("give the root of the application, {}", app.display()),
        None => format!("give the root of the application, which contains {ARTIFACTS}/"),
    };
    Error::Usage { what, next }
}

/// Returns the directory that holds the nearest `artifacts` in a path, if there is one, and the rest of the path.
fn app_root(path: &Path) -> Option<(PathBuf, PathBuf)> {
    let whole = std::path::absolute(path).ok()?;
    for path in [path, &*whole] {
        let artifacts = path.ancestors().find(|above| above.file_name().is_some_and(|name| name == ARTIFACTS));
        let app = artifacts.and_then(Path::parent).filter(|_| path.exists());
        if let Some(app) = app {
            let rest = path.strip_prefix(app).unwrap_or(path).to_path_buf();
            let app = if app.as_os_str().is_empty() { Path::new(".") } else { app };
            return Some((app.to_path_buf(), rest));
        }
    }
    None
}

fn linked(artifacts: &Path) -> Error {
    let target = artifacts.canonicalize().ok();
    let app = target.as_deref().filter(|target| target.file_name().is_some_and(|name| name == ARTIFACTS));
    let next = match app.and_then(Path::parent) {
        Some(app) => format!("give the root that it leads to, {}, or put a bind mount in its place", app.display()),
        None => "put a bind mount in its place, or the directory itself".to_owned(),
    };
    Error::Usage { what: format!("{} is a symbolic link, which is not followed", artifacts.display()), next }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_that_was_meant_is_named() {
        let place = tempfile::tempdir().unwrap();
        let app = place.path().join("app");
        let run = app.join("artifacts/job/run");
        std::fs::DirBuilder::new().recursive(true).create(&run).unwrap();
        check_tree(&app).unwrap();
        let next = |path: &Path| check_tree(path).unwrap_err().next_step().unwrap();
        for inside in [app.join("artifacts"), run.clone()] {
            assert_eq!(next(&inside), format!("give the root of the application, {}", app.display()));
        }
        for other in [place.path().to_path_buf(), place.path().join("none"), app.join("artifacts/none")] {
            assert_eq!(next(&other), "give the root of the application, which contains artifacts/");
        }
    }
}
