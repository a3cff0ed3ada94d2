//! The fields of a manifest (§1).

use super::value_types::{Part, Shape};
use crate::manifest::Version;

/// A field that the schema knows.
#[derive(Debug)]
pub struct Field {
    /// A member of the root.
    pub name: &'static str,
    /// What it may be.
    pub shape: Shape,
    /// Whether a manifest must have it.
    pub is_required: bool,
    /// The first version that has it.
    pub since: Version,
}

const V1_0: Version = Version::new(1, 0, 0);
const V1_1: Version = Version::new(1, 1, 0);
const V1_2: Version = Version::new(1, 2, 0);

const fn required(name: &'static str) -> Field {
    Field { name, shape: Shape::Text, is_required: true, since: V1_0 }
}

const fn optional(name: &'static str, shape: Shape, since: Version) -> Field {
    Field { name, shape, is_required: false, since }
}

const fn part(name: &'static str, shape: Shape) -> Part {
    Part { name, shape, is_required: false }
}

const fn required_part(name: &'static str, shape: Shape) -> Part {
    Part { name, shape, is_required: true }
}

static ARTIFACT: Shape = Shape::Record(&[part("sha256", Shape::Text), part("bytes", Shape::Count)]);

static SNAPSHOT: Shape = Shape::Record(&[
    required_part("path", Shape::Text),
    required_part("sha256", Shape::Text),
    required_part("bytes", Shape::Count),
]);

const DOCTRINE: Shape = Shape::RecordOrNull(&[
    part("doctrine_id", Shape::TextOrNull),
    part("version", Shape::TextOrNull),
    part("sha256", Shape::TextOrNull),
    part("resolved_path", Shape::TextOrNull),
]);

static PRIOR_STAGE: Shape = Shape::Record(&[
    part("run_id", Shape::Text),
    part("job_id", Shape::Text),
    part("stage", Shape::Text),
    part("output_references", Shape::Array),
]);

/// `input_snapshots`
pub(crate) const INPUT_SNAPSHOTS: Shape = Shape::Map(&SNAPSHOT);

/// `chain_metadata`
pub(crate) const CHAIN_METADATA: Shape =
    Shape::Record(&[part("is_chainable_stage", Shape::Flag), part("prior_stages", Shape::List(&PRIOR_STAGE))]);

/// All fields up to 1.2.0, required ones first.
pub static FIELDS: [Field; 22] = [
    required("schema_version"),
    required("job_id"),
    required("run_id"),
    required("job_ref"),
    required("job_type"),
    required("status"),
    optional("queue_job_id", Shape::TextOrNull, V1_0),
    optional("started_at", Shape::TextOrNull, V1_0),
    optional("finished_at", Shape::TextOrNull, V1_0),
    optional("langfuse_trace_id", Shape::TextOrNull, V1_0),
    optional("error", Shape::TextOrNull, V1_0),
    optional("brief_hash", Shape::TextOrNull, V1_0),
    optional("context_spec_hash", Shape::TextOrNull, V1_0),
    optional("context_content_hash", Shape::TextOrNull, V1_0),
    optional("generation_hash", Shape::TextOrNull, V1_0),
    optional("artifacts", Shape::Map(&ARTIFACT), V1_0),
    optional("meta", Shape::Object, V1_0),
    optional("generation_metadata", Shape::Object, V1_0),
    optional("doctrine", DOCTRINE, V1_0),
    optional("inputs_hash", Shape::DigestOrNull, V1_1),
    optional("input_snapshots", INPUT_SNAPSHOTS, V1_1),
    optional("chain_metadata", CHAIN_METADATA, V1_2),
];
