//! What is verified.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::result::CheckResult;
use crate::db::sqlite::connect;
use crate::migration::Error;
use crate::pipeline::Control;
use crate::upgrade::backfill::{SetFacts, give};
use crate::upgrade::definition::Definition;
use crate::upgrade::hooks::Hooks;
use crate::upgrade::plan::{MemberPlan, Plan};
use crate::upgrade::schema::Place;
use crate::upgrade::set::Member;
use crate::upgrade::values::{Values, create_views, register};

/// What is verified: the databases of a plan.
pub struct Subject<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Its digest, as `freeze` has written it into the databases.
    pub plan_digest: &'a str,
    /// The upgrade.
    pub definition: &'a Definition,
    /// What SQL of the upgrade works with.
    pub values: &'a Values,
    /// Where the upgraded database is.
    pub working: &'a dyn Fn(&Member) -> PathBuf,
    /// Where the verified backup of a database is. Looking at one may leave side files next to it.
    pub backup: &'a dyn Fn(&Member) -> PathBuf,
    /// Checks that the backups are what was measured when they were made.
    pub backups: &'a dyn Fn() -> Result<CheckResult, Error>,
    /// Commands of the operator.
    pub hooks: &'a Hooks,
    /// Stop and events.
    pub control: &'a Control<'a>,
}

/// A database that is looked at.
pub struct Opened<'a> {
    /// What is planned for it.
    pub plan: &'a MemberPlan,
    /// Where it is.
    pub path: PathBuf,
    /// A connection to it, with the functions and views of the upgrade.
    pub connection: Connection,
    /// For errors.
    pub place: Place,
}

impl Opened<'_> {
    /// The name of the database in reports.
    pub fn file(&self) -> &str {
        &self.plan.member.key
    }

    /// Makes the temporary tables with what is known of the whole set.
    pub fn give(&self, set: &SetFacts) -> Result<(), Error> {
        let make = || {
            self.connection.pragma_update(None, "query_only", false)?;
            give(&self.connection, set)?;
            self.connection.pragma_update(None, "query_only", true)
        };
        make().map_err(|error| self.error("figures of the set", error))
    }

    /// Converts an error of SQLite.
    pub fn error(&self, doing: &str, error: rusqlite::Error) -> Error {
        self.place.error(doing, error)
    }
}

impl<'a> Subject<'a> {
    /// Opens every database. A connection that may write leaves no side file when it is closed; this one is kept from
    /// writing.
    pub fn open(&self) -> Result<Vec<Opened<'a>>, Error> {
        let open = |plan: &'a MemberPlan| {
            let path = (self.working)(&plan.member);
            let connection = connect::open_for_write(&path)?;
            let place = Place::new(&connection, &plan.member, "verify");
            prepare(&connection, self.definition, &plan.member, self.values)?;
            connection.pragma_update(None, "query_only", true).map_err(|error| place.error("", error))?;
            Ok(Opened { plan, path, connection, place })
        };
        self.plan.members.iter().map(open).collect()
    }

    /// Opens a database for reading, with the functions and views of the upgrade.
    pub fn open_for_read(&self, member: &Member, path: &Path) -> Result<Connection, Error> {
        let connection = connect::open_for_read(path)?;
        prepare(&connection, self.definition, member, self.values)?;
        Ok(connection)
    }
}

fn prepare(connection: &Connection, definition: &Definition, member: &Member, values: &Values) -> Result<(), Error> {
    register(connection, values)?;
    create_views(connection, definition, &member.tier, &member.shape)
}
