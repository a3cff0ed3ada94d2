//! Runs migrations in an empty database, to see what they make.

use super::Runner;
use super::migrate::MigrateRequest;
use crate::db::database::ReadDatabase;
use crate::db::engine_error::EngineError;
use crate::db::schema::Schema;
use crate::db::state::Tables;
use crate::db::version::Version;
use crate::migration::Error;
use crate::pipeline::Control;

impl Runner {
    /// Runs the migrations up to `to` in the database, which must be empty, and returns what `read` finds there then.
    pub fn run_chain<T>(
        &mut self,
        to: &Version,
        control: &Control<'_>,
        read: impl FnOnce(&mut dyn ReadDatabase, &Tables) -> Result<T, EngineError>,
    ) -> Result<T, Error> {
        let tables = self.options.tables.clone();
        let before = Schema::read(&mut *self.database, &tables).map_err(|error| self.error(error))?;
        if !before.text.is_empty() || !self.plan()?.applied.is_empty() {
            return Err(Error::Usage {
                what: "the scratch database is not empty".into(),
                next: "name an empty one that nobody else uses".into(),
            });
        }
        let request = MigrateRequest { to: Some(to.clone()), ..MigrateRequest::default() };
        let end = self.migrate(&request, control)?;
        if let Some(failure) = end.failure {
            return Err(Error::Verification {
                what: format!("in an empty database, {}", failure.what()),
                next: "make the files run in an empty database, in their order; nothing was written".into(),
                source: None,
            });
        }
        if end.stopped {
            return Err(Error::Stopped { next: "run the same command again; nothing was written".into() });
        }
        read(&mut *self.database, &tables).map_err(|error| self.error(error))
    }
}
