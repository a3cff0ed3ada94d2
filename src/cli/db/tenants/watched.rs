//! Who sees a run on many tenants.

use crate::cli::arguments::OutputArgs;
use crate::cli::db::arguments::scope_of_tenants;
use crate::cli::metrics_args::MetricsArgs;
use crate::cli::progress::Watch;
use crate::db::tenants::TenantsSummary;
use crate::migration::exit;
use crate::pipeline::Control;

/// What metrics show of a run on many tenants: one migration, with the tenants as its records.
pub struct Watched<'a> {
    /// What the tenants together are called.
    pub name: String,
    /// Who gets the metrics.
    pub metrics: &'a MetricsArgs,
}

impl Watched<'_> {
    /// Does the work while it is shown.
    pub fn run(
        self,
        output: OutputArgs,
        work: impl FnOnce(&Control<'_>) -> TenantsSummary,
    ) -> anyhow::Result<TenantsSummary> {
        let watch = Watch::start(output)?.with_metrics_of(self.metrics, ("db", self.name), "finished")?;
        // For alerts a run is a failure if some of its tenants are not done.
        let as_result = |end: TenantsSummary| match end.exit_code() == exit::OK || end.stopped {
            true => Ok(end),
            false => Err(end),
        };
        Ok(watch.run_to_end(scope_of_tenants(), |control| as_result(work(control))).unwrap_or_else(|failed| failed))
    }
}
