//! Phase 6: watches the databases after the upgrade, against the limits of the definition.

mod check;
mod window;

pub use check::{MonitorCheck, MonitorEnd, MonitorRequest, monitor};
pub use window::{Window, published_at};
