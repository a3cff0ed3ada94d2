//! The directory of the migrations, and their database.

use std::path::PathBuf;

use clap::Args;

use super::database::DatabaseArgs;
use super::place::Place;
use super::placeholders::PlaceholderArgs;
use super::work::Work;
use crate::db::script::{Examined, Folders, ReadOptions, examine_directory};
use crate::db::{DbSettings, Dialect, Migrations};
use crate::migration::Error;

const DIRECTORY_DEFAULT: &str = "./migrations";

/// The migrations and their database.
#[derive(Args)]
pub struct MigrationArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// Directory of the migration files [default: haul.toml, or ./migrations]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Read the folders in it too, with those of Prisma and Diesel
    #[arg(long)]
    recursive: bool,
    #[command(flatten)]
    placeholders: PlaceholderArgs,
}

impl MigrationArgs {
    /// Returns the database, and the migrations in its SQL.
    pub fn work(&self) -> Result<Work, Error> {
        self.read(self.place()?)
    }

    /// Returns the database.
    pub fn place(&self) -> Result<Place, Error> {
        self.database.place()
    }

    /// Returns how the database is named.
    pub fn database(&self) -> &DatabaseArgs {
        &self.database
    }

    /// Reads the migrations in the SQL of a database.
    pub fn read(&self, place: Place) -> Result<Work, Error> {
        let directory = self.directory(&place.settings);
        let options = self.read_options(&place.settings)?;
        let migrations = examine_directory(place.target.dialect(), &directory, options)?.into_migrations()?;
        Ok(Work { place, migrations })
    }

    /// Returns the migrations that can be read, and what is wrong with the others. Opens no database. Without a dialect,
    /// a database must be named, if only to say which one.
    pub fn examine(&self, dialect: Option<Dialect>) -> Result<Examined, Error> {
        let chosen = self.database.chosen()?;
        let settings = chosen.settings();
        let directory = self.directory(settings);
        let named = if dialect.is_some() { None } else { chosen.target(self.database.database.as_deref())? };
        let dialect = match (dialect, named) {
            (Some(dialect), _) => dialect,
            (None, Some(target)) => target.dialect(),
            // That there is no directory is said first; this needs no dialect.
            (None, None) if !directory.is_dir() => Dialect::Sqlite,
            (None, None) => {
                return Err(Error::Usage {
                    what: "it is not known whether the files are for SQLite or PostgreSQL".into(),
                    next: "add --dialect sqlite or --dialect postgres, or name the database in haul.toml".into(),
                });
            }
        };
        examine_directory(dialect, &directory, self.read_options(settings)?)
    }

    /// Returns the seeds that `seed` would find without arguments; none if there is no directory.
    pub fn seeds(&self, place: &Place) -> Result<Option<Migrations>, Error> {
        let directory = place.seed_directory(None);
        if directory.is_dir() { place.seeds(&directory, &self.placeholders).map(Some) } else { Ok(None) }
    }

    fn read_options(&self, settings: &DbSettings) -> Result<ReadOptions, Error> {
        let folders = if self.recursive || settings.recursive { Folders::Read } else { Folders::Refuse };
        Ok(ReadOptions { folders, placeholders: self.placeholders.values(settings)? })
    }

    /// Returns the directory of the migrations, which need not exist.
    pub fn directory_alone(&self) -> Result<PathBuf, Error> {
        Ok(self.directory(self.database.chosen()?.settings()))
    }

    fn directory(&self, settings: &DbSettings) -> PathBuf {
        self.dir.clone().or_else(|| settings.dir.clone()).unwrap_or_else(|| DIRECTORY_DEFAULT.into())
    }
}
