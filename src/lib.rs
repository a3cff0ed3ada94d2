//! haul moves a store from an old format to a new one, offline, as fast as the hardware copies bytes, and proves that
//! nothing was lost.

pub mod cli;
pub mod durable;
pub mod migration;
pub mod observe;
pub mod pipeline;
pub mod space;
