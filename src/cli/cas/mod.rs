//! `haul cas`: content-addressed stores.

mod arguments;
mod clean;
mod doctor;
mod dry_run;
mod estimate;
mod faults;
mod generate;
mod generations;
mod get;
mod info;
mod ls;
mod map;
mod migrate;
mod plan;
mod put;
mod repair;
mod requiem;
mod rewrite_refs;
mod rollback;
mod status;
mod validate;
mod verify;

use super::verbs::verbs;

verbs! {
    /// The commands of a content-addressed store.
    pub enum Verb;

    /// Generate a store of any generation
    Generate(generate::GenerateCommand),
    /// Show what a migration would read and need; reads only
    Plan(plan::PlanCommand),
    /// Migrate samples, and estimate the time, space and memory of a migration
    Estimate(estimate::EstimateCommand),
    /// Migrate a store to the v2 layout; run the same command again to resume after a stop
    Migrate(migrate::MigrateCommand),
    /// Show the state of a target; changes nothing
    Status(status::StatusCommand),
    /// Read a v2 store again and report everything that is wrong with it
    Verify(verify::VerifyCommand),
    /// Undo a migration, after checking that its source has not changed since
    Rollback(rollback::RollbackCommand),
    /// Remove files that no run and no reader needs
    Clean(clean::CleanCommand),
    /// Show the index entry of an object
    Info(info::InfoCommand),
    /// List the objects of a store by key, with the sizes of their blobs
    Ls(ls::LsCommand),
    /// Write the content of an object, after verifying all of it
    Get(get::GetCommand),
    /// Put content into a store, durably, and print its key
    Put(put::PutCommand),
    /// Replace old keys in other files with the keys of the new store, or the other way round
    RewriteRefs(rewrite_refs::RewriteRefsCommand),
    /// Compare a target and its map with the source: every object, byte for byte
    Validate(validate::ValidateCommand),
    /// Examine a store of any generation and report what would prevent a migration
    Doctor(doctor::DoctorCommand),
    /// Show which digests and encodings this haul supports; opens no store
    Health(requiem::health::HealthCommand),
    /// Check known digests on every path that computes digests
    HashVectors(requiem::hash_vectors::HashVectorsCommand),
    /// Run one request with two programs and compare what they answer
    DualRun(requiem::dual_run::DualRunCommand),
    /// Write the scheduler's mode into request files, and change nothing else in them
    RequestUpgrade(requiem::request_upgrade::RequestUpgradeCommand),
    /// Check the digests in result files against the contents of the files
    ResultCheck(requiem::result_check::ResultCheckCommand),
    ;
    /// The map of a migration: old keys and their new keys
    Map(map::Verb),
}
