//! Old stores: where their objects lie, and the walk that finds them.

pub mod inventory;
pub mod location;
pub mod read;
pub mod root;
pub mod scan;

pub use inventory::{Inventory, Item};
pub use location::Location;
pub use root::SourceRoot;
