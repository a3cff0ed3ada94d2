//! One step from a version to the next.

use super::Version;

/// One edge of the graph of versions. Built-in and declared steps implement it, and whoever uses the library may.
pub trait Step: Send + Sync {
    /// The version that it takes.
    fn from(&self) -> Version;
    /// The version that it makes; above `from`.
    fn to(&self) -> Version;
    /// The texts of its history record when it adds all that it can add, the bump last.
    fn changes(&self) -> Vec<String>;
}
