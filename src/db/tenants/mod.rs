//! The same migrations in many schemas or databases, each with a ledger of its own (docs/source-sql.md, "Tenants").
//!
//! [`schemas`], [`listed_databases`] and [`queried_databases`] say which; [`look_at_all`] plans before anything
//! changes; [`run_on_all`] runs, several at a time, and one that fails stops no other; [`in_each`] does what needs no
//! migrations.

mod database_list;
mod each;
mod look;
mod names;
mod run;
mod schema_list;
mod summary;
mod tenant;

pub use database_list::{listed_databases, queried_databases};
pub use each::{Share, jobs_by_default};
pub use look::{Looks, in_each, look_at_all};
pub use run::{rehearse_on_all, run_on_all};
pub use schema_list::schemas;
pub use summary::{Outcome, OutcomeCounts, TenantEnd, TenantRun, TenantsSummary};
pub use tenant::Tenant;
