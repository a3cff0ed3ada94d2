//! Tells the errors of one file from those of the whole tree.

pub use crate::durable::BadSpots;
use crate::durable::{DiskError, FaultClass};

/// Returns true if the error concerns this file or its directory only, so that the run can go on with other files.
pub fn concerns_one_file(error: &DiskError) -> bool {
    error.fault_class() == FaultClass::Item
}
