//! The two directions of a migration.

/// The section of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The section that applies the migration.
    Up,
    /// The section that rolls it back.
    Down,
}

impl Direction {
    /// Returns `Up` or `Down`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "Up",
            Self::Down => "Down",
        }
    }
}
