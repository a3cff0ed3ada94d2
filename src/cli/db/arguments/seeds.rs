//! The directory of the seeds.

use std::path::PathBuf;

use clap::Args;

use super::database::DatabaseArgs;
use super::placeholders::PlaceholderArgs;
use super::work::Work;
use crate::migration::Error;

/// The seeds and their database.
#[derive(Args)]
pub struct SeedArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// Directory of the seeds [default: haul.toml, or ./seeds]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    placeholders: PlaceholderArgs,
}

impl SeedArgs {
    /// Returns the database, and the seeds for its environment.
    pub fn work(&self) -> Result<Work, Error> {
        let place = self.database.place()?;
        let directory = place.seed_directory(self.dir.as_deref());
        let migrations = place.seeds(&directory, &self.placeholders)?;
        Ok(Work { place, migrations })
    }
}
