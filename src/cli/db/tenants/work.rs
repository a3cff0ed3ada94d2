//! What a command does with many tenants.

use std::sync::Arc;

use super::arguments::TenantArgs;
use super::rows::Rows;
use crate::cli::db::arguments::{DatabaseArgs, FileArgs, HookArgs, LimitArgs, MigrationArgs, Place, SeedArgs, Work};
use crate::db::Migrations;
use crate::db::backup::BackupPolicy;
use crate::db::runner::{Plan, RunnerOptions};
use crate::db::tenants::{Looks, Share, Tenant, in_each, look_at_all};
use crate::migration::Error;
use crate::pipeline::{Control, Silent, StopToken};

/// The tenants, and the migrations that they share.
pub struct TenantWork {
    pub tenants: Vec<Tenant>,
    pub migrations: Arc<Migrations>,
    pub share: Share,
    place: Place,
    allows_out_of_order: bool,
}

/// How to look at the tenants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Nothing changes afterwards.
    Read,
    /// A run follows.
    Act,
    /// A run follows, which may create databases.
    Create,
}

/// Does `work` in each tenant that the arguments name, for a command that needs no migrations. There are no rows if there
/// are no tenants.
pub fn rows<T: Send>(
    tenants: &TenantArgs,
    database: &DatabaseArgs,
    share: Share,
    work: impl Fn(&Tenant, &Place) -> Result<T, Error> + Sync,
) -> Result<Rows<T>, Error> {
    let Some((place, found)) = tenants.find(database)? else { return Ok(Rows::of(&[], Vec::new())) };
    // A signal ends the process at once, which does no harm here.
    let control = Control { stop: &StopToken::new(), observer: &Silent };
    Ok(Rows::of(&found, in_each(&found, share, &control, |tenant| work(tenant, &place))?))
}

impl TenantWork {
    /// Returns what the arguments say of tenants and migrations. There is nothing to do if there are no tenants.
    pub fn new(tenants: &TenantArgs, migrations: &MigrationArgs) -> Result<Option<Self>, Error> {
        Self::read(tenants, migrations.database(), |place| migrations.read(place))
    }

    /// Works like [`new`](Self::new), with what is chosen about applied migrations that have no file.
    pub fn with_files(
        tenants: &TenantArgs,
        migrations: &MigrationArgs,
        files: &FileArgs,
    ) -> Result<Option<Self>, Error> {
        Self::read(tenants, migrations.database(), |place| Ok(files.apply(migrations.read(place)?)))
    }

    /// Returns what the arguments say of tenants and seeds. There is nothing to do if there are no tenants.
    pub fn of_seeds(tenants: &TenantArgs, seeds: &SeedArgs) -> Result<Option<Self>, Error> {
        Self::read(tenants, seeds.database(), |place| seeds.read(place))
    }

    fn read(
        tenants: &TenantArgs,
        database: &DatabaseArgs,
        read: impl FnOnce(Place) -> Result<Work, Error>,
    ) -> Result<Option<Self>, Error> {
        let Some((place, found)) = tenants.find(database)? else { return Ok(None) };
        let work = read(place)?;
        let allows_out_of_order = work.allows_out_of_order();
        let Work { place, migrations } = work;
        let (migrations, share) = (Arc::new(migrations), tenants.share());
        Ok(Some(Self { tenants: found, migrations, share, place, allows_out_of_order }))
    }

    /// Lets the hooks of `haul.toml` run in each tenant, unless they are not wanted.
    pub fn add_hooks(&mut self, hooks: &HookArgs) -> Result<(), Error> {
        self.place.hooks = hooks.read(&self.place, &self.migrations)?;
        Ok(())
    }

    /// Returns what a question begins with: the environment, if there is one.
    pub fn prefix(&self) -> String {
        self.place.environment.as_ref().map(|name| format!("{name}: ")).unwrap_or_default()
    }

    /// Returns true if versions below the highest applied one may run.
    pub fn allows_out_of_order(&self) -> bool {
        self.allows_out_of_order
    }

    /// Lets the files of SQLite databases be created by the first run.
    pub fn creating(&mut self) {
        self.tenants.iter_mut().for_each(|tenant| tenant.target = tenant.target.clone().creating());
    }

    /// Returns the options of a run on each tenant.
    pub fn options(&self, limits: &LimitArgs, backup: BackupPolicy) -> RunnerOptions {
        RunnerOptions { backup, ..limits.options(&self.place) }
    }

    /// Plans for each tenant before anything changes, and returns what `take` makes of the plans.
    pub fn look<T: Send>(
        &self,
        purpose: Purpose,
        take: impl Fn(Plan) -> Result<T, Error> + Sync,
    ) -> Result<Vec<Result<T, Error>>, Error> {
        let looks = Looks {
            files: self.place.files,
            is_to_act: purpose != Purpose::Read,
            may_be_missing: purpose == Purpose::Create,
        };
        // A signal ends the process at once, which does no harm here.
        let control = Control { stop: &StopToken::new(), observer: &Silent };
        look_at_all(&self.tenants, &self.migrations, looks, self.share, &control, |_, plan| take(plan))
    }
}
