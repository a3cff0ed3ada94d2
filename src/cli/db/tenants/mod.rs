//! The commands of a database on many schemas or databases at once.

mod arguments;
mod consent;
mod dry_run;
mod migrate;
mod repair;
mod report;
mod resolve;
mod rollback;
mod rows;
mod seed;
mod state;
mod watched;
mod work;

pub use arguments::{FailureArgs, TenantArgs};
pub use dry_run::dry_run;
pub use migrate::migrate;
pub use repair::{Repairs, repair, replace_lost_logs};
pub use report::nothing_to_do;
pub use resolve::resolve;
pub use rollback::{redo, rollback};
pub use rows::Rows;
pub use seed::seed;
pub use state::{status, verify};
pub use watched::Watched;
pub use work::{Purpose, TenantWork, rows};
