//! Phase 5: makes all new files live at once.

pub mod side_files;
pub mod switch;
