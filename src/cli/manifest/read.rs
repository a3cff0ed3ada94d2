//! `haul manifest read`: a manifest as another version has it. Nothing is written, unless `--write-back` asks for it.
//!
//! Standard output gets the document, with `--json` as well: it is JSON. One that cannot be taken there ends with 65.

use std::path::{Path, PathBuf, absolute};
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;

use super::arguments::{RECORDS_NOUN, StepsArgs, below};
use crate::cli::arguments::OutputArgs;
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::durable::{DiskError, RealDisk};
use crate::manifest::run_options::MigrateOptions;
use crate::manifest::tree::scan::ARTIFACTS;
use crate::manifest::{Mode, TransformOptions, Version, read_and_write_back, read_migrated};
use crate::migration::{Error, exit};
use crate::observe::Scope;

/// `haul manifest read`
#[derive(Args)]
pub struct ReadCommand {
    /// The manifest
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The version to show it at [default: the latest]
    #[arg(long, value_name = "V")]
    target_version: Option<Version>,
    /// Show what the original would have written, wherever that is right
    #[arg(long)]
    compat: bool,
    /// The instant of the history record, in RFC 3339 [default: the present one]
    #[arg(long, value_name = "T")]
    now: Option<Timestamp>,
    /// Leave the file so: a migration of this one file, under the lock of its tree, with its backup
    #[arg(long)]
    write_back: bool,
    /// The application's root, for --write-back [default: that of the nearest artifacts/ above FILE]
    #[arg(long, value_name = "APP_ROOT", requires = "write_back")]
    root: Option<PathBuf>,
    #[command(flatten)]
    steps: StepsArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl ReadCommand {
    pub fn run(self) -> anyhow::Result<u8> {
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
            let transformer = options.transformer(self.now.unwrap_or_else(Timestamp::now))?;
            output::bytes(&read_migrated(&RealDisk, &self.file, &transformer)?)?;
            return Ok(exit::OK);
        }
        let (root, file) = self.place()?;
        options.manifest = Some(file);
        let watch = Watch::start(self.output.progress)?;
        let budget_bytes = options.run.memory_budget_bytes;
        let scope = Scope { records_noun: RECORDS_NOUN, source_bytes: None, budget_bytes };
        let document = watch.run(scope, |control| read_and_write_back(Arc::new(RealDisk), &root, &options, control))?;
        let Some(document) = document else {
            watch.say_stopped();
            return Ok(exit::TEMPORARY);
        };
        output::bytes(&document)?;
        Ok(exit::OK)
    }

    /// The tree, and the file in it.
    fn place(&self) -> Result<(PathBuf, PathBuf), Error> {
        let whole = |path: &Path| absolute(path).map_err(|e| DiskError::new("resolve", path, e));
        let file = whole(&self.file)?;
        let root = match &self.root {
            Some(root) => whole(root)?,
            None => app_root(&file).ok_or_else(|| Error::Usage {
                what: format!("{} lies in no directory called {ARTIFACTS}", self.file.display()),
                next: "give the application's root with --root".into(),
            })?,
        };
        let relative = below(&root, &file)?;
        Ok((root, relative))
    }
}

/// The directory that holds the nearest `artifacts` above `file`.
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
