//! Old stores: where their objects are, the walk that finds them, and how their bytes are read and identified.

pub mod bytes;
pub mod identify;
pub mod inventory;
pub mod left_out;
pub mod location;
pub mod nothing_found;
pub mod read;
pub mod reader;
pub mod root;
pub mod scan;
pub mod walk;

pub use inventory::{Inventory, Item};
pub use location::Location;
pub use root::SourceRoot;
