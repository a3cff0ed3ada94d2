//! The members of a manifest that its schema knows (docs/source-sigilzero.md, "The document").

use super::value_types::{MemberType, ValueType};
use super::version::Version;

/// The member that holds the version.
pub(in crate::manifest) const VERSION: &str = "schema_version";
/// The member that holds the history records.
pub(in crate::manifest) const HISTORY: &str = "migration_history";

/// A member of the root that the schema knows.
#[derive(Debug)]
pub struct Field {
    /// The name of the member.
    pub name: &'static str,
    /// The type of its value.
    pub value_type: ValueType,
    /// Whether every manifest must have it.
    pub is_required: bool,
    /// The first version of the schema that has it.
    pub since: Version,
}

const V1_0: Version = Version::new(1, 0, 0);
const V1_1: Version = Version::new(1, 1, 0);
const V1_2: Version = Version::new(1, 2, 0);

const fn required(name: &'static str) -> Field {
    Field { name, value_type: ValueType::Text, is_required: true, since: V1_0 }
}

const fn optional(name: &'static str, value_type: ValueType, since: Version) -> Field {
    Field { name, value_type, is_required: false, since }
}

const fn member(name: &'static str, value_type: ValueType) -> MemberType {
    MemberType { name, value_type, is_required: false }
}

const fn required_member(name: &'static str, value_type: ValueType) -> MemberType {
    MemberType { name, value_type, is_required: true }
}

static ARTIFACT: ValueType = ValueType::Record(&[member("sha256", ValueType::Text), member("bytes", ValueType::Count)]);

static SNAPSHOT: ValueType = ValueType::Record(&[
    required_member("path", ValueType::Text),
    required_member("sha256", ValueType::Text),
    required_member("bytes", ValueType::Count),
]);

const DOCTRINE: ValueType = ValueType::RecordOrNull(&[
    member("doctrine_id", ValueType::TextOrNull),
    member("version", ValueType::TextOrNull),
    member("sha256", ValueType::TextOrNull),
    member("resolved_path", ValueType::TextOrNull),
]);

static PRIOR_STAGE: ValueType = ValueType::Record(&[
    member("run_id", ValueType::Text),
    member("job_id", ValueType::Text),
    member("stage", ValueType::Text),
    member("output_references", ValueType::Array),
]);

/// The type of `input_snapshots`.
pub(in crate::manifest) const INPUT_SNAPSHOTS: ValueType = ValueType::Map(&SNAPSHOT);

/// The type of `chain_metadata`.
pub(in crate::manifest) const CHAIN_METADATA: ValueType = ValueType::Record(&[
    member("is_chainable_stage", ValueType::Flag),
    member("prior_stages", ValueType::List(&PRIOR_STAGE)),
]);

/// The members of version 1.2.0, required ones first. Members that declared steps add are not among them.
pub static FIELDS: [Field; 22] = [
    required("schema_version"),
    required("job_id"),
    required("run_id"),
    required("job_ref"),
    required("job_type"),
    required("status"),
    optional("queue_job_id", ValueType::TextOrNull, V1_0),
    optional("started_at", ValueType::TextOrNull, V1_0),
    optional("finished_at", ValueType::TextOrNull, V1_0),
    optional("langfuse_trace_id", ValueType::TextOrNull, V1_0),
    optional("error", ValueType::TextOrNull, V1_0),
    optional("brief_hash", ValueType::TextOrNull, V1_0),
    optional("context_spec_hash", ValueType::TextOrNull, V1_0),
    optional("context_content_hash", ValueType::TextOrNull, V1_0),
    optional("generation_hash", ValueType::TextOrNull, V1_0),
    optional("artifacts", ValueType::Map(&ARTIFACT), V1_0),
    optional("meta", ValueType::Object, V1_0),
    optional("generation_metadata", ValueType::Object, V1_0),
    optional("doctrine", DOCTRINE, V1_0),
    optional("inputs_hash", ValueType::DigestOrNull, V1_1),
    optional("input_snapshots", INPUT_SNAPSHOTS, V1_1),
    optional("chain_metadata", CHAIN_METADATA, V1_2),
];
