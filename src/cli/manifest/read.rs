//! `haul manifest read`: prints a manifest at another version. Writes only with `--write-back`.
//!
//! Standard output gets the manifest, also with `--json`: it is JSON. One that cannot be migrated there ends with 65.

use std::path::{Path, PathBuf, absolute};
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;

use super::arguments::{RECORDS_NOUN, StepsArgs, below};
use crate::cli::arguments::{OutputArgs, WaitArgs, check_exists};
use crate::cli::command::say_stopped;
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::durable::{DiskError, RealDisk};
use crate::manifest::run_options::MigrateOptions;
use crate::manifest::tree::scan::ARTIFACTS;
use crate::manifest::{Mode, TransformOptions, Version, read_and_write_back, read_migrated};
use crate::migration::{Error, clock, exit};
use crate::observe::Scope;
use crate::pipeline::Control;

/// `haul manifest read`
#[derive(Args)]
pub struct ReadCommand {
    /// The manifest
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The version to print [default: the latest]
    #[arg(long, value_name = "V")]
    target_version: Option<Version>,
    /// Print what the original would have written, wherever it is right
    #[arg(long)]
    compat: bool,
    /// Time of the history record, in RFC 3339 [default: now]
    #[arg(long, value_name = "T")]
    now: Option<Timestamp>,
    /// Also migrate the file itself, under the lock of its tree and with a backup
    #[arg(long)]
    write_back: bool,
    /// Root of the application, for --write-back [default: that of the nearest artifacts/ above FILE]
    #[arg(long, value_name = "APP_ROOT", requires = "write_back")]
    root: Option<PathBuf>,
    #[command(flatten)]
    steps: StepsArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl ReadCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        check_exists(&self.file, "give the path of a manifest")?;
        let mode = if self.compat { Mode::Compat } else { Mode::Strict };
        let mut options = MigrateOptions {
            registry: Arc::new(self.steps.registry()?),
            target: self.target_version,
            transform: TransformOptions { mode, ..TransformOptions::default() },
            manifest: Some(self.file.clone()),
            now: self.now,
            ..MigrateOptions::default()
        };
        if !self.write_back {
            let transformer = options.transformer(self.now.unwrap_or_else(clock::now_or_nearest))?;
            output::bytes(&read_migrated(&RealDisk, &self.file, &transformer)?)?;
            return Ok(exit::OK);
        }
        let (root, file) = self.place()?;
        options.manifest = Some(file);
        let watch = Watch::start(self.output)?;
        let budget_bytes = options.run.memory_budget_bytes;
        let scope = Scope { budget_bytes, ..Scope::of(RECORDS_NOUN) };
        let work = |control: &Control<'_>| read_and_write_back(Arc::new(RealDisk), &root, &options, control);
        let document = watch.run_when_free(self.wait, scope, work)?;
        let Some(document) = document else {
            return Ok(say_stopped());
        };
        output::bytes(&document)?;
        Ok(exit::OK)
    }

    /// Returns the tree, and the file in it.
    fn place(&self) -> Result<(PathBuf, PathBuf), Error> {
        let whole = |path: &Path| absolute(path).map_err(|e| DiskError::new("resolve", path, e));
        let file = whole(&self.file)?;
        let root = match &self.root {
            Some(root) => whole(root)?,
            None => app_root(&file).ok_or_else(|| Error::Usage {
                what: format!("{} is in no directory called {ARTIFACTS}", self.file.display()),
                next: "give the root of the application with --root".into(),
            })?,
        };
        let relative = below(&root, &file)?;
        Ok((root, relative))
    }
}

/// Returns the directory that holds the nearest `artifacts` above `file`.
fn app_root(file: &Path) -> Option<PathBuf> {
    let artifacts = file.ancestors().skip(1).find(|above| above.file_name().is_some_and(|name| name == ARTIFACTS))?;
    artifacts.parent().map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_holds_the_nearest_artifacts() {
        let root = |file: &str| app_root(Path::new(file));
        assert_eq!(root("/app/artifacts/job/run/manifest.json"), Some("/app".into()));
        assert_eq!(root("/artifacts/app/artifacts/m.json"), Some("/artifacts/app".into()));
        assert_eq!(root("/app/artifacts"), None);
        assert_eq!(root("/app/job/manifest.json"), None);
    }
}
