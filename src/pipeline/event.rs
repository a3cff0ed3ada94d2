//! What a run tells its observer: one stream of events. The engine itself prints nothing.

use std::fmt;

use serde::Serialize;

/// Consumes the events of a run. Called from several threads at once; should return quickly.
pub trait Observer: Send + Sync {
    /// Takes note of one event.
    fn observe(&self, event: &Event);
}

/// An observer that ignores everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn observe(&self, _event: &Event) {}
}

/// Something that happened. As JSON it is an object whose `event` field names the variant in snake case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A phase began.
    PhaseStarted {
        /// Which.
        phase: Phase,
        /// Records that it will go through, if known.
        records_expected: Option<u64>,
        /// Bytes of source that it will go through, if known.
        bytes_expected: Option<u64>,
    },
    /// A phase ended.
    PhaseEnded {
        /// Which.
        phase: Phase,
    },
    /// A batch was written, not yet durably.
    BatchWritten {
        /// Records in it.
        records: u64,
        /// Bytes of source that it covered.
        source_bytes: u64,
        /// Bytes of the budget that the batches behind it hold.
        budget_in_use_bytes: u64,
    },
    /// The reader waited for memory.
    BackpressureWaited {
        /// How long, for one batch.
        waited_us: u64,
    },
    /// A checkpoint became durable.
    CheckpointWritten {
        /// Records that this run had written when the checkpoint was taken.
        records_total: u64,
    },
    /// Something that a person should read.
    Note {
        /// A lower-case fragment.
        text: String,
    },
    /// The work on one of several tenants began.
    TenantStarted {
        /// The name of a schema or a database.
        tenant: String,
    },
    /// Something happened in the work on one of several tenants.
    OfTenant {
        /// The name of a schema or a database.
        tenant: String,
        /// What happened.
        inner: Box<Event>,
    },
    /// The work on one of several tenants ended.
    TenantEnded {
        /// The name of a schema or a database.
        tenant: String,
        /// How: `done`, `nothing_to_do`, `failed`, `locked` or `stopped`.
        outcome: &'static str,
    },
}

/// A part of a migration's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Phase {
    /// Reads the source and says what would be done.
    Plan,
    /// Moves the records.
    Run,
    /// Makes the staged store complete and durable.
    Seal,
    /// Builds the index.
    Index,
    /// Reads the target again and compares.
    Verify,
    /// Makes the target the live store.
    Publish,
    /// Makes the source the live store again.
    Rollback,
    /// Removes what is no longer needed.
    Clean,
    /// Writes the target back in the format of the source.
    Export,
    /// Copies what is about to be changed.
    Backup,
    /// Changes the rows of a database, page by page.
    Backfill,
    /// Reads the source and counts what is in it.
    Scan,
    /// Makes up a source.
    Generate,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Phase::Plan => "plan",
            Phase::Run => "run",
            Phase::Seal => "seal",
            Phase::Index => "index",
            Phase::Verify => "verify",
            Phase::Publish => "publish",
            Phase::Rollback => "rollback",
            Phase::Clean => "clean",
            Phase::Export => "export",
            Phase::Backup => "backup",
            Phase::Backfill => "backfill",
            Phase::Scan => "scan",
            Phase::Generate => "generate",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_flat_json_objects() {
        let text = |event: &Event| serde_json::to_string(event).expect("plain data");
        assert_eq!(
            text(&Event::PhaseStarted { phase: Phase::Run, records_expected: Some(3), bytes_expected: None }),
            r#"{"event":"phase_started","phase":"run","records_expected":3,"bytes_expected":null}"#
        );
        assert_eq!(
            text(&Event::CheckpointWritten { records_total: 7 }),
            r#"{"event":"checkpoint_written","records_total":7}"#
        );
        assert_eq!(text(&Event::Note { text: "hm".into() }), r#"{"event":"note","text":"hm"}"#);
        let inner = Box::new(Event::PhaseEnded { phase: Phase::Run });
        assert_eq!(
            text(&Event::OfTenant { tenant: "a".into(), inner }),
            r#"{"event":"of_tenant","tenant":"a","inner":{"event":"phase_ended","phase":"run"}}"#
        );
    }

    #[test]
    fn a_phase_is_displayed_as_it_is_serialized() {
        use Phase::*;
        for phase in
            [Plan, Run, Seal, Index, Verify, Publish, Rollback, Clean, Export, Backup, Backfill, Scan, Generate]
        {
            assert_eq!(serde_json::to_value(phase).expect("plain data"), phase.to_string());
        }
    }
}
