//! The directory of the seeds.

use std::path::PathBuf;

use clap::Args;

use super::database::DatabaseArgs;
use super::place::Place;
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
        self.read(self.database.place()?)
    }

    /// Returns how the database is named.
    pub fn database(&self) -> &DatabaseArgs {
        &self.database
    }

    /// Reads the seeds in the SQL of a database and for its environment.
    pub fn read(&self, place: Place) -> Result<Work, Error> {
        let directory = place.seed_directory(self.dir.as_deref());
        let migrations = place.seeds(&directory, &self.placeholders)?;
        Ok(Work { place, migrations })
    }
}
