//! What travels from stage to stage.

use crate::pipeline::budget::Permit;

/// A batch or its output, and what travels with it from the reader to the writer.
pub(super) struct Load<T> {
    pub(super) content: T,
    pub(super) permit: Permit,
    pub(super) records: u64,
    pub(super) source_bytes: u64,
}

impl<T> Load<T> {
    pub(super) fn take(self) -> (T, Load<()>) {
        let Self { content, permit, records, source_bytes } = self;
        (content, Load { content: (), permit, records, source_bytes })
    }
}

impl Load<()> {
    pub(super) fn with<T>(self, content: T) -> Load<T> {
        let Self { content: (), permit, records, source_bytes } = self;
        Load { content, permit, records, source_bytes }
    }
}
