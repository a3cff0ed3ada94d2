//! `haul cas`: content-addressed stores.

mod dual_run;
mod hash_vectors;
mod health;
mod request_upgrade;
mod result_check;

use super::verbs::verbs;

verbs! {
    /// What to do with a content-addressed store.
    pub enum Verb;

    /// Say which digests and encodings this haul has; looks at no store
    Health(health::HealthCommand),
    /// Make the digests of the specification by every path that makes digests here
    HashVectors(hash_vectors::HashVectorsCommand),
    /// Run one request with two programs and compare what they answer
    DualRun(dual_run::DualRunCommand),
    /// Write the scheduler's mode into request files, and change nothing else in them
    RequestUpgrade(request_upgrade::RequestUpgradeCommand),
    /// Hold the digests of result files against what the files hold
    ResultCheck(result_check::ResultCheckCommand),
}
