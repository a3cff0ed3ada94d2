//! Arguments that the verbs of manifests share.

use std::path::PathBuf;

use clap::Args;

use crate::manifest::Registry;
use crate::migration::Error;

/// Which steps there are.
#[derive(Args)]
pub struct StepsArgs {
    /// Steps beside the built-in ones, as TOML; may be given several times
    #[arg(long = "steps-file", value_name = "FILE")]
    pub steps_files: Vec<PathBuf>,
}

impl StepsArgs {
    /// The built-in steps and those of the files, in their order.
    pub fn registry(&self) -> Result<Registry, Error> {
        let mut registry = Registry::built_in();
        self.steps_files.iter().try_for_each(|path| registry.add_path(path))?;
        Ok(registry)
    }
}
