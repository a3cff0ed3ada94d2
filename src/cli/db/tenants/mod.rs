//! The commands of a database on many schemas or databases at once.

mod arguments;
mod dry_run;
mod migrate;
mod report;
mod rollback;
mod state;
mod work;

pub use arguments::{FailureArgs, TenantArgs};
pub use dry_run::dry_run;
pub use migrate::migrate;
pub use report::nothing_to_do;
pub use rollback::rollback;
pub use state::{status, verify};
pub use work::{Purpose, TenantWork};
