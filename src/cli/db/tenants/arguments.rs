//! Arguments that name tenants.

use std::io::{ErrorKind, Read, stdin};
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::db::arguments::{DatabaseArgs, Place};
use crate::db::Target;
use crate::db::tenants::{Share, Tenant, jobs_by_default, listed_databases, queried_databases, schemas};
use crate::durable::{DiskError, open_named_file};
use crate::migration::Error;

/// The maximum length of a list of databases.
const LIST_BYTES_MAX: u64 = 64 << 20;
/// More sessions than this are too many for any server.
const JOBS_MAX: usize = 256;
const STANDARD_INPUT: &str = "-";

/// The schemas or databases of tenants.
#[derive(Args)]
#[command(next_help_heading = "Tenants")]
pub struct TenantArgs {
    /// Schemas with a ledger each: a pattern such as 'tenant_*', or a query that returns names
    #[arg(long, value_name = "PATTERN|QUERY", group = "tenants")]
    schemas: Option<String>,
    /// File with one database a line, each with a ledger of its own: a URL, or the path of a SQLite file; - is standard
    /// input
    #[arg(long, value_name = "FILE", group = "tenants", conflicts_with = "database")]
    databases: Option<PathBuf>,
    /// Query in --database that returns databases: names on the same server, or URLs
    #[arg(long, value_name = "SQL", group = "tenants")]
    databases_query: Option<String>,
    /// How many tenants at a time, each in one session [default: one per processor]
    #[arg(long, value_name = "N", requires = "tenants", value_parser = job_count)]
    jobs: Option<NonZeroUsize>,
    /// Accept that there are no tenants
    #[arg(long, requires = "tenants")]
    allow_empty: bool,
}

/// When to begin no more tenants.
#[derive(Args)]
#[command(next_help_heading = "Tenants")]
pub struct FailureArgs {
    /// Begin no other tenant once so many have failed [default: go on with all]
    #[arg(long, value_name = "N", requires = "tenants")]
    max_failures: Option<NonZeroU64>,
}

fn job_count(text: &str) -> Result<NonZeroUsize, String> {
    let count = text.parse().ok().filter(|count: &NonZeroUsize| count.get() <= JOBS_MAX);
    count.ok_or_else(|| format!("a number from 1 to {JOBS_MAX} is needed"))
}

impl FailureArgs {
    /// Limits how many tenants may fail.
    pub fn limit(&self, share: Share) -> Share {
        Share { failures_max: self.max_failures, ..share }
    }
}

impl TenantArgs {
    /// Returns true if tenants are named.
    pub fn are_given(&self) -> bool {
        self.schemas.is_some() || self.databases.is_some() || self.databases_query.is_some()
    }

    /// Returns what all of them together are called: their list, or the database that was asked for them.
    pub fn name(&self, database: &DatabaseArgs) -> Result<String, Error> {
        match &self.databases {
            Some(list) => Ok(list.display().to_string()),
            None => Ok(database.place()?.target.to_string()),
        }
    }

    /// Returns how the work is shared out.
    pub fn share(&self) -> Share {
        Share { jobs: self.jobs.unwrap_or_else(jobs_by_default), failures_max: None }
    }

    /// Returns the tenants, and the database in which they are or that stands for all of them. Fails if there are none,
    /// unless that is accepted.
    pub fn find(&self, database: &DatabaseArgs) -> Result<Option<(Place, Vec<Tenant>)>, Error> {
        let found = match (&self.schemas, &self.databases, &self.databases_query) {
            (Some(wanted), ..) => {
                let place = database.place()?;
                let tenants = schemas(&place.target, &place.tables, wanted)?;
                Some((place, tenants))
            }
            (None, Some(file), _) => self.listed(file, database)?,
            (None, None, Some(sql)) => {
                let place = database.place()?;
                let tenants = queried_databases(&place.target, &place.tables, sql)?;
                match tenants.first() {
                    Some(first) => Some((database.place_of(first.target.clone())?, tenants)),
                    None => None,
                }
            }
            (None, None, None) => None,
        };
        let mut found = found.filter(|(_, tenants)| !tenants.is_empty());
        if let Some((place, tenants)) = &mut found {
            for tenant in tenants {
                tenant.target = place.in_role(tenant.target.clone())?;
            }
        }
        if found.is_none() && !self.allow_empty {
            return Err(self.nothing_found());
        }
        Ok(found)
    }

    fn listed(&self, file: &Path, database: &DatabaseArgs) -> Result<Option<(Place, Vec<Tenant>)>, Error> {
        let targets = listed_databases(&file.display().to_string(), &read(file)?)?;
        let Some(first) = targets.first() else { return Ok(None) };
        let place = database.place_of(first.clone())?;
        let tenant = |target: Target| Tenant::of_database(target, &place.tables);
        let tenants = targets.into_iter().map(tenant).collect();
        Ok(Some((place, tenants)))
    }

    fn nothing_found(&self) -> Error {
        let (path, what) = match (&self.schemas, &self.databases) {
            (Some(wanted), _) => (format!("--schemas '{wanted}'").into(), "no schema fits"),
            (None, Some(file)) => (file.clone(), "it names no database"),
            (None, None) => ("--databases-query".into(), "it returns nothing"),
        };
        let what = format!("{what}, so there are no tenants");
        let next = "correct it; if there are none yet, add --allow-empty".into();
        Error::State { path, what, next, damaged: true, source: None }
    }
}

/// Reads the list of databases.
fn read(file: &Path) -> Result<String, Error> {
    let wrap = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => Error::Usage {
            what: format!("--databases: there is no file {}", file.display()),
            next: "name the file with the databases".into(),
        },
        _ => DiskError::new("read list of databases", file, error).into(),
    };
    let mut text = String::new();
    let read = match file.as_os_str() == STANDARD_INPUT {
        true => stdin().lock().take(LIST_BYTES_MAX).read_to_string(&mut text),
        false => open_named_file(file).and_then(|opened| opened.take(LIST_BYTES_MAX).read_to_string(&mut text)),
    };
    read.map_err(wrap)?;
    Ok(text)
}
