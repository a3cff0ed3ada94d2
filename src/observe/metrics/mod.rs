//! Metrics of runs, for Prometheus. They are made from the state of the runs at each scrape and never kept, so what is gone
//! is gone from the text as well.
//!
//! [`FAMILIES`] says which metrics there are, [`RunMetrics`] what is known of a run, [`text`] writes them down. A value
//! that is not known is left out: 0 would be a lie.

mod encode;
mod families;
mod file;
mod history;
mod prefix;
mod recorder;
mod report;
mod run;
mod samples;

pub use encode::{Format, text};
pub use families::{FAMILIES, Family, FamilyType};
pub use file::{FILE_INTERVAL, MetricsFile};
pub use history::last_success;
pub use prefix::{DEFAULT_PREFIX, MetricsPrefix};
pub use recorder::Recorder;
pub use run::{RunMetrics, Scraped};

#[cfg(test)]
mod tests;
