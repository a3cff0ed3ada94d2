//! `haul db squash`: writes one file in the place of all migrations up to a version, after it has proved that the file makes
//! the same schema. Changes no database but those that it makes for the proof.
//!
//! The JSON document has `file` (path), `replaces` (labels), `replaced_files` (paths) and `left_out` (places of statements that
//! the file does not have: about privileges, or settings of a SQLite file).

use std::path::PathBuf;

use clap::Args;

use super::arguments::{LimitArgs, MigrationArgs, scope, version};
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::cli::progress::Watch;
use crate::db::squash::{DataOf, SquashRequest, squash, squashed_file_name};
use crate::db::{Dialect, Target, Version, write_new};
use crate::durable::RealDisk;
use crate::migration::Error;

/// `haul db squash`
#[derive(Args)]
pub struct SquashCommand {
    #[command(flatten)]
    migrations: MigrationArgs,
    /// The last migration that is replaced
    #[arg(long, value_name = "VERSION", value_parser = version)]
    to: Version,
    /// The new file [default: VERSION_squashed.sql in the directory of the migrations]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// An empty database for the proof, given twice; by default, haul creates and drops databases on the same server
    #[arg(long, value_name = "URL")]
    scratch: Vec<String>,
    /// Leave out statements about privileges and owners, which a dump of the schema does not have
    #[arg(long)]
    without_privileges: bool,
    /// Also hold the rows that the migrations leave, at most 10000 or those of the tables that are named
    #[arg(long, value_name = "TABLES", num_args = 0..=1, require_equals = true, value_delimiter = ',')]
    with_data: Option<Vec<String>>,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl SquashCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let work = self.migrations.work()?;
        let name = squashed_file_name(&work.migrations, &self.to)?;
        let file = match &self.out {
            Some(file) => file.clone(),
            None => self.migrations.directory_alone()?.join(name),
        };
        require_free(&file)?;
        let mut given = self.given_databases(work.migrations.dialect())?.into_iter();
        let is_given = given.len() > 0;
        let mut scratch = || match given.next() {
            Some(target) => Ok((target.open()?, Box::new(|| Ok(())) as _)),
            None if is_given => Err(two_databases()),
            None => work.place.target.scratch(),
        };
        let request =
            SquashRequest { to: self.to.clone(), without_privileges: self.without_privileges, data: self.data() };
        let options = self.limits.options(&work.place);
        let watch = Watch::start(self.output)?;
        let made = watch.run(scope(), |control| squash(&work.migrations, &request, &mut scratch, &options, control))?;
        write_new(&RealDisk, &file, &made.text)?;
        let replaced: Vec<_> = work.migrations.iter().filter(|migration| migration.version <= self.to).collect();
        let labels: Vec<_> = replaced.iter().map(|migration| migration.label()).collect();
        let sections = replaced.iter().flat_map(|migration| std::iter::once(&migration.up).chain(&migration.down));
        let mut files: Vec<_> = sections.map(|section| section.file.display().to_string()).collect();
        files.dedup();
        let answer = Answer::new(&()).path("file", &file).with("replaces", labels.clone());
        answer.with("replaced_files", files.clone()).with("left_out", made.left_out.clone()).print(self.output, |table| {
            made.left_out.iter().for_each(|place| table.item("left out", place, ""));
            files.iter().for_each(|file| table.item("replaced", file, ""));
            table.line(format_args!(
                "{}: makes the schema of {} migrations; the replaced files can go, also before a database has recorded that",
                file.display(),
                labels.len()
            ));
        })
    }

    fn data(&self) -> DataOf {
        match self.with_data.as_deref() {
            None => DataOf::None,
            Some([]) => DataOf::All,
            Some(tables) => DataOf::Named(tables.to_vec()),
        }
    }

    fn given_databases(&self, dialect: Dialect) -> Result<Vec<Target>, Error> {
        let targets = self.scratch.iter().map(|url| Target::parse(url)).collect::<Result<Vec<_>, _>>()?;
        match targets.len() {
            0 | 2 if targets.iter().all(|target| target.dialect() == dialect) => Ok(targets),
            _ => Err(two_databases()),
        }
    }
}

fn two_databases() -> Error {
    Error::Usage {
        what: "the proof needs two empty databases of the same kind as the migrations".into(),
        next: "give --scratch twice, or leave it out".into(),
    }
}

/// Fails before a long run if the file exists. Writing it fails too if it exists by then.
fn require_free(file: &std::path::Path) -> Result<(), Error> {
    match file.symlink_metadata() {
        Ok(_) => Err(Error::Conflict {
            path: file.to_path_buf(),
            what: "a file with this name exists; it is kept".into(),
            next: "name another file with --out, or move that one away".into(),
        }),
        Err(_) => Ok(()),
    }
}
