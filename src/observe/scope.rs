//! What a view needs to know about a run beyond its events.

/// What a view needs to know about a run beyond its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// The name of records, in the plural.
    pub records_noun: &'static str,
    /// Bytes of the whole source. With them, the bar of a resumed run starts where the earlier run stopped.
    pub source_bytes: Option<u64>,
    /// The memory budget; 0 if the run has none.
    pub budget_bytes: u64,
}

impl Scope {
    /// Returns the scope of a run on a source of unknown size, without a memory budget.
    pub fn of(records_noun: &'static str) -> Self {
        Self { records_noun, source_bytes: None, budget_bytes: 0 }
    }
}
