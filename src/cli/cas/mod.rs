//! `haul cas`: content-addressed stores.

mod arguments;
mod clean;
mod doctor;
mod dry_run;
mod dual_run;
mod estimate;
mod faults;
mod generate;
mod generations;
mod get;
mod hash_vectors;
mod health;
mod info;
mod ls;
mod map;
mod migrate;
mod plan;
mod put;
mod repair;
mod request_upgrade;
mod result_check;
mod rewrite_refs;
mod rollback;
mod status;
mod validate;
mod verify;

use super::verbs::verbs;

verbs! {
    /// What to do with a content-addressed store.
    pub enum Verb;

    /// Make up a store of any generation
    Generate(generate::GenerateCommand),
    /// Show what a migration would read and need; reads only
    Plan(plan::PlanCommand),
    /// Measure disks and digests for a moment and say how long a migration takes
    Estimate(estimate::EstimateCommand),
    /// Migrate a store to the v2 layout; run the same command again to go on after a stop
    Migrate(migrate::MigrateCommand),
    /// Show where a target stands; changes nothing
    Status(status::StatusCommand),
    /// Read a v2 store again and say everything that is wrong with it
    Verify(verify::VerifyCommand),
    /// Take a migration back, after proving that its source is what was migrated
    Rollback(rollback::RollbackCommand),
    /// Remove what no run and no reader needs any more
    Clean(clean::CleanCommand),
    /// Show what the index of a store says of an object
    Info(info::InfoCommand),
    /// List the objects of a store by key, with the sizes of their blobs
    Ls(ls::LsCommand),
    /// Write the content of an object, after all of it was verified
    Get(get::GetCommand),
    /// Put content into a store, durably, and print its key
    Put(put::PutCommand),
    /// Give the references in other files the keys of the new store, or take them back
    RewriteRefs(rewrite_refs::RewriteRefsCommand),
    /// Hold a target and its map against the source: every object there, byte for byte
    Validate(validate::ValidateCommand),
    /// Look at a store of any generation and say what it is and what is in the way
    Doctor(doctor::DoctorCommand),
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
    ;
    /// The map of a migration: which new key became of an old one
    Map(map::Verb),
}
