//! What travels from stage to stage.

use std::time::Duration;

use crate::pipeline::budget::Permit;

/// A batch or its output, and what travels with it from the reader to the writer.
pub(super) struct Load<T> {
    pub(super) content: T,
    pub(super) permit: Permit,
    pub(super) records: u64,
    pub(super) source_bytes: u64,
    /// Its share of the time that its set took to be placed.
    pub(super) placing: Duration,
}

impl<T> Load<T> {
    pub(super) fn take(self) -> (T, Load<()>) {
        let Self { content, permit, records, source_bytes, placing } = self;
        (content, Load { content: (), permit, records, source_bytes, placing })
    }
}

impl Load<()> {
    pub(super) fn placed<T>(self, content: T, placing: Duration) -> Load<T> {
        let Self { content: (), permit, records, source_bytes, placing: _ } = self;
        Load { content, permit, records, source_bytes, placing }
    }
}
